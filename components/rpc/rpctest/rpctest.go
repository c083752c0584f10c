package rpctest

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/components/rpc"
)

// Ids of services that the tests call.
const (
	// Known is the service that Setup.Service answers for.
	Known = "suite.Known"
	// Unknown is the service that nobody has heard of: no route leads to it.
	Unknown = "suite.Unknown"
	// Gone is the service that is known, but whose address refuses connections.
	Gone = "suite.Gone"
)

// Methods of the service. Behind each is what tells calls of one test from those
// that another has left behind.
const (
	echoMethod   = "/echo/"   // answers with what came
	holdMethod   = "/hold/"   // answers when ctx or the test ends
	statusMethod = "/status/" // answers with the status that Data says
	bigMethod    = "/big/"    // answers with a big body
)

// Service answers the suite's calls, from many goroutines; also one that a test before
// has left behind. The request belongs to
// the service, and the answer to whoever gets it; the answer to a one-way call
// does not count. ctx ends when the service learns that the call has, and at the
// latest with the test.
type Service func(ctx context.Context, call *rpc.Request) *rpc.Response

// Setup is what a test wants of its invoker.
type Setup struct {
	// Service answers calls of Known, and calls of any id that name Peer.Target. It is
	// never nil.
	Service Service
	// Callbacks are the invoker's.
	Callbacks rpc.Chain
}

// Peer is an invoker and what is at its other end.
type Peer struct {
	// Invoker is closed by the suite.
	Invoker rpc.Invoker
	// Target is an address of the service, and Refused one at which nobody is.
	// Both may be "" without Features.Targets.
	Target, Refused string
}

// Features say what the protocol of an invoker can carry.
type Features struct {
	// Method: the service sees Method, and Verb and Query where HTTP declares them.
	Method bool
	// HTTP: the service sees Verb and Query, and its answers have HTTP's statuses.
	// Without it, an answer that is no success is an error that holds no answer.
	HTTP bool
	// ContentTypes: both sides see the content type of what they get.
	ContentTypes bool
	// Headers: both sides see the header, each name once. Otherwise only the service does.
	Headers bool
	// Repeated: repeated names are kept, in order.
	Repeated bool
	// OneWay: calls without an answer. Otherwise they are refused.
	OneWay bool
	// Targets: calls that name an address. Otherwise they are refused.
	Targets bool
	// Cancels: the service learns of it when a call is cancelled or its time is up.
	Cancels bool
}

// All are all features.
func All() Features {
	return Features{Method: true, HTTP: true, ContentTypes: true, Headers: true, Repeated: true, OneWay: true, Targets: true, Cancels: true}
}

// Options say what to test.
type Options struct {
	// Open makes the invoker of one test.
	Open func(t *testing.T, s Setup) Peer
	// Features are what its protocol can carry.
	Features Features
	// FakeTime runs every test in a testing/synctest bubble, which also finds
	// goroutines that are left. Open is called inside of it, so it is only for
	// invokers that open no sockets. Others check goroutines in TestMain.
	FakeTime bool
	// BigBody is the size in bytes of big bodies; 0 is 4 MiB.
	BigBody int
}

// patience bounds every wait for something that must happen; limit is the time of
// calls that are to run out of it.
const (
	patience = 2 * time.Minute
	limit    = 150 * time.Millisecond
)

// Run tests the invokers that o makes.
func Run(t *testing.T, o Options) {
	t.Helper()
	if o.BigBody == 0 {
		o.BigBody = 4 << 20
	}
	big := pattern(o.BigBody)
	for _, tt := range []struct {
		name string
		fn   func(*suite)
	}{
		{"Call", testCall},
		{"Header", testHeader},
		{"Bodies", testBodies},
		{"Statuses", testStatuses},
		{"Unreachable", testUnreachable},
		{"Refused", testRefused},
		{"Timeout", testTimeout},
		{"Cancel", testCancel},
		{"OneWay", testOneWay},
		{"Target", testTarget},
		{"Concurrent", testConcurrent},
		{"Callbacks", testCallbacks},
		{"CallbackErrors", testCallbackErrors},
		{"BytesOfTheCaller", testBytesOfTheCaller},
		{"BytesOfTheAnswer", testBytesOfTheAnswer},
		{"Close", testClose},
		{"CloseDuringCalls", testCloseDuring},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if o.FakeTime {
				synctest.Test(t, func(t *testing.T) { tt.fn(newSuite(t, o, big)) })
				return
			}
			tt.fn(newSuite(t, o, big))
		})
	}
}

// suite is one test's surroundings.
type suite struct {
	*testing.T
	opts Options
	Features
	big   []byte            // a big body, which is only read
	mark  string            // behind the methods of this test's calls
	held  chan *rpc.Request // what has come to holdMethod
	freed chan struct{}     // a call of holdMethod has ended

	mu   sync.Mutex
	came []*rpc.Request // what has come to the service
}

