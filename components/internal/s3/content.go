package s3

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // what the protocol asks for
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
)

// Content is the body of a request, which can be sent more than once.
type Content struct {
	Size   int64
	sha256 string // in hex
	md5    []byte
	data   []byte
	file   *os.File // in place of data
}

// Bytes makes a content of data, which it keeps.
func Bytes(data []byte) *Content {
	s, m := sha256.Sum256(data), md5.Sum(data) //nolint:gosec // as above
	return &Content{Size: int64(len(data)), sha256: hex.EncodeToString(s[:]), md5: m[:], data: data}
}

// XML makes a content of a value.
func XML(v any) (*Content, error) {
	data, err := xml.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("the request: %w", err)
	}
	return Bytes(data), nil
}

// MD5 returns the base64 of the content's MD5.
func (c *Content) MD5() string { return base64.StdEncoding.EncodeToString(c.md5) }

// Close releases it.
func (c *Content) Close() {
	if c.file != nil {
		_ = c.file.Close() // it has no name any more
		c.file = nil
	}
}

func (c *Content) open() (io.ReadCloser, error) {
	if c.file != nil {
		return io.NopCloser(io.NewSectionReader(c.file, 0, c.Size)), nil
	}
	return io.NopCloser(bytes.NewReader(c.data)), nil
}

// firstRead is what a buffer begins with, in bytes: most contents are small.
const firstRead = 32 << 10

// ReadUpTo reads r until it ends or there are max bytes, and tells whether it
// ended. It uses buf if that is large enough.
func ReadUpTo(ctx context.Context, r io.Reader, max int, buf []byte) (data []byte, ended bool, err error) {
	data = buf[:0]
	for len(data) < max {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		if len(data) == cap(data) {
			bigger := make([]byte, len(data), min(max, firstRead+2*len(data)))
			copy(bigger, data)
			data = bigger
		}
		n, err := r.Read(data[len(data):min(cap(data), max)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return data, true, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("reading the content: %w", err)
		}
	}
	return data, false, nil
}

// maxInMemory is how much Spool holds in memory, in bytes.
const maxInMemory = 8 << 20

// Spool reads all of r, for a request that must say the size of its content
// first: into memory, or when that is too much into a temporary file. The caller
// closes the content.
func Spool(ctx context.Context, r io.Reader) (*Content, error) {
	head, ended, err := ReadUpTo(ctx, r, maxInMemory, nil)
	if err != nil {
		return nil, err
	}
	if ended {
		return Bytes(head), nil
	}
	f, err := os.CreateTemp("", "ottavo-upload-")
	if err != nil {
		return nil, fmt.Errorf("a temporary file for the content: %w", err)
	}
	c := &Content{file: f}
	if err := os.Remove(f.Name()); err != nil {
		c.Close()
		return nil, fmt.Errorf("a temporary file for the content: %w", err)
	}
	s, m := sha256.New(), md5.New() //nolint:gosec // as above
	rest := &contextReader{ctx, r}
	c.Size, err = io.Copy(io.MultiWriter(f, s, m), io.MultiReader(bytes.NewReader(head), rest))
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("reading the content: %w", err)
	}
	c.sha256, c.md5 = hex.EncodeToString(s.Sum(nil)), m.Sum(nil)
	return c, nil
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
