package tlscontext

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/tlscontext/tlstest"
)

func server(t *testing.T, list ...config.TLS) *Server {
	t.Helper()
	s, warnings, err := NewServer(list, nil, func(i int) string { return fmt.Sprintf("tls[%d]", i) })
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", err, warnings)
	}
	return s
}

func client(t *testing.T, cfg config.TLS) *Client {
	t.Helper()
	c, _, err := NewClient(cfg, nil, "tls")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// connect lets c offer what its context says.
func connect(c *Client) func(context.Context, net.Conn) (*tls.Conn, error) {
	return func(ctx context.Context, nc net.Conn) (*tls.Conn, error) { return c.Connect(ctx, nc, nil, false) }
}

// shake lets the two speak and returns what each knows then.
func shake(t *testing.T, s *tls.Config, connect func(context.Context, net.Conn) (*tls.Conn, error)) (cs, ss tls.ConnectionState, cerr, serr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := l.Accept()
		if err != nil {
			serr = err
			return
		}
		tc := tls.Server(nc, s)
		defer func() { _ = tc.Close() }()
		_ = tc.SetDeadline(time.Now().Add(time.Minute))
		if serr = tc.Handshake(); serr == nil {
			ss = tc.ConnectionState()
			_, serr = tc.Write([]byte("x"))
		}
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tc, cerr := connect(t.Context(), nc)
	if cerr == nil {
		cs = tc.ConnectionState()
		_ = tc.SetDeadline(time.Now().Add(time.Minute))
		_, cerr = io.ReadFull(tc, make([]byte, 1)) // in TLS 1.3 the server's refusal comes here
		_ = tc.Close()
	}
	<-done
	return cs, ss, cerr, serr
}

func TestVerifiesTheHost(t *testing.T) {
	ca, other := tlstest.NewAuthority(t, "ca"), tlstest.NewAuthority(t, "other")
	chain, key := ca.Issue(t, 1, "pay.example")
	s := server(t, config.TLS{Status: true, CertChain: chain, PrivateKey: key})
	for _, c := range []struct {
		name string
		cfg  config.TLS
		err  string
	}{
		{"good", config.TLS{CACert: ca.PEM, ServerName: "pay.example"}, ""},
		{"other name", config.TLS{CACert: ca.PEM, ServerName: "other.example"}, "not other.example"},
		{"other authority", config.TLS{CACert: other.PEM, ServerName: "pay.example"}, "unknown authority"},
		{"system's authorities", config.TLS{ServerName: "pay.example"}, "unknown authority"},
		{"not verified", config.TLS{InsecureSkip: true}, ""},
	} {
		c.cfg.Status = true
		state, _, err, _ := shake(t, s.Config(), connect(client(t, c.cfg)))
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		}
		if err == nil && state.Version != tls.VersionTLS13 {
			t.Errorf("%s: version %x", c.name, state.Version)
		}
	}
}

func TestMutual(t *testing.T) {
	ca, other := tlstest.NewAuthority(t, "ca"), tlstest.NewAuthority(t, "other")
	chain, key := ca.Issue(t, 1, "pay.example")
	own, ownKey := ca.Issue(t, 2, "client")
	strange, strangeKey := other.Issue(t, 3, "client")
	base := config.TLS{Status: true, CertChain: chain, PrivateKey: key, CACert: ca.PEM}
	none := config.TLS{Status: true, CACert: ca.PEM, ServerName: "pay.example"}
	good, bad := none, none
	good.CertChain, good.PrivateKey = own, ownKey
	bad.CertChain, bad.PrivateKey = strange, strangeKey
	for _, c := range []struct {
		verify, require bool
		client          config.TLS
		ok              bool
	}{
		{true, true, good, true},
		{true, true, none, false},
		{true, true, bad, false},
		{true, false, good, true},
		{true, false, none, true},
		{true, false, bad, false},
		{false, true, good, true},
		{false, true, none, false},
		{false, true, bad, true},
		{false, false, bad, true},
	} {
		cfg := base
		cfg.VerifyClient, cfg.RequireClientCert = c.verify, c.require
		_, state, cerr, serr := shake(t, server(t, cfg).Config(), connect(client(t, c.client)))
		if ok := cerr == nil && serr == nil; ok != c.ok {
			t.Errorf("verify %v, require %v, client's certificate %.30q…: %v, %v; want success %v", c.verify, c.require, c.client.CertChain, cerr, serr, c.ok)
		}
		if c.ok && c.verify && c.require && len(state.PeerCertificates) != 1 {
			t.Errorf("the server does not know its client: %v", state.PeerCertificates)
		}
	}
}

