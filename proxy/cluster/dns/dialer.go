package dns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	// longestMemory is for how long a Dialer uses an answer at most.
	longestMemory = 15 * time.Second
	// errorMemory is for how long it does not look up what has just failed.
	errorMemory = time.Second
	// patience is how long it waits for a new answer when there is an old one.
	patience = time.Second
	// maxNames is how many names it remembers.
	maxNames = 1024
	// leastShare is the time that each of several addresses gets at least.
	leastShare = 500 * time.Millisecond
)

// Dialer connects to hosts by name, with the addresses that the names have when
// it connects. An answer is used until it expires, for at least a second and at
// most 15 s. When a name cannot be looked up any more, its old addresses stay in
// use, and the next try is made 5 s later; a name without any is not looked up
// again within a second. There is one question at a time for each name, however
// many wait for its answer. It is safe for concurrent use, and needs no closing.
type Dialer struct {
	lookup  Lookup
	family  Family
	connect func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex
	names map[string]*answered
}

// answered is what is remembered of a name.
type answered struct {
	turn chan struct{} // has room for one, who looks it up

	mu    sync.Mutex
	addrs []netip.Addr // never changed in place
	err   error        // nil if there are addresses
	until time.Time
	next  int // the address to begin with
}

// NewDialer makes a Dialer. connect opens a connection to an IP address; nil is
// net.Dialer's.
func NewDialer(lookup Lookup, family Family, connect func(ctx context.Context, network, address string) (net.Conn, error)) *Dialer {
	if connect == nil {
		connect = new(net.Dialer).DialContext
	}
	return &Dialer{lookup: lookup, family: family, connect: connect, names: make(map[string]*answered)}
}

// Dial connects to an address, "host:port", over network. Where the host is a
// name that has several addresses, they are tried in turn, each beginning with
// another one than the time before. It returns when ctx ends.
func (d *Dialer) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%q is no address: %w", address, err)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return d.connect(ctx, network, address)
	}
	addrs, first, err := d.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	var failed error
	for i := range addrs {
		ip := addrs[(first+i)%len(addrs)]
		c, err := d.share(ctx, network, net.JoinHostPort(ip.String(), port), len(addrs)-i)
		if err == nil {
			return c, nil
		}
		failed = err
		if ended(ctx) != nil {
			break
		}
	}
	return nil, fmt.Errorf("connecting to %s: %w", address, failed)
}

// share connects in a fair share of the time that is left for so many tries.
func (d *Dialer) share(ctx context.Context, network, address string, tries int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && tries > 1 {
		now := time.Now()
		part, cancel := context.WithDeadline(ctx, now.Add(max(deadline.Sub(now)/time.Duration(tries), leastShare)))
		defer cancel()
		ctx = part
	}
	return d.connect(ctx, network, address)
}

// addresses returns the addresses of a name, and the place to begin at.
func (d *Dialer) addresses(ctx context.Context, name string) ([]netip.Addr, int, error) {
	a := d.name(strings.ToLower(name)) // "a." is another name than "a", which is searched for
	if addrs, first, err, ok := a.fresh(); ok {
		return addrs, first, err
	}
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("looking up %s: %w", name, context.Cause(ctx))
	}
	defer func() { <-a.turn }()
	if addrs, first, err, ok := a.fresh(); ok { // found by who had the turn before
		return addrs, first, err
	}
	if err := a.refresh(ctx, d, name); err != nil {
		return nil, 0, err
	}
	addrs, first, err, _ := a.fresh()
	return addrs, first, err
}

// name returns what is remembered of a name, which may be nothing.
func (d *Dialer) name(key string) *answered {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.names[key]
	if a == nil {
		for other := range d.names {
			if len(d.names) < maxNames {
				break
			}
			delete(d.names, other) // any one
		}
		a = &answered{turn: make(chan struct{}, 1)}
		d.names[key] = a
	}
	return a
}

// fresh returns what is remembered; ok is false if that is out of date.
func (a *answered) fresh() (addrs []netip.Addr, first int, err error, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !time.Now().Before(a.until) {
		return nil, 0, nil, false
	}
	if a.err == nil {
		a.next++
	}
	return a.addrs, a.next, a.err, true
}

// refresh looks the name up. Who calls it has the turn. The error is that ctx
// has ended with nothing to remember.
func (a *answered) refresh(ctx context.Context, d *Dialer, name string) error {
	a.mu.Lock()
	old := len(a.addrs) > 0
	a.mu.Unlock()
	part := ctx
	if old {
		var cancel context.CancelFunc
		part, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	addrs, ttl, err := d.lookup.Lookup(part, name, d.family)
	if err != nil && ended(ctx) != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil:
		a.addrs, a.err = addrs, nil
		a.until = now.Add(min(max(ttl, minTTL), longestMemory))
	case old:
		a.until = now.Add(defaultRate)
	default:
		a.err, a.until = err, now.Add(errorMemory)
	}
	return nil
}
