package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/internal/folder"
)

func TestFolder(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if full, err := folder.Full(root); full || err != nil {
		t.Errorf("Full: %v, %v", full, err)
	}
	if err := folder.Sync(root, "."); err != nil {
		t.Error(err)
	}
	if err := folder.Sync(root, "no"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Sync of what is not there: %v", err)
	}
}
