package traffic

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// A host that takes all and says nothing, as one does whose packets are lost, is
// given up after interval x fail_count_to_close, with the calls on it. One that
// answers heartbeats is not, however long a call takes.
func TestKeepalive(t *testing.T) {
	for _, c := range []struct {
		keys  string
		after time.Duration
	}{
		{``, 6*15*time.Second + time.Second},
		{`keepalive: {}`, 6*15*time.Second + time.Second},
		{`keepalive: {interval: 5s}`, 6*5*time.Second + time.Second},
		{`keepalive: {interval: 5s, timeout: 3s, fail_count_to_close: 2}`, 2*5*time.Second + 3*time.Second},
		{`keepalive: {interval: 200ms, fail_count_to_close: 1}`, 400 * time.Millisecond},
		{`keepalive: {interval: 1s, timeout: 4s, fail_count_to_close: 3}`, 13 * time.Second},
		{`keepalive: {timeout: 100ms, fail_count_to_close: 1}`, 15*time.Second + 100*time.Millisecond},
		{`keepalive: {interval: 2s, fail_count_to_close: 3}, pool_mode: ping_pong`, 7 * time.Second},
		{`keepalive: {interval: 2s, fail_count_to_close: 3}, pool_mode: binding`, 7 * time.Second},
		{`keepalive: {interval: 2s, fail_count_to_close: 3}, circuit_breakers: [{max_connections: 3}]`, 7 * time.Second},
	} {
		for _, name := range []string{"bolt", "boltv2", "dubbo", "tars"} {
			t.Run(c.keys+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					text := strings.Replace(rpcFile("downstream_protocol: "+name, c.keys), "timeout: 10s", "timeout: 1h", 1)
					r := begin(t, text, speaking(t))
					r.Network.Host("host:1", func(nc net.Conn) {
						_, _ = io.Copy(io.Discard, nc)
						_ = nc.Close()
					})
					caller, begin := r.rpcCaller(name), time.Now()
					status, err := call(caller, name, "pay")
					if status == 200 || err != nil {
						t.Errorf("status %d, %v", status, err)
					}
					rec := r.Records.Last(t, 1)
					if took := time.Since(begin); took != c.after || rec.Status != 502 || stream.AsError(rec.Err).Kind != stream.Reset || !strings.Contains(rec.Err.Error(), "heartbeats") {
						t.Errorf("after %v, want %v: %+v", took, c.after, rec)
					}
					synctest.Wait()
					if n := r.Clusters()[0].Hosts[0].Connections; n != 0 {
						t.Errorf("%d connections are left", n)
					}

					h := r.peers(name, 10*time.Minute, "host:1")[0]
					calls(t, name, 1, r.rpcCaller(name))
					r.wantOpen("when the host is slow, but there", h, 1, 1)
				})
			})
		}
	}
}

// What makes no sense is an error.
func TestKeepaliveUnknown(t *testing.T) {
	for keys, want := range map[string]string{
		`keepalive: {interval: 0s}`:            "keepalive.interval",
		`keepalive: {interval: -1s}`:           "keepalive.interval",
		`keepalive: {timeout: 5}`:              "keepalive.timeout",
		`keepalive: {fail_count_to_close: -2}`: "keepalive.fail_count_to_close",
	} {
		_, _, err := parse(rpcFile("downstream_protocol: bolt", keys), speaking(t))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", keys, err)
		}
	}
}
