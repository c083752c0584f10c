package rpc

import (
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

// saidByDubbo is what testdata/dubbo-client.cjs prints when all is well.
const saidByDubbo = `echo größer
slow done
business error error: no money
nobody serves it error: 404|router unavailable
at once true
many 10000
dubbo2.js hello well
`

// TestDubbo: two clients of Dubbo, through the core to a server of Dubbo;
// testdata/dubbo-client.cjs is what they do.
func TestDubbo(t *testing.T) {
	t.Parallel()
	demo := server(t, "dubbo-server.cjs")
	l := proxytest.Bound("rpc", "r", "127.0.0.1:0")
	l.FilterChains[0].Filters[0].Config["downstream_protocol"] = "dubbo"
	s := start(t, &config.Snapshot{
		Listeners: []config.Listener{l},
		Routers:   []config.Router{proxytest.Router("r", serves("test.Demo", "demo"))},
		Clusters:  []config.Cluster{proxytest.Cluster("demo", demo)},
	}, frame.New(dubbo.Codec{}, frame.Options{}))
	if got := run(t, "dubbo-client.cjs", s.Addr(t, "rpc")); got != saidByDubbo {
		t.Errorf("got\n%s\nwant\n%s", got, saidByDubbo)
	}
}
