package boltfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bucket = []byte("b")

func prepare(tx *bolt.Tx) error {
	_, err := tx.CreateBucketIfNotExists(bucket)
	return err
}

func put(value string) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error { return tx.Bucket(bucket).Put([]byte("k"), []byte(value)) }
}

func value(t *testing.T, f *File) (v string) {
	t.Helper()
	err := f.View(func(tx *bolt.Tx) error {
		v = string(tx.Bucket(bucket).Get([]byte("k")))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return v
}

// A change is there after the file is opened again; one that fails changes nothing.
func TestUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "f.db")
	f, err := Open("the file", path, "path", prepare)
	if err != nil {
		t.Fatal(err)
	}
	wrong := errors.New("wrong")
	err = f.Update(func(tx *bolt.Tx) error { return errors.Join(put("2")(tx), wrong) })
	if !errors.Is(err, wrong) || !strings.HasPrefix(err.Error(), "the file "+path+": ") || value(t, f) != "" {
		t.Errorf("%v, and the value is %q", err, value(t, f))
	}
	if err := f.Update(put("1")); err != nil {
		t.Error(err)
	}
	if _, err := Open("the file", path, "path", prepare); err == nil || !strings.Contains(err.Error(), "set another path") {
		t.Errorf("a file that is in use: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if f, err = OpenReadOnly("the file", path); err != nil {
		t.Fatal(err)
	}
	if f.Update(put("2")) == nil || value(t, f) != "1" {
		t.Error("a file that cannot be written was changed")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// Whoever calls while the file is found to be destroyed, and afterwards, gets an error.
func TestDestroyed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.db")
	f, err := Open("the file", path, "path", prepare)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Update(put(strings.Repeat("v", 1<<16))); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, err := range []error{f.Update(put("2")), f.View(put("2")), f.Check(), f.Close()} {
				if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "backup") {
					t.Errorf("%v, want the path and the way out", err)
				}
			}
		})
	}
	wg.Wait()
}
