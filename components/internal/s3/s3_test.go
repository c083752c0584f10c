package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	o.AccessKeyID, o.AccessKeySecret = "id", "secret"
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestTarget: where requests go, and under which name of a host.
func TestTarget(t *testing.T) {
	for _, tt := range []struct {
		o           Options
		bucket, key string
		want        string
	}{
		{Options{Dialect: Amazon(), Region: "eu-west-1"}, "b", "k", "https://b.s3.eu-west-1.amazonaws.com/k"},
		{Options{Dialect: Amazon()}, "b.c", "k", "https://s3.us-east-1.amazonaws.com/b.c/k"},
		{Options{Dialect: Amazon(), Endpoint: "s3.cn-north-1.amazonaws.com.cn"}, "b", "k", "https://b.s3.cn-north-1.amazonaws.com.cn/k"},
		{Options{Dialect: Amazon(), Endpoint: "minio.example.com:9000"}, "b", "k", "https://minio.example.com:9000/b/k"},
		{Options{Dialect: Amazon(), Endpoint: "minio:9000", Plain: true}, "b", "k", "http://minio:9000/b/k"},
		{Options{Dialect: Amazon(), Endpoint: "127.0.0.1:9000"}, "b", "a b/+ä", "http://127.0.0.1:9000/b/a%20b/%2B%C3%A4"},
		{Options{Dialect: Amazon(), Endpoint: "[::1]:9000"}, "b", "k", "http://[::1]:9000/b/k"},
		{Options{Dialect: Aliyun(), Endpoint: "oss-cn-x.aliyuncs.com"}, "b", "k", "https://b.oss-cn-x.aliyuncs.com/k"},
		{Options{Dialect: Huawei(), Endpoint: "http://obs.example.com/"}, "b", "k", "http://b.obs.example.com/k"},
		{Options{Dialect: Huawei(), Endpoint: "http://obs.example.com", PathStyle: true}, "b", "k", "http://obs.example.com/b/k"},
		{Options{Dialect: Tencent(), Endpoint: "https://b-1.cos.x.myqcloud.com", BucketHost: true}, "", "k", "https://b-1.cos.x.myqcloud.com/k"},
		{Options{Dialect: Aliyun(), Endpoint: "oss.example.com"}, "", "", "https://oss.example.com/"},
	} {
		u, err := newClient(t, tt.o).target(&Request{Bucket: tt.bucket, Key: tt.key})
		if err != nil || u.String() != tt.want {
			t.Errorf("%+v: %v, %v, want %s", tt.o, u, err, tt.want)
		}
	}
}

// TestSignedURLs: a URL that somebody hands in goes to our server or nowhere.
func TestSignedURLs(t *testing.T) {
	c := newClient(t, Options{Dialect: Amazon()})
	signed, err := c.Presign(http.MethodGet, "b", "a b", time.Minute)
	if err != nil || !strings.HasPrefix(signed, "https://b.s3.us-east-1.amazonaws.com/a%20b?") || strings.Contains(signed, "secret") {
		t.Errorf("Presign: %s, %v", signed, err)
	}
	if u, err := c.target(&Request{Signed: signed}); err != nil || u.String() != signed {
		t.Errorf("%v, %v", u, err)
	}
	for _, bad := range []string{"http://169.254.169.254/latest", "https://s3.us-east-1.amazonaws.com.evil.example/b", "file:///etc/passwd", "%", "https://evils3.us-east-1.amazonaws.com/x"} {
		_, err := c.Do(t.Context(), &Request{Method: http.MethodGet, Signed: bad})
		if e, ok := errors.AsType[*Error](err); !ok || e.Class != Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestBadHeaders(t *testing.T) {
	c := newClient(t, Options{Dialect: Amazon()})
	for name, value := range map[string]string{"X-Amz-Meta-A": "x\r\nEvil: y", "X-Amz-Meta-a b": "x"} {
		_, err := c.Do(t.Context(), &Request{Method: http.MethodPut, Bucket: "b", Key: "k", Header: http.Header{name: {value}}})
		if e, ok := errors.AsType[*Error](err); !ok || e.Class != Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestResource: what is signed for OSS, against a signature of its documentation's kind.
func TestResource(t *testing.T) {
	d := hmacDialect{prefix: "x-oss-", signed: ossParams[:]}
	for query, want := range map[string]string{
		"": "/b/ä b", "acl=": "/b/ä b?acl", "uploadId=u%2B&partNumber=3&max-parts=4": "/b/ä b?partNumber=3&uploadId=u+",
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.resource("b", "ä b", q); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got := d.resource("", "", nil); got != "/" {
		t.Errorf("without a bucket: %s", got)
	}
}

func TestHeadersOfDialects(t *testing.T) {
	h := http.Header{"X-Amz-Acl": {"private"}, "X-Amz-Meta-A": {"1"}, "Etag": {"e"}}
	out := Aliyun().fromAmazon(h)
	if out.Get("X-Oss-Object-Acl") != "private" || out.Get("X-Oss-Meta-A") != "1" || out.Get("Etag") != "e" || len(out) != 3 {
		t.Errorf("%v", out)
	}
	if back := Aliyun().toAmazon(out); back.Get("X-Amz-Acl") != "private" || back.Get("X-Amz-Meta-A") != "1" || len(back) != 3 {
		t.Errorf("%v", back)
	}
}

// TestReadUpTo: small contents take small buffers.
func TestReadUpTo(t *testing.T) {
	for _, size := range []int{0, 1, firstRead - 1, firstRead, firstRead + 1, 1 << 20} {
		data, ended, err := ReadUpTo(t.Context(), bytes.NewReader(make([]byte, size)), 1<<20, nil)
		if err != nil || len(data) != size || ended != (size < 1<<20) {
			t.Errorf("%d bytes: %d, ended %v, %v", size, len(data), ended, err)
		}
		if cap(data) > 3*size+firstRead {
			t.Errorf("%d bytes are held in %d", size, cap(data))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := ReadUpTo(ctx, strings.NewReader("x"), 10, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// FuzzAnswers: what a server sends back never makes us panic, and a refusal is one.
func FuzzAnswers(f *testing.F) {
	f.Add(404, `<Error><Code>NoSuchKey</Code></Error>`)
	f.Add(200, `<?xml version="1.0"?><Error><Code>InternalError</Code></Error>`)
	f.Add(500, `<Error`)
	f.Add(301, ``)
	f.Fuzz(func(t *testing.T, status int, body string) {
		resp := &http.Response{StatusCode: status, Header: http.Header{"X-Amz-Delete-Marker": {"true"}}, Body: io.NopCloser(strings.NewReader(body))}
		if e := failure(resp); e.Error() == "" || e.Class > Full {
			t.Errorf("%+v", e)
		}
		if e := lateError([]byte(body)); e != nil && !strings.Contains(body, "<Error>") {
			t.Errorf("%+v", e)
		}
	})
}
