package s3

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7/pkg/s3utils"
	"golang.org/x/net/http/httpguts"
)

// Options are what a Client is made from.
type Options struct {
	// Dialect is what is spoken there.
	Dialect Dialect
	// Endpoint is a URL, or host[:port], which is https unless Plain. "" is
	// Amazon's own, for its dialect.
	Endpoint string
	// Plain says that an Endpoint without a scheme is http.
	Plain bool
	// Region is for signatures, and for Amazon's own endpoint. "" is us-east-1.
	Region string
	// AccessKeyID and AccessKeySecret are for signatures; without both, requests
	// are not signed.
	AccessKeyID, AccessKeySecret string
	// PathStyle puts the bucket into the path rather than into the host's name.
	// It is always so where the endpoint's host is an IP address or localhost, and
	// where Amazon's dialect is spoken by somebody else.
	PathStyle bool
	// BucketHost says that Endpoint is that of one bucket: requests name none.
	BucketHost bool
	// ConnectTimeout bounds connecting, ResponseTimeout the wait for the head of
	// an answer after a request was sent, IdleTimeout every wait for more of a
	// content. 0 is 5, 60 and 60 seconds.
	ConnectTimeout, ResponseTimeout, IdleTimeout time.Duration
}

// Client speaks to one object store. It is safe for concurrent use.
type Client struct {
	o        Options
	endpoint *url.URL
	http     *http.Client

	health health
}

// Defaults of Options.
const (
	defaultRegion   = "us-east-1"
	defaultConnect  = 5 * time.Second
	defaultResponse = 60 * time.Second
	defaultIdle     = 60 * time.Second
)

// New makes a client. It connects to nobody yet.
func New(o Options) (*Client, error) {
	o.Region = cmp.Or(o.Region, defaultRegion)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, defaultConnect)
	o.ResponseTimeout = cmp.Or(o.ResponseTimeout, defaultResponse)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, defaultIdle)
	if (o.AccessKeyID == "") != (o.AccessKeySecret == "") {
		return nil, errors.New("accessKeyID and accessKeySecret must both be there, or neither")
	}
	if o.Endpoint == "" {
		if o.Dialect.Name != aws {
			return nil, errors.New("endpoint is missing")
		}
		o.Endpoint = "s3." + o.Region + ".amazonaws.com"
	}
	if !strings.Contains(o.Endpoint, "://") {
		scheme := "https://"
		if host := hostOf(o.Endpoint); o.Plain || isLocal(host) {
			scheme = "http://"
		}
		o.Endpoint = scheme + o.Endpoint
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("endpoint %q is no URL of a server: write https://host:port", hideUser(o.Endpoint))
	}
	u.Path = ""
	switch host := u.Hostname(); {
	case o.BucketHost:
	case isLocal(host):
		o.PathStyle = true
	case o.Dialect.Name == aws && !strings.HasSuffix(host, ".amazonaws.com") && !strings.HasSuffix(host, ".amazonaws.com.cn"):
		// A server of one's own is seldom reached under the names of its buckets.
		o.PathStyle = true
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: o.ConnectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   o.ConnectTimeout,
		ResponseHeaderTimeout: o.ResponseTimeout,
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       60 * time.Second,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // an encoding is part of the object
	}
	return &Client{o: o, endpoint: u, http: &http.Client{
		Transport: transport,
		// A redirect would have to be signed again, for another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func hideUser(endpoint string) string {
	if i := strings.LastIndex(endpoint, "@"); i >= 0 {
		return "***" + endpoint[i:]
	}
	return endpoint
}

func hostOf(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return hostport
	}
	return host
}