func TestChoice(t *testing.T) {
	ca := tlstest.NewAuthority(t, "ca")
	a, aKey := ca.Issue(t, 1, "a.example")
	b, bKey := ca.Issue(t, 2, "b.example", "*.b.example")
	c, cKey := ca.Issue(t, 3, "c.example")
	s := server(t,
		config.TLS{Status: true, CertChain: a, PrivateKey: aKey},
		config.TLS{Status: true, CertChain: b, PrivateKey: bKey},
		config.TLS{Status: false, CertChain: "switched off"},
		config.TLS{Status: true, CertChain: c, PrivateKey: cKey, ALPN: "sofa", ServerName: "alias.example"})
	for _, x := range []struct {
		name, alpn string
		serial     int64
	}{
		{"a.example", "", 1},
		{"b.example", "", 2},
		{"x.b.example", "", 2},
		{"alias.example", "", 3},
		{"nobody.example", "", 1},
		{"nobody.example", "sofa", 3},
		{"B.EXAMPLE", "", 2},
	} {
		cl := client(t, config.TLS{Status: true, InsecureSkip: true, ServerName: x.name, ALPN: x.alpn})
		state, _, err, serr := shake(t, s.Config(), connect(cl))
		if err != nil || serr != nil {
			t.Errorf("%+v: %v, %v", x, err, serr)
			continue
		}
		if got := state.PeerCertificates[0].SerialNumber.Int64(); got != x.serial {
			t.Errorf("%+v: certificate %d", x, got)
		}
	}
}

func TestRotation(t *testing.T) {
	ca := tlstest.NewAuthority(t, "ca")
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(file, text string, at time.Time) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	chain, key := ca.Issue(t, 1, "pay.example")
	write(certFile, chain, time.Unix(1000, 0))
	write(keyFile, key, time.Unix(1000, 0))
	s := server(t, config.TLS{Status: true, CertChain: certFile, PrivateKey: keyFile})
	cl := client(t, config.TLS{Status: true, CACert: ca.PEM, ServerName: "pay.example"})
	serial := func() int64 {
		state, _, err, _ := shake(t, s.Config(), connect(cl))
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0].SerialNumber.Int64()
	}
	refresh := func(wantChange, wantErr bool) {
		t.Helper()
		changed, err := s.Sources()[0].Refresh()
		if changed != wantChange || (err != nil) != wantErr {
			t.Errorf("Refresh: %v, %v; want %v, error %v", changed, err, wantChange, wantErr)
		}
	}
	refresh(false, false)
	chain, key = ca.Issue(t, 2, "pay.example")
	write(certFile, chain, time.Unix(2000, 0))
	refresh(false, true) // half written: the key does not fit yet
	if got := serial(); got != 1 {
		t.Errorf("certificate %d while the new one is not whole", got)
	}
	write(keyFile, key, time.Unix(2000, 0))
	refresh(true, false)
	if got := serial(); got != 2 {
		t.Errorf("certificate %d after the change", got)
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	refresh(false, true)
	if got := serial(); got != 2 {
		t.Errorf("certificate %d after its file has gone", got)
	}
}

func TestRefused(t *testing.T) {
	ca := tlstest.NewAuthority(t, "ca")
	chain, key := ca.Issue(t, 1, "pay.example")
	_, otherKey := ca.Issue(t, 2, "pay.example")
	good := config.TLS{Status: true, CertChain: chain, PrivateKey: key}
	for _, c := range []struct {
		change func(*config.TLS)
		want   string
	}{
		{func(c *config.TLS) { c.CertChain, c.PrivateKey = "", "" }, "tls[0].cert_chain: a listener needs a certificate"},
		{func(c *config.TLS) { c.PrivateKey = "" }, "one of the two is missing"},
		{func(c *config.TLS) { c.PrivateKey = otherKey }, "private key does not match public key"},
		{func(c *config.TLS) { c.CertChain = "/nowhere/cert.pem" }, "cert_chain: /nowhere/cert.pem: no such file"},
		{func(c *config.TLS) { c.CACert = "-----BEGIN nothing" }, "ca_cert: no certificate found"},
		{func(c *config.TLS) { c.VerifyClient = true }, "tls[0].ca_cert: verify_client needs it"},
		{func(c *config.TLS) { c.CipherSuites = "RSA-AES128-CBC-SHA" }, "RSA-AES128-CBC-SHA is not secure (leave it out, or set allow_weak: true)"},
		{func(c *config.TLS) { c.CipherSuites = "NO-SUCH" }, `unknown suite "NO-SUCH"`},
		{func(c *config.TLS) { c.CipherSuites = "ECDHE-RSA-SM4-SM3" }, "none of the suites is available"},
		{func(c *config.TLS) { c.ECDHCurves = "p256,p111" }, `unknown curve "p111"`},
		{func(c *config.TLS) { c.MinVersion = "SSL3" }, `unknown version "SSL3"`},
		{func(c *config.TLS) { c.MinVersion, c.MaxVersion = "TLS1.3", "TLS1.2" }, "below the lowest version"},
		{func(c *config.TLS) { c.Type = "nosuch" }, `unknown TLS extension "nosuch"`},
	} {
		cfg := good
		c.change(&cfg)
		_, _, err := NewServer([]config.TLS{cfg}, nil, func(i int) string { return fmt.Sprintf("tls[%d]", i) })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\nwant %q", err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "PRIVATE KEY") {
			t.Errorf("the error shows the key: %v", err)
		}
	}
	if _, _, err := NewClient(config.TLS{Status: true}, nil, "tls"); err == nil || !strings.Contains(err.Error(), "tls.server_name") {
		t.Errorf("a client without a name to verify: %v", err)
	}
	cfg := good
	cfg.PrivateKey, cfg.FallBack = otherKey, true
	s, warnings, err := NewServer([]config.TLS{cfg}, nil, func(int) string { return "tls" })
	if s != nil || err != nil || len(warnings) != 1 {
		t.Errorf("fall_back: %v, %v, %v", s, warnings, err)
	}
}

