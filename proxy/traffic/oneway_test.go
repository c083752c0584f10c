package traffic

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// One-way calls of a caller that goes at once all reach a host, also when a
// connection to it has to be made first, however connections are shared.
func TestOneWayAndGone(t *testing.T) {
	const callers, each = 10, 20
	for _, mode := range []string{"multiplex", "ping_pong", "binding"} {
		for _, name := range []string{"bolt", "dubbo", "tars"} {
			t.Run(mode+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := begin(t, rpcFile("downstream_protocol: "+name, "pool_mode: "+mode), speaking(t))
					p, _ := r.tables.Protocols.Lookup(name)
					var came atomic.Int32
					r.Network.Speak(t, "host:1", proxytest.Protocol{Protocol: p}, stream.HandlerFunc(func(context.Context, *stream.Request) (*stream.Response, error) {
						came.Add(1)
						return stream.NoResponse, nil
					}))
					for range callers {
						c := r.rpcCaller(name)
						for range each {
							text := payloadTo(name, "pay")
							req := &stream.Request{Method: "echo", OneWay: true, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text))}
							req.Header.Add("service", "pay")
							if _, err := c.Handle(t.Context(), req); err != nil {
								t.Fatal(err)
							}
						}
						_ = c.Close()
					}
					time.Sleep(20 * time.Second)
					if n := came.Load(); n != callers*each {
						t.Errorf("%d of %d calls came", n, callers*each)
					}
					for _, rec := range r.Records.All() {
						if rec.Err != nil {
							t.Errorf("record %+v", rec)
							break
						}
					}
				})
			})
		}
	}
}