func isLocal(host string) bool {
	return host == "localhost" || net.ParseIP(strings.Trim(host, "[]")) != nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Where names the server, for messages.
func (c *Client) Where() string { return c.endpoint.Host }

// Dialect returns what is spoken there.
func (c *Client) Dialect() Dialect { return c.o.Dialect }

// Request is one request. Headers that the dialects have under names of their own
// stand in it under Amazon's.
type Request struct {
	Method      string
	Bucket, Key string
	Query       url.Values
	Header      http.Header
	// Content is the body; nil for none.
	Content *Content
	// Signed is a URL to use as it is, in place of Bucket, Key, Query and a signature.
	Signed string
	// Once says that it must not be sent again: the second time would not do what
	// the first time did.
	Once bool
}

// Response is an answer that is a success.
type Response struct {
	Status int
	// Header has the headers under Amazon's names.
	Header http.Header
	// Reported has them as they came.
	Reported http.Header
	// Body is the content; the caller closes it.
	Body io.ReadCloser
	// Length is that of Body; -1: not known.
	Length int64
}

// tries is how often a request is sent at most.
const tries = 3

// Do sends a request, again when the server could not answer, and returns its
// answer if that is a success, else an *Error. ctx counts until Body is closed.
func (c *Client) Do(ctx context.Context, req *Request) (*Response, error) {
	pause := 100 * time.Millisecond
	for try := 1; ; try++ {
		resp, err := c.once(ctx, req)
		if err == nil {
			return resp, nil
		}
		if try == tries || req.Once || !again(err) {
			c.health.doubt(err)
			return nil, c.explain(ctx, err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
		pause *= 4
	}
}

// again tells whether sending a request again may help.
func again(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status >= 500 && e.Status != http.StatusNotImplemented && e.Status != http.StatusInsufficientStorage || e.Status == http.StatusTooManyRequests
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return false // it has taken long enough
	}
	return !errors.Is(err, context.Canceled)
}

// explain names the server in errors that are not its own.
func (c *Client) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // its URL may be signed
	}
	return fmt.Errorf("the object store at %s: %w", c.Where(), err)
}

func (c *Client) once(ctx context.Context, req *Request) (*Response, error) {
	// Waits for more of the content are bounded, too.
	inner, cancel := context.WithCancel(ctx)
	hreq, err := c.build(inner, req)
	if err != nil {
		cancel()
		return nil, err
	}
	hresp, err := c.http.Do(hreq) //nolint:bodyclose // by the caller, through idleBody, or by failure
	if err != nil {
		cancel()
		return nil, err
	}
	if hresp.StatusCode/100 != 2 {
		defer cancel()
		return nil, failure(hresp)
	}
	resp := &Response{Status: hresp.StatusCode, Reported: hresp.Header, Header: c.o.Dialect.toAmazon(hresp.Header), Length: hresp.ContentLength}
	resp.Body = newIdleBody(ctx, hresp.Body, c.o.IdleTimeout, cancel)
	return resp, nil
}

// build makes the HTTP request and signs it.
func (c *Client) build(ctx context.Context, req *Request) (*http.Request, error) {
	u, err := c.target(req)
	if err != nil {
		return nil, err
	}
	hreq, err := http.NewRequestWithContext(ctx, req.Method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("the request: %w", err)
	}
	hreq.URL = u // as it is
	hreq.Header = c.o.Dialect.fromAmazon(req.Header)
	hreq.Header.Set("User-Agent", "ottavo")
	for name, values := range hreq.Header {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
				return nil, &Error{Class: Invalid, Code: "InvalidHeader", Message: fmt.Sprintf("%q: %q cannot travel in a header: names are letters, digits and dashes, values have no line breaks", name, value)}
			}
		}
	}
	if req.Content != nil {
		body, err := req.Content.open()
		if err != nil {
			return nil, err
		}
		hreq.Body, hreq.ContentLength = body, req.Content.Size
		hreq.GetBody = req.Content.open
		if req.Content.Size == 0 {
			hreq.Body, hreq.GetBody = http.NoBody, nil
		}
	}
	if req.Signed == "" && c.o.AccessKeyID != "" {
		hreq = c.o.Dialect.sign(hreq, c.o, req, time.Now())
	}
	return hreq, nil
}

