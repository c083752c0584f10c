package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
)

// caller is a client of package net/http that speaks one version to the port.
type caller struct {
	http   *http.Client
	scheme string
	proto  int
}

// goClient makes a caller that speaks version ("1.1" or "2"), with TLS if scheme is https.
func goClient(t testing.TB, r *rig, scheme, version string) *caller {
	t.Helper()
	transport := &http.Transport{
		DisableCompression: true,
		TLSClientConfig:    r.ofCallers(),
		Protocols:          new(http.Protocols),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", r.addr)
		},
	}
	c := &caller{http: &http.Client{Transport: transport, Timeout: patience}, scheme: scheme, proto: 1}
	switch {
	case version != "2":
		transport.Protocols.SetHTTP1(true)
	case scheme == "https":
		transport.Protocols.SetHTTP2(true)
	default:
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	if version == "2" {
		c.proto = 2
	}
	t.Cleanup(transport.CloseIdleConnections)
	return c
}

// answer is what a caller got, whole.
type answer struct {
	status          int
	length          int64
	body            string
	header, trailer http.Header
	tls             *tls.ConnectionState
	// err is what kept the answer from being whole.
	err error
}

// do sends a request and reads the answer. change (nil: nothing) may change the request.
func (c *caller) do(t testing.TB, method, path string, body []byte, change func(*http.Request)) answer {
	t.Helper()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(soon(t), method, c.scheme+"://"+serverName+path, r)
	if err != nil {
		t.Error(err)
		return answer{err: err}
	}
	if change != nil {
		change(req)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.ProtoMajor != c.proto {
		t.Errorf("%s %s was answered in %s", method, path, resp.Proto)
	}
	got, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.ContentLength, string(got), resp.Header, resp.Trailer, resp.TLS, err}
}
