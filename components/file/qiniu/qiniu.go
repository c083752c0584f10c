package qiniu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the type name of this store.
const Type = "qiniu.oss"

// Metadata is the configuration: one account, or a list of one.
type Metadata struct {
	Account
	// Clients is the account in a list, as Layotto writes it.
	Clients []Account `json:"clients"`
}

// Account is a bucket, and who we are there.
type Account struct {
	// Endpoint is the domain that files are read from; without a scheme it is
	// http, or https with UseHTTPS.
	Endpoint        string `json:"endpoint"`
	AccessKeyID     string `json:"accessKeyID"`
	AccessKeySecret string `json:"accessKeySecret"`
	Bucket          string `json:"bucket"`
	// Private says that reading needs a signature.
	Private bool `json:"private"`
	// UseHTTPS is for servers whose names are without a scheme.
	UseHTTPS bool `json:"useHTTPS"`
	// UseCdnDomains uploads through Qiniu's accelerated servers.
	UseCdnDomains bool `json:"useCdnDomains"`
	// UcHost is the server that knows the others; default Qiniu's own.
	UcHost string `json:"ucHost"`
}

const defaultUcHost = "https://uc.qiniuapi.com"

// upFor is how long the bucket counts as reachable after it was.
const upFor = 10 * time.Second

// store is the store.
type store struct {
	c      *client
	closed atomic.Bool

	mu    sync.Mutex
	until time.Time // it counts as up
}

// New makes the store. Nothing is connected to yet: that Qiniu cannot be reached,
// or does not know us, is told by health.
func New(_ context.Context, _ components.Env, cfg components.Config) (file.Store, error) {
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	a := m.Account
	switch {
	case len(m.Clients) > 1 || len(m.Clients) == 1 && a != (Account{}):
		return nil, decode.Problems{{Path: cfg.SettingsPath(), Message: "has several accounts", Remedy: "keep one, and make a component for each of the others: names have no bucket here"}}
	case len(m.Clients) == 1:
		a = m.Clients[0]
	}
	var problems decode.Problems
	for key, value := range map[string]string{"endpoint": a.Endpoint, "accessKeyID": a.AccessKeyID, "accessKeySecret": a.AccessKeySecret, "bucket": a.Bucket} {
		if value == "" {
			problems = append(problems, decode.Problem{Path: decode.Join(cfg.SettingsPath(), key), Message: "is missing", Remedy: "write endpoint, accessKeyID, accessKeySecret and bucket"})
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	a.UcHost = cmp.Or(a.UcHost, defaultUcHost)
	return &store{c: &client{a: a, http: &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second,
		ResponseHeaderTimeout: answerTime, MaxIdleConnsPerHost: 16, IdleConnTimeout: 60 * time.Second, ForceAttemptHTTP2: true, DisableCompression: true,
	}}}}, nil
}

// key checks a name and whether the store is open.
func (s *store) key(ctx context.Context, name string) error {
	if err := file.CheckName(name); err != nil {
		return err
	}
	return s.ready(ctx)
}

func (s *store) ready(ctx context.Context) error {
	if s.closed.Load() {
		return file.ErrClosed
	}
	return ctx.Err()
}

// sizeKey is the key of a put's metadata that says how many bytes it has.
const sizeKey = "filesize"

// Put stores a file.
func (s *store) Put(ctx context.Context, name string, metadata map[string]string, r io.Reader) error {
	if err := s.key(ctx, name); err != nil {
		return err
	}
	size := int64(-1)
	if text := metadata[sizeKey]; text != "" {
		var err error
		if size, err = strconv.ParseInt(text, 10, 64); err != nil || size < -1 {
			return fmt.Errorf("%w: metadata %s %q: must be the size in bytes", file.ErrInvalid, sizeKey, text)
		}
	}
	err := s.c.upload(ctx, name, metadata["content-type"], size, r)
	if r, ok := errors.AsType[*readError](err); ok {
		return r
	}
	if err != nil && !errors.Is(err, file.ErrInvalid) {
		return s.c.explain(ctx, err)
	}
	return err
}

