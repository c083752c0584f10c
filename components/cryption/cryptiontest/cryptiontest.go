// Package cryptiontest holds the tests that every cryption.Cipher passes.
package cryptiontest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/cryption"
)

// Options say what to test.
type Options struct {
	// New makes a cipher; the suite closes it.
	New func(t *testing.T) cryption.Cipher
	// KeyID is what the configured key is called; Other is another key, "" if there is none.
	KeyID, Other string
	// MaxPlain is the longest plain text, in bytes.
	MaxPlain int
}

// Run tests the cipher that o makes.
func Run(t *testing.T, o Options) {
	t.Helper()
	open := func(t *testing.T) cryption.Cipher {
		c := o.New(t)
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		return c
	}
	roundTrip := func(t *testing.T, c cryption.Cipher, plain []byte, keyID, want string) []byte {
		t.Helper()
		sealed, err := c.Encrypt(t.Context(), plain, keyID)
		if err != nil {
			t.Fatalf("Encrypt: %v", err)
		}
		if sealed.KeyID != want {
			t.Errorf("encrypted with the key %q, want %q", sealed.KeyID, want)
		}
		if len(plain) > 8 && bytes.Contains(sealed.Data, plain) {
			t.Error("the cipher text holds the plain text")
		}
		opened, err := c.Decrypt(t.Context(), sealed.Data)
		if err != nil || !bytes.Equal(opened.Data, plain) || opened.KeyID != want {
			t.Errorf("Decrypt: key %q, equal: %v, %v", opened.KeyID, bytes.Equal(opened.Data, plain), err)
		}
		return sealed.Data
	}
	t.Run("RoundTrip", func(t *testing.T) {
		c := open(t)
		for _, plain := range [][]byte{[]byte("x"), []byte("\x00\xff any bytes \n"), bytes.Repeat([]byte("long"), o.MaxPlain/4)} {
			roundTrip(t, c, plain, "", o.KeyID)
		}
	})
	t.Run("OtherKey", func(t *testing.T) {
		if o.Other == "" {
			t.Skip("there is one key only")
		}
		roundTrip(t, open(t), []byte("some text"), o.Other, o.Other)
	})
	t.Run("UnknownKey", func(t *testing.T) {
		if _, err := open(t).Encrypt(t.Context(), []byte("x"), "no-such-key"); !errors.Is(err, cryption.ErrNoKey) {
			t.Errorf("Encrypt with a key that is not there: %v", err)
		}
	})
	t.Run("SecondInstance", func(t *testing.T) {
		sealed := roundTrip(t, open(t), []byte("shared text"), "", o.KeyID)
		if opened, err := open(t).Decrypt(t.Context(), sealed); err != nil || string(opened.Data) != "shared text" {
			t.Errorf("another instance cannot decrypt it: %v", err)
		}
	})
	t.Run("Changed", func(t *testing.T) {
		c := open(t)
		sealed := roundTrip(t, c, []byte("some text"), "", o.KeyID)
		last := bytes.Clone(sealed)
		last[len(last)-1] ^= 1
		for name, text := range map[string][]byte{"last bit": last, "cut": sealed[:len(sealed)-3], "empty": {}, "foreign": []byte("hello, world, this is none of yours")} {
			if _, err := c.Decrypt(t.Context(), text); !errors.Is(err, cryption.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("Concurrent", func(t *testing.T) {
		c := open(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				sealed, err := c.Encrypt(t.Context(), []byte("text"), "")
				if err != nil {
					t.Error(err)
					return
				}
				if opened, err := c.Decrypt(t.Context(), sealed.Data); err != nil || string(opened.Data) != "text" {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
	t.Run("Cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := open(t).Encrypt(ctx, []byte("x"), ""); !errors.Is(err, context.Canceled) {
			t.Errorf("Encrypt with an ended context: %v", err)
		}
	})
	t.Run("Closed", func(t *testing.T) {
		c := open(t)
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := c.Encrypt(t.Context(), []byte("x"), ""); !errors.Is(err, cryption.ErrClosed) {
			t.Errorf("Encrypt after Close: %v", err)
		}
	})
}
