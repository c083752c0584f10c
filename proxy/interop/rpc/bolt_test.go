package rpc

import (
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

// saidByBolt is what testdata/bolt-client.cjs prints when all is well.
const saidByBolt = `who a b
echo "hello"
echo "größer 网商"
echo 42
echo true
echo 1.5
echo ["a","b"]
echo "2023-11-14T22:13:20.000Z"
object {"id":7,"items":["tea","cups"],"total":12.5}
big true
business error error: com.alipay.remoting.rpc.exception.RpcServerException: Error: no money
no method error: com.alipay.remoting.rpc.exception.RpcServerException: Error: Can not find method: test.A:1.0#noSuch()
slow done
nobody serves it 6 true true
host is gone 6 true true
too slow 7 true true
after all that 0 a true
heartbeat heartbeat_ack
behind them b
one-way true
protobuf {"text":"c greets Ann","length":3}
protobuf {"text":"c greets Ann","length":200000}
asked whether it is alive true
many 10000
broken off 20 true true
the others true
afterwards a
`

// TestBolt: SOFA's client, in each version of the protocol, through the core to
// SOFA's servers; testdata/bolt-client.cjs is what it does.
func TestBolt(t *testing.T) {
	t.Parallel()
	a := server(t, "bolt-server.cjs", "a", "test.A")
	b := server(t, "bolt-server.cjs", "b", "test.B")
	c := server(t, "bolt-server.cjs", "c", "test.Greet")
	for _, tc := range []struct{ name, version, upstream string }{
		{"version 1", "bolt", ""},
		{"version 2", "bolt2", ""},
		{"version 2 with checksums", "crc", ""},
		{"version 1 to 2", "bolt", "boltv2"},
		{"version 2 with checksums to 1", "crc", "bolt"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := proxytest.Bound("rpc", "r", "127.0.0.1:0")
			l.FilterChains[0].Filters[0].Config["downstream_protocol"] = "Auto"
			l.FilterChains[0].Filters[0].Config["upstream_protocol"] = tc.upstream
			opts := frame.Options{HeartbeatInterval: 100 * time.Millisecond, HeartbeatTimeout: 30 * time.Second}
			s := start(t, &config.Snapshot{
				Listeners: []config.Listener{l},
				Routers: []config.Router{proxytest.Router("r",
					serves("test.A:1.0", "a"), serves("test.B:1.0", "b"), serves("test.Greet:1.0", "c"), serves("test.Gone:1.0", "gone"),
				)},
				Clusters: []config.Cluster{
					proxytest.Cluster("a", a), proxytest.Cluster("b", b), proxytest.Cluster("c", c), proxytest.Cluster("gone", testserver.Addr(t)),
				},
			}, bolt.New(bolt.V1(), opts), bolt.New(bolt.V2(), opts))
			if got := run(t, "bolt-client.cjs", s.Addr(t, "rpc"), tc.version); got != saidByBolt {
				t.Errorf("got\n%s\nwant\n%s", got, saidByBolt)
			}
		})
	}
}
