//go:build !unix

package folder

import "os"

// NonBlock does nothing here.
const NonBlock = 0

// Full is not known here.
func Full(*os.Root) (bool, error) { return false, nil }

func sync(*os.File) error { return nil }