// Get opens a file.
func (s *store) Get(ctx context.Context, name string, _ map[string]string) (io.ReadCloser, error) {
	if err := s.key(ctx, name); err != nil {
		return nil, err
	}
	resp, err := s.c.do(ctx, &request{method: http.MethodGet, url: s.c.download(name)}) //nolint:bodyclose // by the caller, through content
	if err != nil {
		return nil, s.c.explain(ctx, err)
	}
	return &content{ReadCloser: resp.Body, ctx: ctx}, nil
}

// content ends with its context, although some of it may have arrived.
type content struct {
	io.ReadCloser
	ctx context.Context
}

func (c *content) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.ReadCloser.Read(p)
}

// stat is what Qiniu tells of a file.
type stat struct {
	Key      string `json:"key"`
	Hash     string `json:"hash"`
	MimeType string `json:"mimeType"`
	Size     int64  `json:"fsize"`
	PutTime  int64  `json:"putTime"` // in units of 100 ns
	Type     int    `json:"type"`
}

func (x *stat) info(name string) file.Info {
	return file.Info{Name: name, Size: x.Size, LastModified: time.Unix(0, x.PutTime*100), Metadata: map[string][]string{
		"hash": {x.Hash}, "mimeType": {x.MimeType}, "type": {strconv.Itoa(x.Type)},
	}}
}

// List lists the files whose names begin with name. The marker of a page is Qiniu's own.
func (s *store) List(ctx context.Context, name string, _ map[string]string, page file.Page) (*file.List, error) {
	if err := errors.Join(file.CheckPage(page), s.ready(ctx)); err != nil {
		return nil, err
	}
	h, err := s.c.servers(ctx)
	if err != nil {
		return nil, s.c.explain(ctx, err)
	}
	q := url.Values{"bucket": {s.c.a.Bucket}, "prefix": {name}, "marker": {page.Marker}, "limit": {strconv.Itoa(min(cmp.Or(page.Size, file.DefaultPage), file.DefaultPage))}}
	var out struct {
		Marker string `json:"marker"`
		Items  []stat `json:"items"`
	}
	if err := s.c.doJSON(ctx, &request{method: http.MethodGet, url: h.rsf + "/list?" + q.Encode(), signed: true}, &out); err != nil {
		return nil, s.c.explain(ctx, err)
	}
	l := &file.List{Marker: out.Marker, Truncated: out.Marker != ""}
	for i := range out.Items {
		l.Files = append(l.Files, out.Items[i].info(out.Items[i].Key))
	}
	return l, nil
}

// Delete removes a file.
func (s *store) Delete(ctx context.Context, name string, _ map[string]string) error {
	if err := s.key(ctx, name); err != nil {
		return err
	}
	h, err := s.c.servers(ctx)
	if err == nil {
		err = s.c.doJSON(ctx, &request{method: http.MethodPost, url: h.rs + "/delete/" + s.c.entry(name), signed: true}, nil)
	}
	if err != nil {
		return s.c.explain(ctx, err)
	}
	return nil
}

// Stat tells about a file.
func (s *store) Stat(ctx context.Context, name string, _ map[string]string) (*file.Info, error) {
	if err := s.key(ctx, name); err != nil {
		return nil, err
	}
	h, err := s.c.servers(ctx)
	if err != nil {
		return nil, s.c.explain(ctx, err)
	}
	var out stat
	if err := s.c.doJSON(ctx, &request{method: http.MethodGet, url: h.rs + "/stat/" + s.c.entry(name), signed: true}, &out); err != nil {
		return nil, s.c.explain(ctx, err)
	}
	info := out.info(name)
	return &info, nil
}

// Check tells whether the bucket can be reached with our credentials.
func (s *store) Check(ctx context.Context) error {
	s.mu.Lock()
	up := time.Now().Before(s.until)
	s.mu.Unlock()
	if up && !s.closed.Load() {
		return nil
	}
	if _, err := s.List(ctx, "", nil, file.Page{Size: 1}); err != nil {
		return err
	}
	s.mu.Lock()
	s.until = time.Now().Add(upFor)
	s.mu.Unlock()
	return nil
}

// Close closes idle connections.
func (s *store) Close() error {
	s.closed.Store(true)
	s.c.http.CloseIdleConnections()
	return nil
}
