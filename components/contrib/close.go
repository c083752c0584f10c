package contrib

import (
	"fmt"
	"io"
)

// closeQuietly closes a backend whose Init failed. Some backends panic then, as
// there is nothing to close yet.
func closeQuietly(c io.Closer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("closing it: the backend panicked: %v", p)
		}
	}()
	return c.Close()
}
