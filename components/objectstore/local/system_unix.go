//go:build unix

package local

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// full tells whether the file system has no block left for us.
func (s *store) full() (bool, error) {
	d, err := s.root.Open(".")
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

// syncFolder syncs an open folder; some file systems cannot, and need not.
func syncFolder(d *os.File) error {
	err := d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}
