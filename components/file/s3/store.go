package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/internal/s3"
)

// store is the store.
type store struct {
	accounts []account
	closed   atomic.Bool
}

type account struct {
	endpoint string
	c        *s3.Client
	keyOnly  bool // names have no bucket
}

// place is where a file is.
type place struct {
	account
	bucket, key string
}

// Keys of a call's metadata.
const (
	endpointKey    = "endpoint"
	sizeKey        = "fileSize"
	storageTypeKey = "storageType"
	aclKey         = "ACL"
	contentTypeKey = "content-type"
)

// find finds the account that metadata asks for.
func (s *store) find(ctx context.Context, metadata map[string]string) (account, error) {
	if s.closed.Load() {
		return account{}, file.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return account{}, err
	}
	endpoint, ok := metadata[endpointKey]
	if !ok && len(s.accounts) == 1 {
		return s.accounts[0], nil
	}
	var known []string
	for _, a := range s.accounts {
		if a.endpoint == endpoint {
			return a, nil
		}
		known = append(known, a.endpoint)
	}
	return account{}, fmt.Errorf("%w: the metadata %s is %q; it must be one of %s", file.ErrInvalid, endpointKey, endpoint, strings.Join(known, ", "))
}

// locate finds the account, and takes a name apart.
func (s *store) locate(ctx context.Context, name string, metadata map[string]string) (place, error) {
	if err := file.CheckName(name); err != nil {
		return place{}, err
	}
	p, err := s.folder(ctx, name, metadata)
	if err == nil && p.key == "" {
		err = fmt.Errorf("%w: the name %q must be bucket/key", file.ErrInvalid, name)
	}
	return p, err
}

// folder is locate where the key may be empty.
func (s *store) folder(ctx context.Context, name string, metadata map[string]string) (place, error) {
	a, err := s.find(ctx, metadata)
	if err != nil {
		return place{}, err
	}
	name = strings.TrimPrefix(name, "/")
	if a.keyOnly {
		return place{account: a, key: name}, nil
	}
	bucket, key, _ := strings.Cut(name, "/")
	if bucket == "" {
		return place{}, fmt.Errorf("%w: the name %q must begin with a bucket", file.ErrInvalid, name)
	}
	return place{a, bucket, key}, nil
}

// explain makes an error of the contract of a server's refusal.
func (p place) explain(err error) error {
	e, ok := errors.AsType[*s3.Error](err)
	if !ok {
		return err
	}
	kind := map[s3.Class]error{
		s3.Invalid: file.ErrInvalid, s3.NotFound: file.ErrNotFound, s3.Permission: file.ErrPermission, s3.Full: file.ErrFull,
	}[e.Class]
	if kind == nil {
		return fmt.Errorf("the object store at %s: %w", p.c.Where(), err)
	}
	return fmt.Errorf("%w: %s: %w", kind, p.c.Where(), err)
}

// Put stores a file.
func (s *store) Put(ctx context.Context, name string, metadata map[string]string, r io.Reader) error {
	p, err := s.locate(ctx, name, metadata)
	if err != nil {
		return err
	}
	size := int64(0)
	if text := metadata[sizeKey]; text != "" {
		if size, err = strconv.ParseInt(text, 10, 64); err != nil || size < -1 {
			return fmt.Errorf("%w: metadata %s %q: must be the size in bytes", file.ErrInvalid, sizeKey, text)
		}
	}
	h := http.Header{}
	for name, value := range map[string]string{
		"X-Amz-Storage-Class": metadata[storageTypeKey], "X-Amz-Acl": metadata[aclKey],
		"Content-Type": cmp.Or(metadata[contentTypeKey], metadata["Content-Type"]),
	} {
		if value != "" {
			h.Set(name, value)
		}
	}
	_, err = p.c.Upload(ctx, p.bucket, p.key, h, size, r)
	return p.explain(err)
}

// Get opens a file.
func (s *store) Get(ctx context.Context, name string, metadata map[string]string) (io.ReadCloser, error) {
	p, err := s.locate(ctx, name, metadata)
	if err != nil {
		return nil, err
	}
	resp, err := p.c.Do(ctx, &s3.Request{Method: http.MethodGet, Bucket: p.bucket, Key: p.key})
	if err != nil {
		return nil, p.explain(err)
	}
	return resp.Body, nil
}

// maxPage is the most entries that these servers return at once.
const maxPage = 1000

// List lists the files whose names begin with name.
func (s *store) List(ctx context.Context, name string, metadata map[string]string, page file.Page) (*file.List, error) {
	if err := file.CheckPage(page); err != nil {
		return nil, err
	}
	p, err := s.folder(ctx, name, metadata)
	if err != nil {
		return nil, err
	}
	q := url.Values{"max-keys": {strconv.Itoa(min(cmp.Or(page.Size, maxPage), maxPage))}}
	if p.key != "" {
		q.Set("prefix", p.key)
	}
	if page.Marker != "" {
		q.Set("marker", page.Marker)
	}
	var in struct {
		IsTruncated bool
		Contents    []struct {
			Key, ETag, StorageClass string
			LastModified            time.Time
			Size                    int64
		}
	}
	if _, err := p.c.DoXML(ctx, &s3.Request{Method: http.MethodGet, Bucket: p.bucket, Query: q}, &in); err != nil {
		return nil, p.explain(err)
	}
	out := &file.List{Truncated: in.IsTruncated}
	for _, o := range in.Contents {
		info := file.Info{Name: o.Key, Size: o.Size, LastModified: o.LastModified, Metadata: map[string][]string{"ETag": {o.ETag}}}
		if o.StorageClass != "" {
			info.Metadata["StorageClass"] = []string{o.StorageClass}
		}
		out.Files = append(out.Files, info)
		out.Marker = o.Key
	}
	return out, nil
}

// Delete removes a file. These servers do not tell whether there was one.
func (s *store) Delete(ctx context.Context, name string, metadata map[string]string) error {
	p, err := s.locate(ctx, name, metadata)
	if err != nil {
		return err
	}
	resp, err := p.c.Do(ctx, &s3.Request{Method: http.MethodDelete, Bucket: p.bucket, Key: p.key})
	if err != nil {
		return p.explain(err)
	}
	return resp.Body.Close()
}

// Stat tells about a file: size, time, and the headers that the server tells.
func (s *store) Stat(ctx context.Context, name string, metadata map[string]string) (*file.Info, error) {
	p, err := s.locate(ctx, name, metadata)
	if err != nil {
		return nil, err
	}
	resp, err := p.c.Do(ctx, &s3.Request{Method: http.MethodHead, Bucket: p.bucket, Key: p.key})
	if err != nil {
		return nil, p.explain(err)
	}
	_ = resp.Body.Close()
	return &file.Info{
		Name: name, Size: s3.Int(resp.Header, "Content-Length"), LastModified: s3.Time(resp.Header, "Last-Modified"), Metadata: resp.Reported,
	}, nil
}

// Check tells whether the servers answer and know us.
func (s *store) Check(ctx context.Context) error {
	if s.closed.Load() {
		return file.ErrClosed
	}
	errs := make(chan error, len(s.accounts))
	for _, a := range s.accounts {
		go func() { errs <- a.c.Check(ctx) }()
	}
	var all []error
	for range s.accounts {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// Close closes idle connections.
func (s *store) Close() error {
	s.closed.Store(true)
	for _, a := range s.accounts {
		a.c.Close()
	}
	return nil
}
