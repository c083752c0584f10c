package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(Write(path, []byte("1"), 0o640), os.Symlink("file", link), os.Chmod(path, 0o604), Write(link, []byte("2"), 0o600)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	info, err2 := os.Lstat(path)
	linkInfo, err3 := os.Lstat(link)
	if err := errors.Join(err, err2, err3); err != nil || string(data) != "2" || info.Mode().Perm() != 0o604 || linkInfo.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("%q, mode %v, link %v, %v", data, info.Mode(), linkInfo.Mode(), err)
	}
	if err := Write(filepath.Join(dir, "none", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("left in the folder: %v %v", entries, err)
	}
}
