package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/tlscontext/tlstest"
)

// serving is a listener with TLS that answers /x itself.
func serving(contexts ...config.TLS) *config.Snapshot {
	l := proxytest.Bound("web", "r", "127.0.0.1:0")
	l.FilterChains[0].TLSContextSet = contexts
	return &config.Snapshot{Listeners: []config.Listener{l}, Routers: []config.Router{proxytest.Router("r", proxytest.Answer("/", 200, "hello"))}}
}

// secureGet sends GET / to address over TLS (or without) and returns body and certificate.
func secureGet(t *testing.T, address, scheme string, cfg *tls.Config) (string, *x509.Certificate, error) {
	t.Helper()
	c := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: cfg,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		},
	}}
	resp, err := c.Get(scheme + "://pay.example/")
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if resp.TLS == nil {
		return string(body), nil, err
	}
	return string(body), resp.TLS.PeerCertificates[0], err
}

func trusting(t *testing.T, ca *tlstest.Authority) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(ca.PEM)) {
		t.Fatal("no certificate")
	}
	return &tls.Config{RootCAs: pool, ServerName: "pay.example"}
}

func addr(t *testing.T, s *proxytest.Server, name string) string {
	t.Helper()
	for _, l := range s.Listeners() {
		if l.Name == name {
			return l.Addr.String()
		}
	}
	t.Fatalf("there is no listener %s", name)
	return ""
}

func TestTLSTowardsCallers(t *testing.T) {
	ca := tlstest.NewAuthority(t, "ca")
	chain, key := ca.Issue(t, 7, "pay.example")
	s := proxytest.Start(t, nil, serving(config.TLS{Status: true, CertChain: chain, PrivateKey: key}))
	body, cert, err := secureGet(t, addr(t, s, "web"), "https", trusting(t, ca))
	if err != nil || body != "hello" || cert.SerialNumber.Int64() != 7 {
		t.Errorf("%q, %v, %v", body, cert, err)
	}
	// Without TLS there is nothing to be had, and no request is recorded.
	if body, _, err := secureGet(t, addr(t, s, "web"), "http", nil); err == nil {
		t.Errorf("plaintext was answered: %q", body)
	}
	s.Records.Wait(t, 1)
}

// TestInspector: B16, one port for TLS and plaintext.
func TestInspector(t *testing.T) {
	ca := tlstest.NewAuthority(t, "ca")
	chain, key := ca.Issue(t, 1, "pay.example")
	snapshot := serving(config.TLS{Status: true, CertChain: chain, PrivateKey: key})
	snapshot.Listeners[0].Inspector = true
	s := proxytest.Start(t, nil, snapshot)
	for _, scheme := range []string{"http", "https"} {
		if body, _, err := secureGet(t, addr(t, s, "web"), scheme, trusting(t, ca)); err != nil || body != "hello" {
			t.Errorf("%s: %q, %v", scheme, body, err)
		}
	}
}

// TestCertificateReplaced: a certificate whose files change is used for the
// next handshake, without a restart.
func TestCertificateReplaced(t *testing.T) {
	ca := tlstest.NewAuthority(t, "ca")
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(serial int64) {
		chain, key := ca.Issue(t, serial, "pay.example")
		for file, text := range map[string]string{certFile: chain, keyFile: key} {
			if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			at := time.Unix(serial*1000, 0)
			if err := os.Chtimes(file+".new", at, at); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(file+".new", file); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(1)
	s := proxytest.Start(t, nil, serving(config.TLS{Status: true, CertChain: certFile, PrivateKey: keyFile}))
	serial := func() int64 {
		_, cert, err := secureGet(t, addr(t, s, "web"), "https", trusting(t, ca))
		if err != nil {
			t.Fatal(err)
		}
		return cert.SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Fatalf("certificate %d", got)
	}
	write(2)
	deadline := time.Now().Add(time.Minute)
	for serial() != 2 {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate was not taken")
		}
	}
	// It is in force a moment before the log tells.
	for !strings.Contains(s.Log.String(), "a newer certificate is in force") {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not tell: %s", s.Log)
		}
		runtime.Gosched()
	}
}

