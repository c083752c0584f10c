package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// upFor is how long a server that was found up counts as up: asking costs money
// at some. One that is down is asked each time.
const upFor = 10 * time.Second

// health is what was found last.
type health struct {
	mu    sync.Mutex
	until time.Time // it counts as up
}

// doubt makes the next Check ask, because something went wrong that is not the
// request's fault.
func (h *health) doubt(err error) {
	if e, ok := errors.AsType[*Error](err); ok && e.Status < http.StatusInternalServerError && !badCredentials[e.Code] {
		return
	}
	h.mu.Lock()
	h.until = time.Time{}
	h.mu.Unlock()
}

// Check asks the server for the list of buckets, or, at a bucket's own host, for
// the bucket. That it refuses because of rights is fine; that it does not know
// our credentials is not.
func (c *Client) Check(ctx context.Context) error {
	c.health.mu.Lock()
	up := time.Now().Before(c.health.until)
	c.health.mu.Unlock()
	if up {
		return nil
	}
	method := http.MethodGet
	if c.o.BucketHost {
		method = http.MethodHead
	}
	resp, err := c.once(ctx, &Request{Method: method})
	if err == nil {
		_ = resp.Body.Close()
	} else if e, ok := errors.AsType[*Error](err); ok {
		switch {
		case badCredentials[e.Code]:
			return fmt.Errorf("the object store at %s does not accept the credentials: %w", c.Where(), err)
		case e.Status >= http.StatusInternalServerError && e.Status != http.StatusNotImplemented:
			return fmt.Errorf("the object store at %s: %w", c.Where(), err)
		}
	} else {
		return c.explain(ctx, err)
	}
	c.health.mu.Lock()
	c.health.until = time.Now().Add(upFor)
	c.health.mu.Unlock()
	return nil
}
