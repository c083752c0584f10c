package runtime_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/tlscontext/tlstest"
	"github.com/ottavo-runtime/ottavo/runtime"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// pemFiles are a folder with certificates and keys, and what no message may hold.
type pemFiles struct {
	dir, chain, key string
	secrets         []string
}

func newPEMFiles(t *testing.T) pemFiles {
	t.Helper()
	f := pemFiles{dir: t.TempDir()}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ca := tlstest.NewAuthority(t, "ca")
	f.chain, f.key = ca.Issue(t, 1, "pay.example")
	_, other := ca.Issue(t, 2, "other.example")
	write("ca.pem", ca.PEM)
	write("cert.pem", f.chain)
	write("key.pem", f.key)
	write("other.key", other)
	write("empty.pem", "")
	for _, text := range []string{f.key, other} {
		for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
			if !strings.HasPrefix(line, "-----") {
				f.secrets = append(f.secrets, line)
			}
		}
	}
	return f
}

// file is a configuration with one context on a listener and one on a cluster.
func (f pemFiles) file(listener, cluster string) string {
	return strings.ReplaceAll(fmt.Sprintf(`{
"servers": [{"listeners": [{"name": "a", "address": "127.0.0.1:1", "filter_chains": [{
"tls_context_set": [{"cert_chain": "nobody reads what is off"}, %s],
"filters": [{"type": "tcp_proxy", "config": {"cluster": "c"}}]}]}]}],
"cluster_manager": {
"tls_context": %s,
"clusters": [{"name": "c", "cluster_manager_tls": true, "hosts": [{"address": "h:1"}]}, {"name": "d", "cluster_manager_tls": true, "hosts": [{"address": "h:1"}]}]}}`,
		listener, cluster), "DIR", f.dir)
}

