package interop

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/tlscontext/tlstest"
)

// TestOnePort: curl in both versions, gRPC, and bytes that are none of the
// known protocols, each with and without TLS, on one port at the same time.
func TestOnePort(t *testing.T) {
	p := find(t, "curl")
	g := newGRPC(t, false)
	var wg sync.WaitGroup
	for range 3 {
		for _, way := range ways {
			wg.Go(func() {
				// A folder of its own: curl writes files.
				c := curl{program{p.path, t.TempDir()}, g.rig}
				for _, to := range []string{"/h1/doc", "/h2/doc", "/as/doc"} {
					rep := c.get(t, nil, way.scheme, to, way.args...)
					if rep.status != "200" || rep.version != way.version || rep.body != string(document) {
						t.Errorf("%s %s: %s, version %s, %d bytes\n%s", way.name, to, rep.status, rep.version, len(rep.body), rep.trace)
					}
				}
			})
		}
		for _, secure := range []bool{false, true} {
			conn := g.dial(t, secure)
			wg.Go(func() {
				both, err := pb.NewTestServiceClient(conn).FullDuplexCall(soon(t))
				if err != nil {
					t.Error(err)
					return
				}
				for turn := range 50 {
					m := message(1000)
					if err := both.Send(m); err != nil {
						t.Error(err)
						return
					}
					if got, err := both.Recv(); err != nil || !bytes.Equal(got.Payload.Body, m.Payload.Body) {
						t.Errorf("gRPC, TLS %v, turn %d: %v", secure, turn, err)
						return
					}
				}
				_ = both.CloseSend()
				_, _ = both.Recv()
			})
			for _, first := range []string{"\x00\x01\x02", "GETTER", "PRI * HTTP/1", "\xda\xbb\x02", "HELO there\r\n", " "} {
				wg.Go(func() {
					if err := echoed(g.rig, secure, []byte(first)); err != nil {
						t.Errorf("%q, TLS %v: %v", first, secure, err)
					}
				})
			}
		}
	}
	wg.Wait()
}

// echoed sends bytes that begin with first and expects them back, and the end
// behind them.
func echoed(r *rig, secure bool, first []byte) error {
	c, err := net.DialTimeout("tcp", r.addr, patience)
	if err != nil {
		return err
	}
	if secure {
		c = tls.Client(c, r.ofCallers())
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	words := append(first, noise(200_000)...)
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		_, _ = c.Write(words)
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
	})
	got, err := io.ReadAll(c)
	if err == nil && !bytes.Equal(got, words) {
		err = fmt.Errorf("%d bytes came back, not the %d that were sent", len(got), len(words))
	}
	return err
}

// TestServerSpeaksFirst: a caller that waits for the host's greeting gets it
// once nobody expects a word of the caller's any more; a slow one whose first
// bytes are those of a known protocol is served in that.
func TestServerSpeaksFirst(t *testing.T) {
	for _, inspector := range []bool{false, true} {
		t.Run(fmt.Sprintf("inspector %v", inspector), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := &proxytest.Network{}
				network.Host("mail:25", func(c net.Conn) {
					defer func() { _ = c.Close() }()
					_, _ = io.WriteString(c, "220 welcome\r\n")
					_, _ = io.Copy(c, c)
				})
				defer network.Host("mail:25", nil)
				l := proxytest.Listener("any", "r")
				l.Inspector = inspector
				chain := &l.FilterChains[0]
				if inspector {
					cert, key := tlstest.NewAuthority(t, "ca").Issue(t, 1, serverName)
					chain.TLSContext = &config.TLS{Status: true, CertChain: cert, PrivateKey: key}
				}
				chain.Filters[0].Config["downstream_protocol"] = "Auto"
				chain.Filters[0].Config["fallback_for_unknown_protocol"] = true
				chain.Filters = append(chain.Filters, config.Extension{Type: "tcp_proxy", Config: map[string]any{"cluster": "mail"}})
				s := proxytest.Start(t, network, &config.Snapshot{
					Listeners: []config.Listener{l},
					Routers:   []config.Router{proxytest.Router("r", proxytest.Answer("/", 200, "hello"))},
					Clusters:  []config.Cluster{proxytest.Cluster("mail", "mail:25")},
				})
				c := s.Dial(t, "any")
				start := time.Now()
				got := make([]byte, len("220 welcome\r\n"))
				if _, err := io.ReadFull(c, got); err != nil || string(got) != "220 welcome\r\n" {
					t.Fatalf("%q, %v", got, err)
				}
				if d := time.Since(start); d != 15*time.Second {
					t.Errorf("the greeting came after %v", d)
				}
				_, _ = io.WriteString(c, "QUIT\r\n")
				if _, err := io.ReadFull(c, got[:6]); err != nil || string(got[:6]) != "QUIT\r\n" {
					t.Errorf("%q, %v", got[:6], err)
				}
				_ = c.Close()

				slow := s.Dial(t, "any")
				time.Sleep(14 * time.Second)
				_, _ = io.WriteString(slow, "G")
				time.Sleep(time.Second / 2)
				_, _ = io.WriteString(slow, "ET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
				answer, err := io.ReadAll(slow)
				if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
					t.Errorf("%q, %v", answer, err)
				}
			})
		})
	}
}
