package rpctest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/ottavo-runtime/ottavo/components/rpc"
)

// trace notes who was called.
type trace struct {
	mu    sync.Mutex
	steps []string
}

func (tr *trace) add(step string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.steps = append(tr.steps, step)
}

// taken returns what was noted, and forgets it.
func (tr *trace) taken() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	taken := tr.steps
	tr.steps = nil
	return taken
}

// before notes its turn and adds a field.
func (tr *trace) before(name string) rpc.Before {
	return func(_ context.Context, req *rpc.Request) error {
		tr.add(name)
		req.Header = append(req.Header, rpc.Pair{Name: "x-suite-" + name, Value: name})
		req.Data = append(bytes.Clone(req.Data), name...)
		return nil
	}
}

// after notes its turn and adds to the answer.
func (tr *trace) after(name string) rpc.After {
	return func(_ context.Context, req *rpc.Request, resp *rpc.Response) error {
		tr.add(name)
		if !bytes.HasSuffix(req.Data, []byte("b2")) {
			tr.add(name + " does not see what the callbacks before have changed")
		}
		resp.Data = append(bytes.Clone(resp.Data), name...)
		return nil
	}
}

// testCallbacks: each has its turn, in order, and sees and hands on what those
// before it have changed; the caller's request stays as it is.
func testCallbacks(s *suite) {
	tr := new(trace)
	inv := s.open(rpc.Chain{Before: []rpc.Before{tr.before("b1"), tr.before("b2")}, After: []rpc.After{tr.after("a1"), tr.after("a2")}}).Invoker
	req := s.ask(echoMethod, []byte("x"))
	req.Header = slices.Grow([]rpc.Pair{{Name: "x-suite-own", Value: "o"}}, 4) // room to write over
	resp := s.do(inv, req)
	if string(resp.Data) != "xb1b2a1a2" {
		s.Errorf("the answer is %q", resp.Data)
	}
	if steps := tr.taken(); !slices.Equal(steps, []string{"b1", "b2", "a1", "a2"}) {
		s.Errorf("called: %q", steps)
	}
	if call := s.calls()[0]; string(call.Data) != "xb1b2" || len(own(call.Header)) != 3 {
		s.Errorf("the service got %q and %v", call.Data, call.Header)
	}
	if string(req.Data) != "x" || len(req.Header) != 1 || req.Header[:2][1] != (rpc.Pair{}) {
		s.Errorf("the caller's request was changed: %q, %v", req.Data, req.Header[:2])
	}
	// Only answers that are a success have their after-callbacks.
	req = s.ask(echoMethod, []byte("x"))
	req.ID = Unknown
	s.fails(s.Context(), inv, req, "no service", rpc.Unavailable)
	if steps := tr.taken(); !slices.Equal(steps, []string{"b1", "b2"}) {
		s.Errorf("called for a call that fails: %q", steps)
	}
	if s.OneWay {
		req = s.ask(echoMethod, []byte("x"))
		req.OneWay = true
		s.do(inv, req)
		if steps := tr.taken(); !slices.Equal(steps, []string{"b1", "b2"}) {
			s.Errorf("called for a one-way call: %q", steps)
		}
	}
}

// testCallbackErrors: an error of a callback is what the caller gets. One before
// the call means that there is none.
func testCallbackErrors(s *suite) {
	tr := new(trace)
	plain, coded := errors.New("a plain error"), &rpc.Error{Code: rpc.TooLarge, Msg: "an error with a code"}
	for _, want := range []error{plain, coded} {
		sent := len(s.calls())
		inv := s.open(rpc.Chain{
			Before: []rpc.Before{tr.before("b1"), func(context.Context, *rpc.Request) error { return want }, tr.before("b3")},
			After:  []rpc.After{tr.after("a1")},
		}).Invoker
		if resp, err := inv.Invoke(s.Context(), s.ask(echoMethod, []byte("x"))); resp != nil || !errors.Is(err, want) {
			s.Errorf("before: %+v, %v, want %v", resp, err, want)
		}
		if steps := tr.taken(); !slices.Equal(steps, []string{"b1"}) {
			s.Errorf("before: called %q", steps)
		}
		if len(s.calls()) != sent {
			s.Error("before: the call was sent all the same")
		}
		inv = s.open(rpc.Chain{
			After: []rpc.After{func(context.Context, *rpc.Request, *rpc.Response) error { return want }, tr.after("a2")},
		}).Invoker
		if resp, err := inv.Invoke(s.Context(), s.ask(echoMethod, []byte("x"))); resp != nil || !errors.Is(err, want) {
			s.Errorf("after: %+v, %v, want %v", resp, err, want)
		}
		if steps := tr.taken(); len(steps) > 0 {
			s.Errorf("after: called %q", steps)
		}
	}
}