// target is the URL of a request.
func (c *Client) target(req *Request) (*url.URL, error) {
	if req.Signed != "" {
		u, err := url.Parse(req.Signed)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, &Error{Class: Invalid, Code: "InvalidURL", Message: "the signed URL is no URL"}
		}
		if u.Host != c.endpoint.Host && !strings.HasSuffix(u.Host, "."+c.endpoint.Host) {
			return nil, &Error{Class: Invalid, Code: "InvalidURL", Message: "the signed URL is for " + u.Host + ", and this store is " + c.endpoint.Host}
		}
		return u, nil
	}
	u := *c.endpoint
	path := "/" + req.Key
	switch {
	case req.Bucket == "" || c.o.BucketHost:
	case c.pathStyle(req.Bucket):
		path = "/" + req.Bucket + path
	default:
		u.Host = req.Bucket + "." + u.Host
	}
	u.Path, u.RawPath = path, s3utils.EncodePath(path)
	u.RawQuery = strings.ReplaceAll(req.Query.Encode(), "+", "%20")
	return &u, nil
}

// pathStyle tells where the bucket goes: a certificate for *.host holds for no dot.
func (c *Client) pathStyle(bucket string) bool {
	return c.o.PathStyle || c.endpoint.Scheme == "https" && c.o.Dialect.Name == aws && strings.Contains(bucket, ".") || strings.ToLower(bucket) != bucket
}

// maxXML bounds answers that are read as a whole, in bytes.
const maxXML = 16 << 20

// DoXML sends a request whose answer is XML, and decodes it into out, unless that
// is nil or the answer is empty.
func (c *Client) DoXML(ctx context.Context, req *Request, out any) (*Response, error) {
	resp, err := c.Do(ctx, req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxXML+1))
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if len(data) > maxXML {
		return nil, fmt.Errorf("the object store at %s: its answer is longer than %d bytes", c.Where(), maxXML)
	}
	if e := lateError(data); e != nil {
		return nil, e
	}
	if out == nil || len(bytes.TrimSpace(data)) == 0 {
		return resp, nil
	}
	if err := xml.Unmarshal(data, out); err != nil {
		return nil, fmt.Errorf("the object store at %s: its answer cannot be read: %w", c.Where(), err)
	}
	return resp, nil
}

// Presign returns a URL that allows one request without our credentials.
func (c *Client) Presign(method, bucket, key string, good time.Duration) (string, error) {
	if c.o.AccessKeyID == "" {
		return "", &Error{Class: Invalid, Code: "NoCredentials", Message: "there are no credentials to sign a URL with"}
	}
	req := &Request{Method: method, Bucket: bucket, Key: key}
	u, err := c.target(req)
	if err != nil {
		return "", err
	}
	hreq := &http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}
	return c.o.Dialect.presign(hreq, c.o, req, time.Now(), good), nil
}

// idleBody is the content of an answer; a wait for more of it ends after a while.
type idleBody struct {
	io.ReadCloser
	ctx     context.Context
	timeout time.Duration
	timer   *time.Timer
	cancel  context.CancelFunc
	once    sync.Once
	expired bool
	mu      sync.Mutex
}

func newIdleBody(ctx context.Context, body io.ReadCloser, timeout time.Duration, cancel context.CancelFunc) *idleBody {
	b := &idleBody{ReadCloser: body, ctx: ctx, timeout: timeout, cancel: cancel}
	b.timer = time.AfterFunc(timeout, b.expire)
	b.timer.Stop()
	return b
}

func (b *idleBody) expire() {
	b.mu.Lock()
	b.expired = true
	b.mu.Unlock()
	b.cancel()
}

func (b *idleBody) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err // although some of it may have arrived
	}
	b.timer.Reset(b.timeout)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.expired {
			err = fmt.Errorf("the object store sent nothing for %s: %w", b.timeout, context.DeadlineExceeded)
		}
	}
	return n, err
}

func (b *idleBody) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.once.Do(func() { b.cancel() })
	return err
}

// Int reads a number of a header; 0 if there is none.
func Int(h http.Header, name string) int64 {
	n, _ := strconv.ParseInt(h.Get(name), 10, 64)
	return n
}

// Time reads a time of a header; zero if there is none.
func Time(h http.Header, name string) time.Time {
	t, _ := http.ParseTime(h.Get(name))
	return t
}

// Flat returns headers with one value each.
func Flat(h http.Header) map[string]string {
	out := make(map[string]string, len(h))
	for name, values := range h {
		out[name] = strings.Join(values, ", ")
	}
	return out
}