func newSuite(t *testing.T, o Options, big []byte) *suite {
	t.Helper()
	// Of the calls that are held, and that end, a test waits for a few only.
	return &suite{T: t, opts: o, Features: o.Features, big: big, mark: strings.ToLower(rand.Text()[:8]), held: make(chan *rpc.Request, 1000), freed: make(chan struct{}, 1000)}
}

// open makes the test's invoker, and closes it in the end.
func (s *suite) open(callbacks rpc.Chain) Peer {
	s.Helper()
	ends, end := context.WithCancel(context.WithoutCancel(s.Context()))
	peer := s.opts.Open(s.T, Setup{Callbacks: callbacks, Service: func(ctx context.Context, call *rpc.Request) *rpc.Response {
		method, _, _ := strings.Cut(call.Method, "?")
		method, mine := strings.CutSuffix(method, s.mark)
		if !mine {
			return new(rpc.Response)
		}
		s.mu.Lock()
		s.came = append(s.came, call)
		s.mu.Unlock()
		return s.answer(ctx, ends, method, call)
	}})
	s.Cleanup(func() {
		end()
		if err := peer.Invoker.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	})
	return peer
}

// answer is what the service says. What is held ends with ends.
func (s *suite) answer(ctx, ends context.Context, method string, call *rpc.Request) *rpc.Response {
	switch method {
	case holdMethod:
		s.held <- call
		select {
		case <-ctx.Done():
			s.freed <- struct{}{}
		case <-ends.Done():
		}
		return new(rpc.Response)
	case statusMethod:
		return &rpc.Response{Status: statusOf(call), Data: []byte("why")}
	case bigMethod:
		return &rpc.Response{Data: bytes.Clone(s.big)}
	}
	return &rpc.Response{Status: 200, ContentType: call.ContentType, Header: own(call.Header), Data: call.Data}
}

// own are the fields of a header that a test has set.
func own(header []rpc.Pair) []rpc.Pair {
	var found []rpc.Pair
	for _, p := range header {
		if name := strings.ToLower(p.Name); strings.HasPrefix(name, "x-suite") {
			found = append(found, rpc.Pair{Name: name, Value: p.Value})
		}
	}
	return found
}

// calls are the calls that have come to the service so far.
func (s *suite) calls() []*rpc.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*rpc.Request(nil), s.came...)
}

// ask makes a call of the service.
func (s *suite) ask(method string, data []byte) *rpc.Request {
	return &rpc.Request{ID: Known, Method: method + s.mark, Verb: "POST", Data: data, Timeout: patience}
}

// do makes a call that must succeed.
func (s *suite) do(inv rpc.Invoker, req *rpc.Request) *rpc.Response {
	s.Helper()
	resp, err := inv.Invoke(s.Context(), req)
	if err != nil {
		s.Fatalf("%s of %s: %v", req.Method, req.ID, err)
	}
	return resp
}

// works checks that calls get their answers.
func (s *suite) works(inv rpc.Invoker, when string) {
	s.Helper()
	resp, err := inv.Invoke(s.Context(), s.ask(echoMethod, []byte(when)))
	if err != nil || string(resp.Data) != when {
		s.Errorf("%s: %+v, %v", when, resp, err)
	}
}

// fails checks that a call fails with one of the codes, and returns the answer that
// the error holds.
func (s *suite) fails(ctx context.Context, inv rpc.Invoker, req *rpc.Request, what string, codes ...rpc.Code) *rpc.Response {
	s.Helper()
	resp, err := inv.Invoke(ctx, req)
	return s.failed(resp, err, what, codes...)
}

// failed checks what a call has returned.
func (s *suite) failed(resp *rpc.Response, err error, what string, codes ...rpc.Code) *rpc.Response {
	s.Helper()
	e, ok := rpc.AsError(err)
	switch {
	case resp != nil || err == nil:
		s.Errorf("%s: an answer (%+v) and the error %v, want an error only", what, resp, err)
	case !ok:
		s.Errorf("%s: the error is no *rpc.Error: %v", what, err)
	case e.Error() == "":
		s.Errorf("%s: the error says nothing", what)
	case !slices.Contains(codes, e.Code):
		s.Errorf("%s: code %d, want one of %v: %v", what, e.Code, codes, err)
	}
	if !ok {
		return nil
	}
	return e.Response
}

// result is what a call has returned.
type result struct {
	resp *rpc.Response
	err  error
}

// begin makes a call beside the test.
func begin(ctx context.Context, inv rpc.Invoker, req *rpc.Request) <-chan result {
	done := make(chan result, 1)
	go func() {
		resp, err := inv.Invoke(ctx, req)
		done <- result{resp, err}
	}()
	return done
}

// wait takes what must come.
func wait[T any](s *suite, ch <-chan T, what string) T {
	s.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		s.Fatalf("%s: not after %s", what, patience)
		panic("unreachable")
	}
}
