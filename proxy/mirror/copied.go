package mirror

import (
	"context"
	"io"
	"runtime/debug"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// DrainLimit is how many bytes of an answer are read, to keep its connection; a
// longer one is broken off.
const DrainLimit = 1 << 20

// copied is one copy of a request.
type copied struct {
	h       *handler
	to      stream.Handler
	cluster string
	req     stream.Request
	body    branch
}

// drop gives up a copy that was not begun.
func (c *copied) drop() { c.h.env.Counters.drop() }

// run sends the copy and throws its answer away.
func (c *copied) run(ctx context.Context) {
	n := c.h.env.Counters
	n.Sent.Add(1)
	defer n.inFlight.Add(-1)
	defer func() {
		if p := recover(); p != nil {
			n.Failed.Add(1)
			c.h.env.Log.Error("panic while mirroring a request", "cluster", c.cluster, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	defer c.body.finish(&n.Behind)
	resp, err := c.to.Handle(ctx, &c.req)
	if err != nil {
		n.Failed.Add(1)
		return
	}
	if resp.Body != nil {
		_, _ = io.CopyN(io.Discard, resp.Body, DrainLimit)
	}
	_ = resp.Close()
}