func TestWeakOnlyWhenAllowed(t *testing.T) {
	ca := tlstest.NewAuthority(t, "ca")
	chain, key := ca.Issue(t, 1, "pay.example")
	cfg := config.TLS{Status: true, CertChain: chain, PrivateKey: key, MinVersion: "TLS1.0"}
	old := func(ctx context.Context, nc net.Conn) (*tls.Conn, error) {
		tc := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, nc.Close())
		}
		return tc, nil
	}
	s, warnings, err := NewServer([]config.TLS{cfg}, nil, func(int) string { return "tls" })
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].String(), "TLS1.2 is the lowest") {
		t.Fatalf("%v, %v", warnings, err)
	}
	if _, _, err, _ := shake(t, s.Config(), old); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	cfg.AllowWeak, cfg.CipherSuites = true, "ECDHE-ECDSA-AES128-CBC-SHA"
	state, _, err, _ := shake(t, server(t, cfg).Config(), old)
	if err != nil || state.Version != tls.VersionTLS11 || state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA {
		t.Errorf("with allow_weak: %v, version %x, suite %x", err, state.Version, state.CipherSuite)
	}
}

func TestExtension(t *testing.T) {
	ca := tlstest.NewAuthority(t, "ca")
	chain, key := ca.Issue(t, 1, "pay.example")
	ext := Extension{Type: "named", New: func(options map[string]any) (func(tls.ConnectionState) error, error) {
		want := options["name"]
		return func(state tls.ConnectionState) error {
			if got := state.PeerCertificates[0].Subject.CommonName; got != want {
				return fmt.Errorf("%s is not %v", got, want)
			}
			return nil
		}, nil
	}}
	s := server(t, config.TLS{Status: true, CertChain: chain, PrivateKey: key})
	for name, ok := range map[string]bool{"pay.example": true, "other": false} {
		c, _, err := NewClient(config.TLS{
			Status: true, CACert: ca.PEM, ServerName: "pay.example", Type: "named",
			ExtendVerify: map[string]any{"name": name},
		}, []Extension{ext}, "tls")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err, _ := shake(t, s.Config(), connect(c)); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestALPN: what a context does not say is offered by the protocol; HTTP/2 is
// required, HTTP/1 is what everybody understands.
func TestALPN(t *testing.T) {
	ca := tlstest.NewAuthority(t, "ca")
	chain, key := ca.Issue(t, 1, "pay.example")
	for _, c := range []struct {
		server   string
		offer    []string
		required bool
		ok       bool
	}{
		{"h2,http/1.1", []string{"h2"}, true, true},
		{"", []string{"h2"}, true, false},
		{"", []string{"http/1.1"}, false, true},
		{"http/1.1", []string{"h2"}, true, false},
	} {
		s := server(t, config.TLS{Status: true, CertChain: chain, PrivateKey: key, ALPN: c.server})
		cl := client(t, config.TLS{Status: true, CACert: ca.PEM, ServerName: "pay.example"})
		_, _, err, _ := shake(t, s.Config(), func(ctx context.Context, nc net.Conn) (*tls.Conn, error) {
			return cl.Connect(ctx, nc, c.offer, c.required)
		})
		if (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
