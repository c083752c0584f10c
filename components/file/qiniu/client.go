package qiniu

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what Qiniu asks for
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components/file"
)

const (
	// answerTime bounds the wait for an answer, idleTime every wait for more of a content.
	answerTime = 60 * time.Second
	// hostsFor is how long what Qiniu says of its servers counts.
	hostsFor = time.Hour
	// tokenFor is how long the tokens are good that we send along.
	tokenFor = time.Hour
	// maxAnswer bounds answers that are read as a whole, in bytes.
	maxAnswer = 16 << 20
	// tries is how often a request is sent at most.
	tries = 3
)

// client speaks to one bucket. It is safe for concurrent use.
type client struct {
	a    Account
	http *http.Client

	mu    sync.Mutex
	hosts hosts
	until time.Time // the hosts count
}

// hosts are the servers of the region that the bucket is in, as URLs.
type hosts struct{ up, rs, rsf string }

// refusal is an answer that is no success.
type refusal struct {
	status  int
	message string
	id      string
}

func (r *refusal) Error() string {
	s := fmt.Sprintf("status %d: %s", r.status, r.message)
	if r.id != "" {
		s += " (request " + r.id + ")"
	}
	return s
}

// Codes that Qiniu has beyond those of HTTP.
const (
	noSuchFile   = 612
	fileExists   = 614
	noSuchBucket = 631
)

// explain makes an error of the contract of any error.
func (c *client) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // its URL may be signed
	}
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return fmt.Errorf("qiniu: %w", err)
	}
	var kind error
	switch r.status {
	case noSuchFile, noSuchBucket, http.StatusNotFound:
		kind = file.ErrNotFound
	case fileExists:
		kind = file.ErrExists
	case http.StatusUnauthorized, http.StatusForbidden:
		kind = file.ErrPermission
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		kind = file.ErrInvalid
	default:
		return fmt.Errorf("qiniu: %w", err)
	}
	return fmt.Errorf("%w: qiniu: %w", kind, err)
}

// sign signs data: "key:signature".
func (c *client) sign(data string) string {
	m := hmac.New(sha1.New, []byte(c.a.AccessKeySecret))
	_, _ = m.Write([]byte(data))
	return c.a.AccessKeyID + ":" + base64.URLEncoding.EncodeToString(m.Sum(nil))
}

// uploadToken lets its bearer write one file, new or not.
func (c *client) uploadToken(key string) (string, error) {
	policy, err := json.Marshal(map[string]any{"scope": c.a.Bucket + ":" + key, "deadline": time.Now().Add(tokenFor).Unix()})
	if err != nil {
		return "", fmt.Errorf("qiniu: %w", err)
	}
	data := base64.URLEncoding.EncodeToString(policy)
	return c.sign(data) + ":" + data, nil
}

// entry names a file in a request.
func (c *client) entry(key string) string {
	return base64.URLEncoding.EncodeToString([]byte(c.a.Bucket + ":" + key))
}

// request is one request.
type request struct {
	method, url string
	header      http.Header
	body        []byte
	// signed says that it carries a token about itself.
	signed bool
}

// do sends a request, again when the server could not answer. The answer is a
// success, and the caller closes its body.
func (c *client) do(ctx context.Context, req *request) (*http.Response, error) {
	pause := 100 * time.Millisecond
	for try := 1; ; try++ {
		resp, err := c.once(ctx, req)
		if err == nil || try == tries || ctx.Err() != nil {
			return resp, err
		}
		if r, ok := errors.AsType[*refusal](err); ok && (r.status < 500 || r.status >= 600) {
			return nil, err
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

func (c *client) once(ctx context.Context, req *request) (*http.Response, error) {
	hreq, err := http.NewRequestWithContext(ctx, req.method, req.url, bytes.NewReader(req.body))
	if err != nil {
		return nil, err
	}
	for name, values := range req.header {
		hreq.Header[name] = values
	}
	if req.signed {
		data := hreq.URL.EscapedPath()
		if hreq.URL.RawQuery != "" {
			data += "?" + hreq.URL.RawQuery
		}
		hreq.Header.Set("Authorization", "QBox "+c.sign(data+"\n"))
	}
	resp, err := c.http.Do(hreq)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var body struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(data, &body)
	return nil, &refusal{resp.StatusCode, cmp.Or(body.Error, http.StatusText(resp.StatusCode)), resp.Header.Get("X-Reqid")}
}

// doJSON sends a request whose answer is JSON, and decodes it into out unless that is nil.
func (c *client) doJSON(ctx context.Context, req *request, out any) error {
	resp, err := c.do(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	return nil
}

// servers asks for the servers of the bucket's region.
func (c *client) servers(ctx context.Context) (hosts, error) {
	c.mu.Lock()
	h, fresh := c.hosts, time.Now().Before(c.until)
	c.mu.Unlock()
	if fresh {
		return h, nil
	}
	type domains struct {
		Domains    []string `json:"domains"`
		AccDomains []string `json:"acc_domains"`
	}
	var out struct {
		Hosts []struct {
			Up  domains `json:"up"`
			Rs  domains `json:"rs"`
			Rsf domains `json:"rsf"`
		} `json:"hosts"`
	}
	q := url.Values{"ak": {c.a.AccessKeyID}, "bucket": {c.a.Bucket}}
	err := c.doJSON(ctx, &request{method: http.MethodGet, url: c.url(c.a.UcHost) + "/v4/query?" + q.Encode()}, &out)
	if err != nil {
		return h, fmt.Errorf("asking %s for the servers of the bucket %q: %w", c.a.UcHost, c.a.Bucket, err)
	}
	if len(out.Hosts) == 0 || len(out.Hosts[0].Up.Domains) == 0 || len(out.Hosts[0].Rs.Domains) == 0 || len(out.Hosts[0].Rsf.Domains) == 0 {
		return h, fmt.Errorf("asking %s for the servers of the bucket %q: it names none", c.a.UcHost, c.a.Bucket)
	}
	first := out.Hosts[0]
	up := first.Up.Domains[0]
	if c.a.UseCdnDomains && len(first.Up.AccDomains) > 0 {
		up = first.Up.AccDomains[0]
	}
	h = hosts{up: c.url(up), rs: c.url(first.Rs.Domains[0]), rsf: c.url(first.Rsf.Domains[0])}
	c.mu.Lock()
	c.hosts, c.until = h, time.Now().Add(hostsFor)
	c.mu.Unlock()
	return h, nil
}

// url makes a URL of a host.
func (c *client) url(host string) string {
	switch {
	case strings.Contains(host, "://"):
		return strings.TrimRight(host, "/")
	case c.a.UseHTTPS:
		return "https://" + host
	}
	return "http://" + host
}

// download is the URL to read a file from; one that is signed where that is needed.
func (c *client) download(key string) string {
	u := c.url(c.a.Endpoint) + (&url.URL{Path: "/" + key}).EscapedPath()
	if !c.a.Private {
		return u
	}
	u += "?e=" + strconv.FormatInt(time.Now().Add(tokenFor).Unix(), 10)
	return u + "&token=" + c.sign(u)
}