// TestValidateTLS: what is wrong with certificates is found without starting
// anything, with line and place, and keys are never shown.
func TestValidateTLS(t *testing.T) {
	files := newPEMFiles(t)
	const (
		goodServer = `{"status": true, "cert_chain": "DIR/cert.pem", "private_key": "DIR/key.pem", "ca_cert": "DIR/ca.pem", "verify_client": true}`
		goodClient = `{"status": true, "server_name": "pay.example", "ca_cert": "DIR/ca.pem"}`
		server     = "f.json:3: servers[0].listeners[0].filter_chains[0].tls_context_set[1]"
		client     = "f.json:6: cluster_manager.tls_context"
	)
	escape := func(pem string) string { return strings.ReplaceAll(pem, "\n", `\n`) }
	bare := strings.Join(files.secrets[:len(files.secrets)/2], "")
	for name, tt := range map[string]struct {
		server, client string
		warning, want  string // begin of the one there is
		then           string // and what it says further on
	}{
		"all is well":     {},
		"PEM texts":       {server: `{"status": true, "cert_chain": "` + escape(files.chain) + `", "private_key": "` + escape(files.key) + `"}`},
		"off":             {server: `{"cert_chain": "DIR/none.pem"}`, client: `{"ca_cert": "DIR/none.pem"}`},
		"no certificate":  {server: `{"status": true}`, want: server + ".cert_chain: a listener needs a certificate"},
		"no such file":    {server: `{"status": true, "cert_chain": "DIR/none.pem", "private_key": "DIR/key.pem"}`, want: server, then: "none.pem: no such file"},
		"no such key":     {server: `{"status": true, "cert_chain": "DIR/cert.pem", "private_key": "DIR/none.key"}`, want: server + ": private_key: neither PEM text nor a file that can be read: no such file"},
		"folder":          {server: `{"status": true, "cert_chain": "DIR/cert.pem", "private_key": "DIR"}`, want: server + ": private_key: neither PEM text nor a file that can be read: is no file"},
		"nothing in it":   {server: `{"status": true, "cert_chain": "DIR/empty.pem", "private_key": "DIR/key.pem"}`, want: server, then: "failed to find any PEM data"},
		"another's key":   {server: `{"status": true, "cert_chain": "DIR/cert.pem", "private_key": "DIR/other.key"}`, want: server, then: "private key does not match"},
		"exchanged":       {server: `{"status": true, "cert_chain": "DIR/key.pem", "private_key": "DIR/cert.pem"}`, want: server, then: "may have been switched"},
		"key only":        {server: `{"status": true, "private_key": "` + escape(files.key) + `"}`, want: server, then: "one of the two is missing"},
		"key without PEM": {server: `{"status": true, "cert_chain": "DIR/cert.pem", "private_key": "` + bare + `"}`, want: server + ": private_key: neither PEM text nor a file that can be read: "},
		"half a key":      {server: `{"status": true, "cert_chain": "DIR/cert.pem", "private_key": "` + escape(files.key[:len(files.key)/2]) + `"}`, want: server, then: "private_key"},
		"unknown suite":   {server: strings.Replace(goodServer, "{", `{"cipher_suites": "RC4", `, 1), want: server + `.cipher_suites: unknown suite "RC4"`},
		"weak suite":      {server: strings.Replace(goodServer, "{", `{"cipher_suites": "RSA-AES128-CBC-SHA", `, 1), want: server + `.cipher_suites: RSA-AES128-CBC-SHA is not secure`},
		"weak, wanted":    {server: strings.Replace(goodServer, "{", `{"allow_weak": true, "min_version": "TLS1.0", "cipher_suites": "RSA-AES128-CBC-SHA", `, 1)},
		"unknown curve":   {server: strings.Replace(goodServer, "{", `{"ecdh_curves": "p257", `, 1), want: server + `.ecdh_curves: unknown curve "p257"`},
		"old version":     {server: strings.Replace(goodServer, "{", `{"min_version": "TLS1.0", `, 1), warning: server + ".min_version: TLS1.0 is no longer secure"},
		"no authority":    {server: strings.Replace(goodServer, `"ca_cert": "DIR/ca.pem", `, "", 1), want: server + ".ca_cert: verify_client needs it"},
		"falls back":      {server: `{"status": true, "fall_back": true, "cert_chain": "DIR/none.pem", "private_key": "DIR/key.pem"}`, warning: server, then: "fall_back is set"},
		"extension":       {server: strings.Replace(goodServer, "{", `{"type": "spiffe", `, 1), want: server + `.type: unknown TLS extension "spiffe"`},
		"whose name":      {client: `{"status": true}`, want: client + ".server_name: needed to verify the hosts"},
		"not verified":    {client: `{"status": true, "insecure_skip": true}`, warning: client + ".insecure_skip: the hosts' certificates are not verified"},
		"no authorities":  {client: `{"status": true, "server_name": "a", "ca_cert": "DIR/key.pem"}`, want: client, then: "no certificate found in it"},
		"half a pair":     {client: `{"status": true, "server_name": "a", "cert_chain": "DIR/cert.pem"}`, want: client, then: "one of the two is missing"},
		"client's key":    {client: `{"status": true, "server_name": "a", "cert_chain": "DIR/cert.pem", "private_key": "` + bare + `"}`, want: client + ": private_key: neither PEM text nor a file that can be read: "},
	} {
		if tt.server == "" {
			tt.server = goodServer
		}
		if tt.client == "" {
			tt.client = goodClient
		}
		cfg, warnings, err := config.Parse("f.json", []byte(files.file(tt.server, tt.client)), runtime.Tables{}.ConfigOptions())
		errs := decode.AsProblems(err, "")
		one := func(ps decode.Problems, begin string) bool {
			return begin == "" && len(ps) == 0 || begin != "" && len(ps) == 1 && strings.HasPrefix(ps[0].String(), begin) && strings.Contains(ps[0].String(), tt.then)
		}
		if !one(warnings, tt.warning) || !one(errs, tt.want) {
			t.Errorf("%s:\nwarnings %v\nerrors   %v", name, warnings, errs)
		}
		all := fmt.Sprintf("%v %v %+v %#v", warnings, errs, cfg, cfg)
		if cfg != nil {
			all += fmt.Sprintf("%+v %#v", cfg.Proxy, *cfg.Proxy)
		}
		for _, secret := range files.secrets {
			if strings.Contains(all, secret) {
				t.Errorf("%s: shows a private key: %s", name, all)
			}
		}
	}
}

// TestValidateRoutesAndCapture: what packages of the proxy check themselves is
// found by validate, too.
func TestValidateRoutesAndCapture(t *testing.T) {
	const file = `servers:
- listeners:
  - name: a
    address: 127.0.0.1:1
    use_original_dst: redirekt
    filter_chains: [{filters: [{type: tcp_proxy, config: {cluster: c, routes: [{cluster: c, ports: "0-x"}]}}]}]
  - name: b
    address: 127.0.0.1:2
    use_original_dst: tproxy
    listener_filters: [{type: original_dst}]
    filter_chains: [{filters: [{type: tcp_proxy, config: {cluster: c}}]}]
cluster_manager: {clusters: [{name: c, hosts: [{address: "h:1"}]}]}
`
	_, _, err := config.Parse("f.yaml", []byte(file), runtime.Tables{}.ConfigOptions())
	errs := decode.AsProblems(err, "")
	if len(errs) != 2 ||
		!strings.HasPrefix(errs[0].String(), `f.yaml:5: servers[0].listeners[0].use_original_dst: unknown value "redirekt"`) ||
		!strings.HasPrefix(errs[1].String(), `f.yaml:6: servers[0].listeners[0].filter_chains[0].filters[0].config.routes[0].ports: "0-x" is no port`) {
		t.Errorf("%v", errs)
	}
}
