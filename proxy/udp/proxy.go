package udp

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/tcp/l4"
)

// Deps are the surroundings of a Proxy.
type Deps struct {
	// Listener is the listener's name, and Path where the configuration
	// stands, both for messages.
	Listener, Path string
	// Dial connects to hosts; it is asked for the network "udp". Connections
	// that are no sockets should take a datagram at once.
	Dial l4.Dial
	// Record is called once for each session after its end, from the session's
	// goroutine; it may be nil.
	Record func(l4.Record)
	// Log may be nil.
	Log *slog.Logger
}

// Proxy passes datagrams on. It is safe for concurrent use.
type Proxy struct {
	cfg    config.UDPProxy
	deps   Deps
	routes *l4.Routes

	sessions, opened, refused, dropped atomic.Int64
	fullSaid                           atomic.Int64 // when the limit was complained about, in Unix ns
}

// Stats are counts since the start.
type Stats struct {
	// Sessions is how many sessions there are now, Opened how many there were
	// in all.
	Sessions, Opened int64
	// Refused counts datagrams of clients that got no session because the
	// limit was reached or no route matched, Dropped those that were lost in
	// a session: nobody took them in time, or the host was not reachable.
	Refused, Dropped int64
}

// New makes a Proxy. A mistake in the configuration is an error of type
// decode.Problems.
func New(cfg config.UDPProxy, deps Deps) (*Proxy, error) {
	routes, err := l4.NewRoutes(cfg.L4Proxy, deps.Path)
	problems := decode.AsProblems(err, deps.Path)
	if deps.Dial == nil {
		problems = append(problems, decode.Problem{Path: deps.Path, Message: "there is nothing to connect with: Deps.Dial is nil", Remedy: "a mistake in the program"})
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if cfg.IdleTimeout <= 0 {
		cfg.IdleTimeout = config.DefaultUDPIdleTimeout
	}
	if cfg.MaxConnectAttempts <= 0 {
		cfg.MaxConnectAttempts = config.DefaultMaxConnectAttempts
	}
	if cfg.MaxSessions <= 0 {
		cfg.MaxSessions = config.DefaultMaxUDPSessions
	}
	if deps.Record == nil {
		deps.Record = func(l4.Record) {}
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	return &Proxy{cfg: cfg, deps: deps, routes: routes}, nil
}

// Stats returns the counts of the moment.
func (p *Proxy) Stats() Stats {
	return Stats{Sessions: p.sessions.Load(), Opened: p.opened.Load(), Refused: p.refused.Load(), Dropped: p.dropped.Load()}
}

// fullEvery is the least time between two complaints about the limit.
const fullEvery = 10 * time.Second

// full counts a datagram that found no place, and says so from time to time.
func (p *Proxy) full() {
	n := p.refused.Add(1)
	now := time.Now().UnixNano()
	said := p.fullSaid.Load()
	if now-said >= int64(fullEvery) && p.fullSaid.CompareAndSwap(said, now) {
		p.deps.Log.Warn("datagrams of new clients are dropped: the limit of sessions is reached",
			"listener", p.deps.Listener, "max_sessions", p.cfg.MaxSessions, "refused", n)
	}
}
