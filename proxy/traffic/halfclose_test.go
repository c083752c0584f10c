package traffic

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

// A caller that has sent its calls and ended its direction (as `nc` does at the
// end of its input) gets its answers, however connections to hosts are shared,
// also when the core ends meanwhile; then its connection is closed, and what is
// bound to it.
func TestHalfClosedCaller(t *testing.T) {
	const each = 3
	for _, mode := range []string{"multiplex", "ping_pong", "binding"} {
		for _, name := range []string{"bolt", "boltv2", "dubbo", "dubbothrift", "tars"} {
			t.Run(mode+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := begin(t, rpcFile("downstream_protocol: "+name, "pool_mode: "+mode), speaking(t))
					h := r.peers(name, 2*time.Second, "host:1")[0]
					nc := r.Dial(t, "in").(*conn.PipeConn)
					_, err := nc.Write(bytes.Repeat(frameOf(t, r, name, 0), each))
					must(t, err)
					must(t, nc.CloseWrite())
					time.Sleep(time.Second)
					go func() { _ = r.Shutdown(t.Context()) }()
					b, err := io.ReadAll(nc)
					must(t, err)
					if len(b) == 0 || len(b)%each != 0 || !bytes.Equal(b, bytes.Repeat(b[:len(b)/each], each)) {
						t.Errorf("it gets %x, which is not %d answers", b, each)
					}
					for _, rec := range r.Records.All() {
						if rec.Status != 200 || rec.Err != nil {
							t.Errorf("record %+v", rec)
						}
					}
					time.Sleep(time.Minute)
					r.wantOpen("when all is over", h, 0, map[string]int{"multiplex": 1, "ping_pong": each, "binding": 1}[mode])
				})
			})
		}
	}
}
