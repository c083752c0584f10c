package proxy

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
	"github.com/ottavo-runtime/ottavo/proxy/listener/origdst"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/telemetry"
)

// stack is what answers a listener's connections under one configuration.
type stack struct {
	// kind is the same for stacks of which one can go on with the connections
	// of the other; words say what the stack is, for people.
	kind, words string
	// gate decides what is spoken on connections. Its servers answer those on
	// which requests are known, and requests the requests.
	gate     gate
	requests stream.Handler
	// capture says how connections are brought here that wanted to go elsewhere.
	capture origdst.Config
	// network answers connections where they are not.
	network listener.Handler
	// closers are called when the stack is out of use.
	closers []func() error
	// users counts the frontend and, if there are closers, requests.
	users atomic.Int64
}

func newStack(kind, words string, network listener.Handler) *stack {
	st := &stack{kind: kind, words: words, network: network}
	st.users.Store(1)
	return st
}

// hold keeps the stack from being closed until release. It reports false when
// that has happened already.
func (st *stack) hold() bool {
	if len(st.closers) == 0 {
		return true
	}
	for {
		n := st.users.Load()
		if n == 0 {
			return false
		}
		if st.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release ends a hold, or the frontend's use.
func (st *stack) release() {
	if st.users.Add(-1) > 0 {
		return
	}
	for _, c := range st.closers {
		_ = c() // an access log reports by itself
	}
}

// lastSink releases the stack after a request's record, if hold held it.
func (st *stack) lastSink() []telemetry.Sink {
	if len(st.closers) == 0 {
		return nil
	}
	return []telemetry.Sink{telemetry.SinkFunc(func(*telemetry.Record) { st.release() })}
}

// frontend is a listener with the stack that answers it now.
type frontend struct {
	server *Server
	// cfg is guarded by Server.applying.
	cfg      config.Listener
	listener *listener.Listener
	current  atomic.Pointer[stack]
	closing  sync.Once
}

func (s *Server) newFrontend(cfg config.Listener, st *stack, patient bool) *frontend {
	f := &frontend{server: s, cfg: cfg}
	f.current.Store(st)
	f.listener = listener.New(s.base, listener.Options{
		Name:           cfg.Name,
		Network:        cfg.Network,
		Address:        cfg.Address,
		Unbound:        !cfg.BindPort,
		ReusePort:      cfg.ReusePort,
		Patient:        patient,
		Prepare:        st.capture.Prepare,
		MaxConnections: cfg.MaxConnections,
		WriteTimeout:   idleTimeout(cfg),
		Handler:        f,
		Log:            s.opts.Log,
	})
	return f
}

// hold returns the stack of the moment, held; nil when the frontend is closed.
func (f *frontend) hold() *stack {
	for {
		st := f.current.Load()
		if st.hold() {
			return st
		}
		if f.current.Load() == st {
			return nil
		}
	}
}

// Handle implements stream.Handler with the stack of the moment.
func (f *frontend) Handle(ctx context.Context, req *stream.Request) (*stream.Response, error) {
	st := f.hold()
	if st == nil {
		return nil, stream.Errorf(stream.Stopping, stream.Local, "listener %s is closed", f.listener.Name())
	}
	return st.requests.Handle(ctx, req) // its record releases st
}

// Reject implements stream.Rejecter.
func (f *frontend) Reject(ctx context.Context, req *stream.Request, status int, err *stream.Error) {
	if st := f.hold(); st != nil {
		st.requests.(stream.Rejecter).Reject(ctx, req, status, err)
	}
}

func (f *frontend) serves() string { return f.current.Load().words }

// update puts a new configuration in place, for connections and requests that
// come from now on, and returns the stack before, which is to be released.
func (f *frontend) update(cfg config.Listener, st *stack) *stack {
	f.cfg = cfg
	f.listener.SetLimits(cfg.MaxConnections, idleTimeout(cfg))
	return f.current.Swap(st)
}

// close ends the listener at once and waits, not for ever, until its
// connections have ended, so that their last records are written.
func (f *frontend) close() (stuck int) {
	f.listener.Close()
	stuck = f.listener.Wait()
	f.closing.Do(func() { f.current.Load().release() })
	return stuck
}
