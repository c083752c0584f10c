//go:build unix

package folder

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// NonBlock keeps open from waiting for the other end of a pipe.
const NonBlock = syscall.O_NONBLOCK

// Full tells whether the file system of root has no block left for us.
func Full(root *os.Root) (bool, error) {
	d, err := root.Open(".")
	if err != nil {
		return false, err
	}
	defer func() { _ = d.Close() }()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(d.Fd()), &st); err != nil {
		return false, err
	}
	return st.Blocks > 0 && st.Bavail == 0, nil
}

// sync syncs an open folder; some file systems cannot, and need not.
func sync(d *os.File) error {
	err := d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}
