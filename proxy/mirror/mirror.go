package mirror

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// MaxInFlight is how many copies may be under way at a time, for all handlers
// that share Counters. Further ones are dropped.
const MaxInFlight = 1000

// Env is the surroundings of a handler.
type Env struct {
	// Clusters are those that copies are sent to.
	Clusters filter.Clusters
	// Go runs what outlives a request; see filter.Env.
	Go func(f func(ctx context.Context)) bool
	// Log is told once of each cluster that does not exist; nil drops it.
	Log *slog.Logger
	// Counters are those of the core, shared by all its handlers; nil: the
	// handler's own.
	Counters *Counters
}

// New returns a handler that answers requests with next, and sends the copies
// that their Policy.Mirrors ask for.
func New(next stream.Handler, env Env) stream.Handler {
	if env.Counters == nil {
		env.Counters = new(Counters)
	}
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	return &handler{next: next, env: env}
}

type handler struct {
	next stream.Handler
	env  Env
}

// Handle implements stream.Handler.
func (h *handler) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	if req.Policy == nil || len(req.Policy.Mirrors) == 0 || req.Upgrade != "" {
		return h.next.Handle(ctx, req)
	}
	t := h.send(req)
	if t == nil {
		return h.next.Handle(ctx, req)
	}
	returned := false
	defer func() {
		if !returned { // a panic, which goes on its way
			t.cut(errBroken)
		}
	}()
	req.Body = t
	resp, err := h.next.Handle(ctx, req)
	returned = true
	if err != nil || resp.Body == nil { // also NoResponse: nobody reads the body any more
		t.end()
		req.Body = t.body
		return resp, err
	}
	t.answer.ReadCloser = resp.Body
	resp.Body = &t.answer
	return resp, nil
}

// send sends the copies of a request on their way. It returns what the original
// is to have as its body; nil if it keeps the one it has.
func (h *handler) send(req *stream.Request) *tee {
	var t *tee
	for i := range req.Policy.Mirrors {
		m := &req.Policy.Mirrors[i]
		if rand.Float64()*100 >= m.Percent {
			continue
		}
		for _, to := range h.targets(m) {
			for range max(1, m.Copies) {
				c := h.copy(req, m, to)
				if c == nil {
					continue
				}
				if req.Body != nil {
					if t == nil {
						t = newTee(req)
					}
					c.body.init(&c.req.Trailer)
					c.req.Body = &c.body
				}
				if !h.env.Go(c.run) {
					c.drop()
				} else if c.req.Body != nil {
					t.branches = append(t.branches, &c.body)
				}
			}
		}
	}
	if t == nil || len(t.branches) == 0 {
		return nil
	}
	return t
}

// targets returns what a mirror's copies are sent to.
func (h *handler) targets(m *stream.Mirror) []stream.Handler {
	n := h.env.Counters
	to, ok := h.env.Clusters.Cluster(m.Cluster)
	if !ok {
		n.Nowhere.Add(1)
		if _, told := n.missing.LoadOrStore(m.Cluster, true); !told {
			h.env.Log.Warn("requests are not mirrored: there is no such cluster", "cluster", m.Cluster)
		}
		return nil
	}
	if !m.Broadcast {
		return []stream.Handler{to}
	}
	all := h.env.Clusters.Each(m.Cluster)
	if len(all) == 0 {
		n.Nowhere.Add(1)
	}
	return all
}

// copy makes a copy of a request; nil if there are too many.
func (h *handler) copy(req *stream.Request, m *stream.Mirror, to stream.Handler) *copied {
	if h.env.Counters.inFlight.Add(1) > MaxInFlight {
		h.env.Counters.drop()
		return nil
	}
	c := &copied{h: h, to: to, cluster: m.Cluster}
	c.req.CopyFrom(req)
	c.req.Policy, c.req.PerHost, c.req.Labels, c.req.Tried, c.req.TryTimeout = nil, nil, nil, nil, 0
	now := time.Now()
	if c.req.Deadline.IsZero() {
		c.req.Deadline = now.Add(config.DefaultRouteTimeout)
	}
	from := &req.Info
	c.req.Info = stream.Info{
		ID: from.ID, Start: now, Downstream: from.Downstream, Listener: from.Listener,
		VirtualHost: from.VirtualHost, Route: from.Route, Cluster: m.Cluster,
	}
	return c
}
