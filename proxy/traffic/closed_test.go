package traffic

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

// Frames of Bolt with id 1, the first that a connection to a host uses.
const (
	boltAnswer = "0100000201000000010100000000000000000000"
	boltGoAway = "01010064010000000001000000000000000000000000"
)

// saying is a host that reads something, then says this, and then waits for the
// end of the connection, or ends it itself.
func saying(words string, ends bool) func(net.Conn) {
	return func(nc net.Conn) {
		_, _ = nc.Read(make([]byte, 4096))
		_, _ = io.WriteString(nc, words)
		if !ends {
			_, _ = io.Copy(io.Discard, nc)
		}
		_ = nc.Close()
	}
}

// Why connections to hosts have ended is counted at their cluster, once each.
func TestCloseCausesOfHosts(t *testing.T) {
	bytes := func(text string) string {
		b, err := hex.DecodeString(text)
		must(t, err)
		return string(b)
	}
	answer, whole := bytes(boltAnswer), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	gone := func(r *rig) { must(r.t, r.SetHosts("c", []config.Host{{Address: "host:2"}})) }
	for _, c := range []struct {
		name, protocol, keys string
		host                 func(net.Conn) // nil: one that answers in order, after a second
		calls                int
		goes                 bool // the caller goes: over HTTP after half a second, over Bolt afterwards
		then                 func(r *rig)
		want                 string
	}{
		{"the host goes", "bolt", "", saying(answer, true), 1, false, nil, "remote_close 1"},
		{"the host goes without an answer", "bolt", "", saying("", true), 1, false, nil, "remote_close 1"},
		{"the host sends what is no frame", "bolt", "", saying("GET / HTTP/1.1\r\n\r\n", false), 1, false, nil, "protocol_error 1"},
		{"the host sends what is too large", "bolt", "", saying(answer[:16]+"\xff\xff\xff\xff", false), 1, false, nil, "protocol_error 1"},
		{"the host wants no more", "bolt", "", saying(bytes(boltGoAway)+answer, false), 1, false, nil, "drain 1"},
		{"the host says nothing at all", "bolt", "keepalive: {interval: 1s, fail_count_to_close: 2}", saying("", false), 1, false, nil, "timeout 1"},
		{"the host stops midway", "bolt", "", saying(answer[:10], false), 2, false, nil, "timeout 1"},
		{"the host stops midway, and nobody asks again", "bolt", "", saying(answer[:10], false), 1, false, nil, "timeout 1"},
		{"nobody uses it", "bolt", "idle_timeout: 5s", nil, 1, false, nil, "idle_timeout 1"},
		{"it was used enough", "bolt", "max_request_per_conn: 1", nil, 3, false, nil, "local_close 2"}, // the last is closed when another is needed
		{"the host is taken out", "bolt", "", nil, 1, false, gone, "drain 1"},
		{"the end of the core", "bolt", "", nil, 1, false, func(r *rig) { r.Close() }, "local_close 1"},
		{"a caller is bound to it, and goes", "bolt", "pool_mode: binding", nil, 1, true, nil, "drain 1"},
		{"one call at a time, and it came too late", "bolt", "pool_mode: ping_pong", saying("", false), 1, false, nil, "timeout 1"},

		{"the host goes", "Http1", "", saying(whole, true), 1, false, func(*rig) { time.Sleep(time.Minute) }, "remote_close 1"},
		{"the host says that it goes", "Http1", "", saying(strings.Replace(whole, "OK\r\n", "OK\r\nConnection: close\r\n", 1), true), 1, false, nil, "local_close 1"},
		{"the host goes without an answer", "Http1", "", saying("", true), 1, false, nil, "remote_close 1"},
		{"the host sends no HTTP", "Http1", "", saying("\x01\x02\x03\r\n\r\n", false), 1, false, nil, "protocol_error 1"},
		{"the host sends more than its answer", "Http1", "", saying(whole+whole, false), 1, false, nil, "protocol_error 1"},
		{"the answer breaks off", "Http1", "", saying(whole[:len(whole)-1], true), 1, false, nil, "remote_close 1"},
		{"the host does not answer", "Http1", "", saying("", false), 1, false, nil, "timeout 1"},
		{"the caller goes", "Http1", "", saying("", false), 1, true, nil, "cut_off 1"},
		{"nobody uses it", "Http1", "idle_timeout: 5s", nil, 1, false, nil, "idle_timeout 1"},
		{"it was used enough", "Http1", "max_request_per_conn: 1", nil, 3, false, nil, "local_close 3"},
		{"the host is taken out", "Http1", "", nil, 1, false, gone, "drain 1"},
		{"the end of the core", "Http1", "", nil, 1, false, func(r *rig) { r.Close() }, "local_close 1"},

		{"the host sends no HTTP/2", "Http2", "", saying(whole, false), 1, false, nil, "protocol_error 1"},
		{"nobody uses it", "Http2", "idle_timeout: 5s", nil, 1, false, nil, "idle_timeout 1"},
		{"the host is taken out", "Http2", "", nil, 1, false, gone, "drain 1"},
		{"the end of the core", "Http2", "", nil, 1, false, func(r *rig) { r.Close() }, "local_close 1"},
	} {
		t.Run(c.protocol+": "+c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				text := strings.Replace(rpcFile("downstream_protocol: "+strings.ReplaceAll(c.protocol, "Http2", "Http1")+", upstream_protocol: "+c.protocol, c.keys),
					`headers: [{name: service, value: ".*"}]`, "", 1)
				r := begin(t, text, speaking(t))
				if c.host != nil {
					r.Network.Host("host:1", c.host)
				} else {
					r.peers(c.protocol, time.Second, "host:1")
				}
				for range c.calls {
					if c.protocol == "bolt" {
						caller := r.rpcCaller("bolt")
						_, _ = call(caller, "bolt", "pay")
						if c.goes {
							_ = caller.Close()
						}
						continue
					}
					ctx, cancel := context.WithCancel(t.Context())
					if c.goes {
						time.AfterFunc(500*time.Millisecond, cancel)
					}
					r.visit(ctx)
					cancel()
				}
				time.Sleep(10 * time.Second)
				if c.then != nil {
					c.then(r)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				st := r.Clusters()[0]
				var named []string
				sum := int64(0)
				for cause, n := range st.Closed {
					if sum += n; n > 0 {
						named = append(named, fmt.Sprintf("%s %d", conn.Cause(cause), n))
					}
				}
				if got := strings.Join(named, ", "); got != c.want {
					t.Errorf("closed: %q, want %q", got, c.want)
				}
				open := 0
				for _, h := range st.Hosts {
					open += h.Connections
				}
				if dials := r.Network.Dials("host:1"); dials != int(sum)+open {
					t.Errorf("of %d connections %d are open, and %d have a cause", dials, open, sum)
				}
			})
		})
	}
}

// visit asks for "/" and reads the answer.
func (r *rig) visit(ctx context.Context) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://test/", nil)
	must(r.t, err)
	resp, err := r.client.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}
