package protocol

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Verdict is what Match says of a connection's first bytes.
type Verdict uint8

// Verdicts.
const (
	No    Verdict = iota // not this protocol
	More                 // cannot say yet
	Match                // this protocol
)

// Protocol is both ends of one wire protocol. It is safe for concurrent use.
type Protocol interface {
	// Name is the protocol's name in configurations: "Http1".
	Name() string
	// Match looks at the first bytes of a connection. It keeps nothing of prefix.
	Match(prefix []byte) Verdict
	// NewServer makes a server of the protocol. extend holds the protocol's own
	// options; a wrong one is an error of type decode.Problems.
	NewServer(opts ServerOptions) (Server, error)
	// NewClient makes a client that owns c from then on.
	NewClient(c *conn.Conn, opts ClientOptions) Client
}

// ServerOptions are the surroundings of a Server.
type ServerOptions struct {
	// Listener is the listener's name, for records.
	Listener string
	// IdleTimeout ends a connection on which nothing happens; 0 is never.
	IdleTimeout time.Duration
	// Log takes what concerns no single request; nil drops it.
	Log *slog.Logger
	// Extend holds the protocol's own options (`extend_config`); Path is where they stand.
	Extend map[string]any
	Path   string
}

// Server answers callers' connections.
type Server interface {
	// ServeConn reads requests from c, has h answer them and writes the
	// answers, until the peer ends the connection (nil), it breaks (the
	// cause), or ctx ends (nil). It does not close c. If h is a
	// stream.Rejecter, it learns of bytes that are no request.
	ServeConn(ctx context.Context, c *conn.Conn, h stream.Handler) error
}

// ClientOptions are the surroundings of a Client.
type ClientOptions struct {
	// Released is called each time an exchange is over: its Response was
	// closed, or Handle returned an error. The client can be asked for Err
	// then. It may be called from any goroutine that closes a Response.
	Released func()
	// Ended, unless it is nil, is called once when the client takes no more
	// requests though nobody has closed it: the host has ended the connection or
	// wants no more on it (ErrGoAway), or it broke. A client that notices such
	// only with the next exchange need not call it. It is called from any
	// goroutine, and may close the client.
	Ended func(err error)
	// Single: there is one exchange at a time, and the host serves no more. A
	// client that was left without an answer takes no more requests then.
	Single bool
	// Keepalive is how the host is asked whether it is alive, by protocols that
	// have something to ask.
	Keepalive Keepalive
}

// ErrGoAway is why a client takes no more requests if the host asked for that.
var ErrGoAway = errors.New("the host takes no more requests on this connection")

// Keepalive says how a silent host is asked whether it is alive. Zeros are the
// defaults of the protocol.
type Keepalive struct {
	// Interval is how long nothing may come before it is asked; Timeout how
	// long its answer may take.
	Interval, Timeout time.Duration
	// Failures is how many answers in a row may be missing: then the
	// connection is given up.
	Failures int
}

// Client sends requests over one connection to a host.
type Client interface {
	stream.Handler
	// Err returns why the client can take no more requests, nil while it can.
	Err() error
	// Stale looks, without waiting, whether the host has ended the connection.
	Stale() bool
	// Close closes the connection; exchanges under way fail. It is safe twice.
	Close() error
}

// Multiplexed marks a Protocol whose connections carry several exchanges at a
// time. Its clients are Limiters.
type Multiplexed interface {
	Protocol
	Multiplexed()
}

// Framed marks a Protocol whose messages are frames with ids (package frame): an
// RPC protocol, one of those that MOSN calls X.
type Framed interface {
	Protocol
	Framed()
}

// Aliased is a Protocol that configurations know by other names, too.
type Aliased interface {
	Protocol
	Aliases() []string
}

// ALPN is a Protocol that can be agreed on in a TLS handshake (RFC 7301).
type ALPN interface {
	Protocol
	// ALPN returns the protocol's names there, the best first.
	ALPN() []string
}

// Limiter is a Client that can tell how many exchanges its connection takes at
// a time, as of now. One that is started beyond that fails with Retry.
type Limiter interface {
	Client
	Limit() int
}

// Starter is a Client whose host has to say something first, such as how much
// it allows.
type Starter interface {
	Client
	// Ready returns a channel that is closed when the host has said it, or
	// never will, as Err then tells.
	Ready() <-chan struct{}
}

// Table lists protocols by name, without regard to case. It does not change.
type Table struct {
	// rows has every name, aliases included, in lower case.
	rows  map[string]Protocol
	names []string
}

// NewTable makes a table. A name that is listed twice is an error.
func NewTable(rows ...Protocol) (*Table, error) {
	t := &Table{rows: make(map[string]Protocol, len(rows))}
	for _, p := range rows {
		t.names = append(t.names, p.Name())
		for _, name := range append([]string{p.Name()}, aliases(p)...) {
			key := strings.ToLower(name)
			if _, dup := t.rows[key]; dup {
				return nil, fmt.Errorf("protocol: %q is listed twice", name)
			}
			t.rows[key] = p
		}
	}
	slices.Sort(t.names)
	return t, nil
}

func aliases(p Protocol) []string {
	if a, ok := p.(Aliased); ok {
		return a.Aliases()
	}
	return nil
}

// Lookup returns the protocol that has that name, or that alias.
func (t *Table) Lookup(name string) (Protocol, bool) {
	p, ok := t.rows[strings.ToLower(name)]
	return p, ok
}

// Names returns the names of all protocols, sorted, without their aliases.
func (t *Table) Names() []string { return slices.Clone(t.names) }

// Aliases returns the names that protocols have besides, by alias.
func (t *Table) Aliases() map[string]string {
	all := make(map[string]string)
	for _, p := range t.rows {
		for _, alias := range aliases(p) {
			all[alias] = p.Name()
		}
	}
	return all
}

// Framed returns the names of the RPC protocols, sorted.
func (t *Table) Framed() []string {
	return slices.DeleteFunc(t.Names(), func(name string) bool {
		p, _ := t.Lookup(name)
		_, framed := p.(Framed)
		return !framed
	})
}
