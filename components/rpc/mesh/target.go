package mesh

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// mostTargets is how many addresses that calls have named are kept at a time,
// with the connections to them.
const mostTargets = 128

// targets are the ways to addresses that calls have named themselves.
type targets struct {
	open func(address string) (stream.Handler, func(), error)

	mu     sync.Mutex
	known  map[string]*target
	closed bool
}

// target is the way to one address.
type target struct {
	address string
	handler stream.Handler
	close   func()
	users   int
	used    time.Time // when it was last given back
}

// take returns the way to an address. It must be given back.
func (ts *targets) take(address string) (*target, error) {
	host, port, err := net.SplitHostPort(address)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 || host == "" {
		return nil, &rpc.Error{Code: rpc.InvalidCall, Msg: fmt.Sprintf("rpc_target_address %.100q is no address: say host:port", address)}
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.closed {
		return nil, &rpc.Error{Code: rpc.Unavailable, Msg: "the invoker is closed"}
	}
	t := ts.known[address]
	if t == nil {
		if err := ts.makeRoom(); err != nil {
			return nil, err
		}
		t = &target{address: address}
		if t.handler, t.close, err = ts.open(address); err != nil {
			return nil, &rpc.Error{Code: rpc.Unavailable, Msg: "rpc_target_address", Err: err}
		}
		if ts.known == nil {
			ts.known = make(map[string]*target)
		}
		ts.known[address] = t
	}
	t.users++
	return t, nil
}

// makeRoom sees to it that one more address can be kept: the one that was not
// used for the longest time goes. mu is held.
func (ts *targets) makeRoom() error {
	if len(ts.known) < mostTargets {
		return nil
	}
	var oldest *target
	for _, t := range ts.known {
		if t.users == 0 && (oldest == nil || t.used.Before(oldest.used)) {
			oldest = t
		}
	}
	if oldest == nil {
		return &rpc.Error{Code: rpc.Unavailable, Msg: fmt.Sprintf("rpc_target_address: calls to %d addresses are under way already", mostTargets)}
	}
	delete(ts.known, oldest.address)
	oldest.close()
	return nil
}

func (ts *targets) giveBack(t *target) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.users--
	t.used = time.Now()
}

// end closes all of them; calls under way fail.
func (ts *targets) end() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.closed = true
	for _, t := range ts.known {
		t.close()
	}
	ts.known = nil
}
