// Package local encrypts with keys from a file, type "local": AES-256-GCM (NIST SP
// 800-38D) with a random nonce for every message. The key's id and version stand
// in front of the cipher text and are authenticated with it, so that keys can be
// added and replaced: what was encrypted with an old one can be decrypted as long
// as the old one is in the file.
package local

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/cryption"
)

// Type is the name by which a configuration asks for it.
const Type = "local"

// Metadata are the settings.
type Metadata struct {
	KeyFile string `json:"keyFile" doc:"File with the keys: a JSON object {id: base64 of 32 bytes}. Default <data_dir>/cryption/<name>.json, which is made with one random key, default, if it is not there."`
	KeyID   string `json:"KeyID" doc:"Id of the key that encrypts when a call names none. Default default."`
}

const (
	// format is the first byte of a cipher text: version of what follows, which is
	// length of the key's id (1), the id, the nonce (12), the sealed text.
	format     = 1
	keySize    = 32
	maxIDBytes = 255
	defaultKey = "default"
)

type service struct {
	keys   map[string]cipher.AEAD
	keyID  string
	closed atomic.Bool
}

// New reads the keys.
func New(_ context.Context, env components.Env, cfg components.Config) (cryption.Cipher, error) {
	m := Metadata{KeyID: defaultKey}
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	path := m.KeyFile
	if path == "" {
		path = filepath.Join(env.DataDir, "cryption", filepath.Base(cfg.Name)+".json")
		if err := create(path); err != nil {
			return nil, fmt.Errorf("making a key file: %w (choose another with %s.keyFile)", err, cfg.SettingsPath())
		}
	}
	keys, err := read(path)
	if err != nil {
		return nil, err
	}
	if _, ok := keys[m.KeyID]; !ok {
		return nil, fmt.Errorf("the key file %s has no key %q: add it, or name another with %s.KeyID", path, m.KeyID, cfg.SettingsPath())
	}
	return &service{keys: keys, keyID: m.KeyID}, nil
}

// create makes a key file with one key, unless there is one. Of several processes
// that do this at once, one wins, and all read the same key.
func create(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	key := make([]byte, keySize)
	rand.Read(key) // never fails
	text, err := json.Marshal(map[string][]byte{defaultKey: key})
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // linked by then, or of no use
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func read(path string) (map[string]cipher.AEAD, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	var file map[string]string
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("key file %s: want a JSON object {id: base64 of %d bytes}", path, keySize) // err may quote a key
	}
	keys := make(map[string]cipher.AEAD, len(file))
	for id, encoded := range file {
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(key) != keySize || id == "" || len(id) > maxIDBytes {
			return nil, fmt.Errorf("key file %s: the key %q is not the base64 of %d bytes, or its id is empty or longer than %d bytes", path, id, keySize, maxIDBytes)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("key file %s: the key %q: %w", path, id, err)
		}
		if keys[id], err = cipher.NewGCM(block); err != nil {
			return nil, fmt.Errorf("key file %s: the key %q: %w", path, id, err)
		}
	}
	return keys, nil
}

// Encrypt implements cryption.Cipher.
func (s *service) Encrypt(ctx context.Context, plain []byte, keyID string) (*cryption.Result, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if keyID == "" {
		keyID = s.keyID
	}
	key, ok := s.keys[keyID]
	if !ok {
		return nil, fmt.Errorf("key %q: %w", keyID, cryption.ErrNoKey)
	}
	head := append([]byte{format, byte(len(keyID))}, keyID...) //nolint:gosec // bounded by read
	out := make([]byte, len(head)+key.NonceSize(), len(head)+key.NonceSize()+len(plain)+key.Overhead())
	copy(out, head)
	nonce := out[len(head):]
	rand.Read(nonce)
	return &cryption.Result{Data: key.Seal(out, nonce, plain, head), KeyID: keyID, RequestID: uuid.NewString()}, nil
}

// Decrypt implements cryption.Cipher.
func (s *service) Decrypt(ctx context.Context, text []byte) (*cryption.Result, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if len(text) < 2 || text[0] != format || len(text) < 2+int(text[1]) {
		return nil, cryption.ErrInvalid
	}
	head, rest := text[:2+int(text[1])], text[2+int(text[1]):]
	keyID := string(head[2:])
	key, ok := s.keys[keyID]
	if !ok {
		return nil, fmt.Errorf("the cipher text was made with a key that the key file does not have: %w", cryption.ErrNoKey)
	}
	if len(rest) < key.NonceSize() {
		return nil, cryption.ErrInvalid
	}
	plain, err := key.Open(nil, rest[:key.NonceSize()], rest[key.NonceSize():], head)
	if err != nil {
		return nil, cryption.ErrInvalid
	}
	return &cryption.Result{Data: plain, KeyID: keyID, RequestID: uuid.NewString()}, nil
}

func (s *service) ready(ctx context.Context) error {
	if s.closed.Load() {
		return cryption.ErrClosed
	}
	return ctx.Err()
}

// Close implements cryption.Cipher.
func (s *service) Close() error {
	s.closed.Store(true)
	return nil
}
