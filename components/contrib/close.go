package contrib

import (
	"fmt"
	"io"
)

// closeFailed closes a backend whose Init failed. Some backends panic then, as there
// is nothing to close yet, which says nothing about what is wrong.
func closeFailed(c io.Closer) error {
	defer func() { _ = recover() }()
	return c.Close()
}

// closeQuietly closes a backend; a panic of its becomes an error.
func closeQuietly(c io.Closer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("closing it: the backend panicked: %v", p)
		}
	}()
	return c.Close()
}