// TestTLSTowardsHosts: the cluster's TLS, with the host's certificate verified
// and our own shown.
func TestTLSTowardsHosts(t *testing.T) {
	ca, other := tlstest.NewAuthority(t, "ca"), tlstest.NewAuthority(t, "other")
	chain, key := ca.Issue(t, 1, "pay.example")
	own, ownKey := ca.Issue(t, 2, "sidecar")
	pair, err := tls.X509KeyPair([]byte(chain), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	host := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s by %s", r.URL.Path, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	host.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusting(t, ca).RootCAs}
	host.Config.ErrorLog = nil
	host.StartTLS()
	defer host.Close()
	good := config.TLS{Status: true, CACert: ca.PEM, ServerName: "pay.example", CertChain: own, PrivateKey: ownKey}
	for _, c := range []struct {
		name   string
		change func(*config.TLS)
		status int
	}{
		{"good", func(*config.TLS) {}, 200},
		{"other authority", func(c *config.TLS) { c.CACert = other.PEM }, 503},
		{"other name", func(c *config.TLS) { c.ServerName = "other.example" }, 503},
		{"not verified", func(c *config.TLS) { c.CACert, c.ServerName, c.InsecureSkip = "", "", true }, 200},
		{"without TLS", func(c *config.TLS) { c.Status = false }, 400}, // the host's own answer
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := proxytest.Cluster("c", host.Listener.Addr().String())
			ctx := good
			c.change(&ctx)
			cluster.TLSContext = &ctx
			s := proxytest.Start(t, nil, &config.Snapshot{
				Listeners: []config.Listener{proxytest.Bound("web", "r", "127.0.0.1:0")},
				Routers:   []config.Router{proxytest.Router("r", proxytest.To("/", "c"))}, Clusters: []config.Cluster{cluster},
			})
			for range 3 { // over kept connections, too
				resp, err := proxytest.Client(t, addr(t, s, "web")).Get("http://x/path")
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != c.status || c.status == 200 && string(body) != "/path by sidecar" {
					t.Errorf("%d %q, want %d", resp.StatusCode, body, c.status)
				}
			}
		})
	}
}

// TestFallbackToTCP: E17, what no protocol recognises is passed on.
func TestFallbackToTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_, _ = io.Copy(c, c) // an echo
			}()
		}
	}()
	snapshot := &config.Snapshot{
		Listeners: []config.Listener{proxytest.Bound("any", "r", "127.0.0.1:0")},
		Routers:   []config.Router{proxytest.Router("r", proxytest.Answer("/", 200, "hello"))},
		Clusters:  []config.Cluster{proxytest.Cluster("echo", l.Addr().String())},
	}
	chain := &snapshot.Listeners[0].FilterChains[0]
	chain.Filters[0].Config["downstream_protocol"] = "Auto"
	chain.Filters[0].Config["fallback_for_unknown_protocol"] = true
	chain.Filters = append(chain.Filters, config.Extension{Type: "tcp_proxy", Config: map[string]any{"cluster": "echo"}})
	s := proxytest.Start(t, nil, snapshot)
	if body, _, err := secureGet(t, addr(t, s, "any"), "http", nil); err != nil || body != "hello" {
		t.Errorf("HTTP: %q, %v", body, err)
	}
	c, err := net.Dial("tcp", addr(t, s, "any"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	const words = "\x00\x01 something else entirely"
	if _, err := io.WriteString(c, words); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(words))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != words {
		t.Errorf("%q, %v", got, err)
	}
}

// TestUnknownProtocol: without a fallback, the connection is closed and one
// record says why.
func TestUnknownProtocol(t *testing.T) {
	snapshot := serving()
	snapshot.Listeners[0].FilterChains[0].Filters[0].Config["downstream_protocol"] = "Http1,Http2"
	s := proxytest.Start(t, nil, snapshot)
	c, err := net.Dial("tcp", addr(t, s, "web"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, "\x00\x01\x02\x03"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("it was answered")
	}
	if r := s.Records.Last(t, 1); r.Err == nil || !strings.Contains(r.Err.Error(), "Http1,Http2") {
		t.Errorf("%+v", r)
	}
}

// TestCaptureDialedDirectly: a listener to which a firewall brings connections
// also serves those that dial it.
func TestCaptureDialedDirectly(t *testing.T) {
	snapshot := serving()
	snapshot.Listeners[0].UseOriginalDst = "redirect"
	s := proxytest.Start(t, nil, snapshot)
	if body, _, err := secureGet(t, addr(t, s, "web"), "http", nil); err != nil || body != "hello" {
		t.Errorf("%q, %v", body, err)
	}
}

// TestUnknownListenerFilter is refused, with its place and what is known.
func TestUnknownListenerFilter(t *testing.T) {
	snapshot := serving()
	snapshot.Listeners[0].ListenerFilters = []config.Extension{{Type: "nosuch"}}
	_, err := proxytest.New(t, nil, snapshot)
	if err == nil || !strings.Contains(err.Error(), `listeners[0].listener_filters[0].type: unknown listener filter "nosuch" (known: original_dst)`) {
		t.Errorf("%v", err)
	}
}

// TestSingleProtocolFallsBack: even one protocol has to be recognised when
// somebody else takes what it does not know.
func TestSingleProtocolFallsBack(t *testing.T) {
	snapshot := serving()
	chain := &snapshot.Listeners[0].FilterChains[0]
	chain.Filters[0].Config["fallback_for_unknown_protocol"] = true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.ReadFull(c, make([]byte, 3)) // unread bytes would make the end a reset
			_, _ = io.WriteString(c, "passed on")
			_ = c.Close()
		}
	}()
	snapshot.Clusters = []config.Cluster{proxytest.Cluster("other", l.Addr().String())}
	chain.Filters = append(chain.Filters, config.Extension{Type: "tcp_proxy", Config: map[string]any{"cluster": "other"}})
	s := proxytest.Start(t, nil, snapshot)
	c, err := net.Dial("tcp", addr(t, s, "web"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "passed on" {
		t.Errorf("%q, %v", got, err)
	}
}
