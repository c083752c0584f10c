//go:build !unix

package local

import "os"

// full is not known here.
func (s *store) full() (bool, error) { return false, nil }

// syncFolder does nothing: folders cannot be synced here.
func syncFolder(*os.File) error { return nil }
