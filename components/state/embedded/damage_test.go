package embedded

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/ottavo-runtime/ottavo/components/state"
)

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range []record{{1, 0, nil}, {7, 1, []byte("value")}, {1 << 63, 1<<63 - 1, make([]byte, 100)}} {
		buf, sum := newRecord(r.value)
		seal(buf, sum, r.version, r.expires)
		f.Add(buf)
		f.Add(buf[:len(buf)-1])
	}
	f.Add([]byte{})
	f.Add([]byte{recordFormat})
	f.Add(make([]byte, headerSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		r, err := decodeRecord(b)
		if !bytes.Equal(before, b) {
			t.Fatal("decoding changed its input")
		}
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Fatalf("error %v is not errDamaged", err)
			}
			return
		}
		buf, sum := newRecord(r.value)
		seal(buf, sum, r.version, r.expires)
		if !bytes.Equal(buf, b) {
			t.Fatalf("encoded again: %x, was %x", buf, b)
		}
	})
}

func FuzzSplitExpiryKey(f *testing.F) {
	f.Add(expiryKey(1, "k"))
	f.Add([]byte("12345678"))
	f.Fuzz(func(t *testing.T, b []byte) {
		expires, key, err := splitExpiryKey(b)
		if err == nil && !bytes.Equal(expiryKey(expires, string(key)), b) {
			t.Fatalf("%x became %d, %q", b, expires, key)
		}
	})
}

// Every single flipped bit of a record is noticed.
func TestRecordChecksum(t *testing.T) {
	buf, sum := newRecord([]byte("some value"))
	seal(buf, sum, 42, time.Now().UnixNano())
	if _, err := decodeRecord(buf); err != nil {
		t.Fatal(err)
	}
	for i := range buf {
		for bit := range 8 {
			buf[i] ^= 1 << bit
			if _, err := decodeRecord(buf); !errors.Is(err, errDamaged) {
				t.Fatalf("byte %d, bit %d flipped: %v", i, bit, err)
			}
			buf[i] ^= 1 << bit
		}
	}
}

func TestDamagedRecord(t *testing.T) {
	s := tempStore(t)
	damage := func() {
		t.Helper()
		set(t, s, state.Op{Key: "bad", Value: []byte("v"), TTL: time.Hour})
		err := s.db.Update(func(tx *bolt.Tx) error {
			return tx.Bucket(bucketItems).Put([]byte("bad"), []byte{recordFormat, 1, 2, 3})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	damage()
	set(t, s, state.Op{Key: "good", Value: []byte("v")})
	_, err := s.Get(t.Context(), state.Get{Key: "bad"})
	if !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), `"bad"`) || !strings.Contains(err.Error(), s.path) {
		t.Fatalf("Get: %v", err)
	}
	res, err := s.BulkGet(t.Context(), []state.Get{{Key: "bad"}, {Key: "good"}})
	if err != nil || !errors.Is(res[0].Err, errDamaged) || res[1].Err != nil || res[1].Item == nil {
		t.Fatalf("BulkGet: %v, %v", res, err)
	}
	for _, op := range []state.Op{
		{Key: "bad", ETag: "1", HasETag: true},
		{Key: "bad", Options: state.Options{Concurrency: state.FirstWrite}},
	} {
		if err := s.Write(t.Context(), op); !errors.Is(err, errDamaged) {
			t.Fatalf("a conditional write: %v", err)
		}
	}
	set(t, s, state.Op{Key: "bad", Value: []byte("new")}) // says what is to be there
	if item := get(t, s, "bad"); item == nil || string(item.Value) != "new" {
		t.Fatalf("after overwriting: %+v", item)
	}
	damage()
	set(t, s, state.Op{Key: "bad", Delete: true})
	if item := get(t, s, "bad"); item != nil {
		t.Fatalf("after deleting: %+v", item)
	}
}

// TestDamagedPages overwrites parts of a file with noise: whatever is called
// afterwards returns, with a right answer or an error.
func TestDamagedPages(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole.db")
	s := openStore(t, whole, bolt.Options{})
	var ops []state.Op
	for i := range 500 {
		key := strings.Repeat(string(rune('a'+i%26)), 1+i/26)
		ops = append(ops, state.Op{Key: key, Value: []byte(key), TTL: time.Duration(i%2) * time.Hour})
	}
	for _, err := range s.BulkWrite(t.Context(), ops) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	bytesOf, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(bytesOf)) // most of it is still a hole
	bytesOf = bytes.TrimRight(bytesOf, "\x00")
	rnd := rand.New(rand.NewPCG(1, 2))
	opened, failed := 0, 0
	for round := range 60 {
		b := bytes.Clone(bytesOf)
		for range 1 + round%4 {
			at := rnd.IntN(len(bytesOf) - 64)
			for i := range 64 {
				b[at+i] = byte(rnd.Uint32())
			}
		}
		path := filepath.Join(t.TempDir(), "damaged.db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		s, err := open(t.Context(), path, bolt.Options{})
		if err != nil {
			failed++
			continue
		}
		opened++
		for _, op := range ops {
			item, err := s.Get(t.Context(), state.Get{Key: op.Key})
			if err == nil && item != nil && string(item.Value) != op.Key {
				t.Fatalf("round %d: key %q has a wrong value", round, op.Key)
			}
		}
		if err := s.Write(t.Context(), state.Op{Key: "new", Value: []byte("v")}); err != nil {
			failed++
		}
		_ = s.Close() // may fail, must return
	}
	t.Logf("%d files opened; %d opens and writes failed", opened, failed)
}
