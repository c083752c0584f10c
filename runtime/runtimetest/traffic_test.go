package runtimetest_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/tlscontext/tlstest"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
)

// TestH1SharedTLSContext (row H1): the TLS context of cluster_manager is that of
// the clusters that ask for it, and of no other.
func TestH1SharedTLSContext(t *testing.T) {
	ca := tlstest.NewAuthority(t, "ca")
	chain, key := ca.Issue(t, 1, "pay.example")
	pair, err := tls.X509KeyPair([]byte(chain), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.TLS != nil) })
	secure := httptest.NewUnstartedServer(answer)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(answer)
	t.Cleanup(plain.Close)
	rt := runtimetest.Start(t, fmt.Sprintf(`
servers:
- listeners:
  - {name: web, address: "127.0.0.1:0", filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, router_config_name: r}}]}]}
  routers:
  - router_config_name: r
    virtual_hosts: [{domains: ["*"], routers: [{route: {cluster_header: x-cluster}}]}]
cluster_manager:
  tls_context: {status: true, server_name: pay.example, ca_cert: %q}
  cluster_pool_enable: true
  clusters:
  - {name: a, cluster_manager_tls: true, hosts: [{address: %[2]q}]}
  - {name: b, cluster_manager_tls: true, hosts: [{address: %[2]q}]}
  - {name: c, hosts: [{address: %[3]q}]}
`, ca.PEM, secure.Listener.Addr(), plain.Listener.Addr()))
	for name, want := range map[string]string{"a": "true", "b": "true", "c": "false"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+rt.Addr(t, "web"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("x-cluster", name)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || strings.TrimSpace(string(body)) != want {
			t.Errorf("cluster %s: with TLS %s, want %s (%v)", name, body, want, err)
		}
	}
}
