package interop

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/tlscontext/tlstest"
)

// serverName is in every certificate.
const serverName = "pay.example"

// rig is a core with one port on which everything is spoken, with and without
// TLS, and hosts behind it. The path says which host, and in which protocol:
//
//	/h1/…  the host, in HTTP/1       /s1/…  the same over TLS
//	/h2/…  the host, in HTTP/2       /s2/…  the same over TLS
//	/as/…  the host, as the caller   /late/… the host, as the caller, 3 s for all
//	/gone/… a host that is not there  anything else: no route
//
// Bytes of no known protocol go to a TCP server that echoes them.
type rig struct {
	*proxytest.Server
	*certs
	host, secure *host
	// addr is the port, and port its number.
	addr, port string
}

// certs are the certificates of a test.
type certs struct {
	// pem is the authority's certificate, file a file with it, and roots holds it.
	pem, file string
	roots     *x509.CertPool
	// chain, key and pair are a certificate for serverName.
	chain, key string
	pair       tls.Certificate
}

func newCerts(t testing.TB) *certs {
	t.Helper()
	authority := tlstest.NewAuthority(t, "ca")
	c := &certs{pem: authority.PEM, file: filepath.Join(t.TempDir(), "ca.pem"), roots: x509.NewCertPool()}
	c.chain, c.key = authority.Issue(t, 1, serverName)
	if err := os.WriteFile(c.file, []byte(c.pem), 0o600); err != nil {
		t.Fatal(err)
	}
	c.roots.AppendCertsFromPEM([]byte(c.pem))
	var err error
	if c.pair, err = tls.X509KeyPair([]byte(c.chain), []byte(c.key)); err != nil {
		t.Fatal(err)
	}
	return c
}

// towardsHosts is the TLS context of a cluster whose hosts have the certificate.
func (c *certs) towardsHosts() *config.TLS {
	return &config.TLS{Status: true, CACert: c.pem, ServerName: serverName}
}

// ofHosts is the TLS configuration of hosts.
func (c *certs) ofHosts() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.pair}}
}

// ofCallers is the TLS configuration of callers.
func (c *certs) ofCallers() *tls.Config {
	return &tls.Config{RootCAs: c.roots, ServerName: serverName}
}

// newRig starts a rig with further clusters, each with its route.
func newRig(t testing.TB, c *certs, more ...backend) *rig {
	t.Helper()
	r := &rig{certs: c, host: newHost(t, nil), secure: newHost(t, c.ofHosts())}
	secure := proxytest.Cluster("secure", r.secure.addr)
	secure.TLSContext = c.towardsHosts()
	snapshot := &config.Snapshot{
		Listeners: []config.Listener{proxytest.Bound("any", "r", "127.0.0.1:0")},
		Clusters: []config.Cluster{
			proxytest.Cluster("plain", r.host.addr), secure,
			proxytest.Cluster("gone", testserver.Addr(t)), proxytest.Cluster("echo", echoTCP(t)),
		},
	}
	routes := []config.Route{
		via("/h1/", "plain", "Http1"), via("/h2/", "plain", "Http2"), via("/s1/", "secure", "Http1"), via("/s2/", "secure", "Http2"),
		via("/as/", "plain", ""), via("/late/", "plain", ""), via("/gone/", "gone", ""),
	}
	routes[5].Route.Timeout = 3 * time.Second // in which a busy machine, too, reaches the host
	for _, b := range more {
		if b.secure {
			b.cluster.TLSContext = c.towardsHosts()
		}
		if b.cluster.Name != "" {
			snapshot.Clusters = append(snapshot.Clusters, b.cluster)
		}
		routes = append(routes, b.route)
	}
	for i := range snapshot.Clusters {
		snapshot.Clusters[i].ConnectTimeout = patience / 2 // machines are busy
	}
	snapshot.Routers = []config.Router{proxytest.Router("r", routes...)}
	l := &snapshot.Listeners[0]
	l.Inspector = true
	l.FilterChains[0].TLSContext = &config.TLS{Status: true, CertChain: c.chain, PrivateKey: c.key}
	l.FilterChains[0].Filters[0].Config["downstream_protocol"] = "Auto"
	l.FilterChains[0].Filters[0].Config["fallback_for_unknown_protocol"] = true
	l.FilterChains[0].Filters = append(l.FilterChains[0].Filters, config.Extension{Type: "tcp_proxy", Config: map[string]any{"cluster": "echo"}})

	r.Server = proxytest.Start(t, nil, snapshot)
	r.addr = r.Addr(t, "any")
	_, r.port, _ = net.SplitHostPort(r.addr)
	t.Cleanup(func() {
		// Whatever callers and hosts do, the core itself makes no mistake.
		for _, rec := range r.Records.All() {
			if rec.Err != nil && stream.AsError(rec.Err).Kind == stream.Internal {
				t.Errorf("%s %s: %v", rec.Method, rec.Path, rec.Err)
			}
		}
		if log := r.Log.String(); strings.Contains(log, "level=ERROR") {
			t.Errorf("the log has errors:\n%s", log)
		}
	})
	return r
}

// backend is a cluster, if it has a name, and a route; secure has it spoken to
// over TLS.
type backend struct {
	cluster config.Cluster
	route   config.Route
	secure  bool
}

func via(prefix, cluster, protocol string) config.Route {
	r := proxytest.To(prefix, cluster)
	r.Route.UpstreamProtocol = protocol
	return r
}
