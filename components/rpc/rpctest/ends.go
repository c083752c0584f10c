package rpctest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// testTimeout: the call's own limit and the caller's end it, the shorter one, and
// the service may learn of it.
func testTimeout(s *suite) {
	inv := s.open(rpc.Chain{}).Invoker
	for _, name := range []string{"the caller's limit", "the call's own limit"} {
		short := limit
		testserver.OnceOf(s, func(int) error {
			defer func() { short *= 2 }()
			callers, own := patience, short
			if name == "the caller's limit" {
				callers, own = short, patience
			}
			req := s.ask(holdMethod, []byte(name))
			req.Timeout = own
			began := time.Now()
			ctx, cancel := context.WithTimeout(s.Context(), callers)
			defer cancel()
			s.fails(ctx, inv, req, name, rpc.Timeout)
			if took := time.Since(began); took < short/2 || took > patience/2 {
				s.Errorf("%s: ended after %s, want about %s", name, took, short)
			}
			timer := time.NewTimer(10 * time.Second)
			defer timer.Stop()
			select {
			case <-s.held:
			case <-timer.C: // on a machine that stands still its time may be up before
				return fmt.Errorf("%s: in %s the call does not come to the service", name, short)
			}
			if s.Cancels {
				wait(s, s.freed, name+" at the service")
			}
			s.works(inv, "after "+name)
			return nil
		})
	}
}

// testCancel: a caller that ends its call gets an error at once, other calls go on,
// and the service may learn of it.
func testCancel(s *suite) {
	inv := s.open(rpc.Chain{}).Invoker
	ctx, cancel := context.WithCancel(s.Context())
	other := begin(s.Context(), inv, s.ask(holdMethod, []byte("other")))
	wait(s, s.held, "the other call")
	done := begin(ctx, inv, s.ask(holdMethod, []byte("mine")))
	wait(s, s.held, "the call")
	began := time.Now()
	cancel()
	r := wait(s, done, "the end of the call")
	s.failed(r.resp, r.err, "a call that was cancelled", rpc.Canceled)
	if took := time.Since(began); took > patience/2 {
		s.Errorf("it ended %s later", took)
	}
	if s.Cancels {
		wait(s, s.freed, "the end of the call at the service")
	}
	s.works(inv, "after the cancellation")
	select {
	case r := <-other:
		s.Errorf("the other call has ended, too: %+v, %v", r.resp, r.err)
	default:
	}
	before := len(s.calls())
	s.fails(ctx, inv, s.ask(echoMethod, []byte("late")), "with a context that had ended", rpc.Canceled)
	s.works(inv, "after that")
	for _, call := range s.calls()[before:] {
		if string(call.Data) == "late" {
			s.Error("a call with a context that had ended came to the service")
		}
	}
	if err := inv.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
	wait(s, other, "the end of the other call")
}

// testClose: calls after Close fail, and it is safe twice.
func testClose(s *suite) {
	peer := s.open(rpc.Chain{})
	s.works(peer.Invoker, "before")
	for range 2 {
		if err := peer.Invoker.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	}
	s.fails(s.Context(), peer.Invoker, s.ask(echoMethod, []byte("x")), "after Close", rpc.Unavailable)
	if s.Targets {
		req := s.ask(echoMethod, []byte("x"))
		req.Target = peer.Target
		s.fails(s.Context(), peer.Invoker, req, "of an address, after Close", rpc.Unavailable)
	}
	if s.OneWay {
		req := s.ask(echoMethod, []byte("x"))
		req.OneWay = true
		s.fails(s.Context(), peer.Invoker, req, "one-way, after Close", rpc.Unavailable)
	}
	if n := len(s.calls()); n != 1 {
		s.Errorf("%d calls have come, want 1", n)
	}
}

// testCloseDuring: Close does not wait for a service, and every call that is under
// way then ends, with an answer or an error.
func testCloseDuring(s *suite) {
	inv := s.open(rpc.Chain{}).Invoker
	held := begin(s.Context(), inv, s.ask(holdMethod, []byte("x")))
	wait(s, s.held, "the call")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ended := false; !ended; {
				resp, err := inv.Invoke(s.Context(), s.ask(echoMethod, []byte("y")))
				switch _, ok := rpc.AsError(err); {
				case err == nil && string(resp.Data) != "y":
					s.Errorf("an answer that is none: %+v", resp)
				case err != nil && !ok:
					s.Errorf("the error is no *rpc.Error: %v", err)
				}
				select {
				case <-stop:
					ended = true
				default:
				}
			}
		})
	}
	s.works(inv, "before")
	closed := make(chan error, 1)
	go func() { closed <- inv.Close() }()
	if err := wait(s, closed, "Close"); err != nil {
		s.Errorf("Close: %v", err)
	}
	r := wait(s, held, "the end of the call that was under way")
	s.failed(r.resp, r.err, "a call that was under way", rpc.Unavailable, rpc.Canceled)
	close(stop)
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	wait(s, done, "the end of the others")
}
