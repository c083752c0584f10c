package rpctest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ottavo-runtime/ottavo/components/rpc"
)

// pattern makes n bytes in which every place differs from its neighbours.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

// statusOf is the status that a call of statusMethod asks for.
func statusOf(call *rpc.Request) int {
	n, err := strconv.Atoi(string(call.Data))
	if err != nil {
		return 200
	}
	return n
}

// testCall: what a call says reaches the service, and its answer the caller.
func testCall(s *suite) {
	inv := s.open(rpc.Chain{}).Invoker
	req := s.ask(echoMethod, []byte("hello"))
	req.ContentType, req.Query, req.Verb = "application/x-suite", "a=b&c=%20d", "PUT"
	resp := s.do(inv, req)
	if resp.Status != 200 || string(resp.Data) != "hello" {
		s.Errorf("the answer is %d %q", resp.Status, resp.Data)
	}
	calls := s.calls()
	if len(calls) != 1 {
		s.Fatalf("%d calls have come, want 1", len(calls))
	}
	call := calls[0]
	if string(call.Data) != "hello" || call.OneWay {
		s.Errorf("%q came, one-way: %v", call.Data, call.OneWay)
	}
	if s.Method && call.Method != req.Method {
		s.Errorf("the method that came is %q, want %q", call.Method, req.Method)
	}
	if s.HTTP && (call.Verb != "PUT" || call.Query != "a=b&c=%20d") {
		s.Errorf("%s and query %q came", call.Verb, call.Query)
	}
	if s.ContentTypes && (call.ContentType != req.ContentType || resp.ContentType != req.ContentType) {
		s.Errorf("content types %q and back %q, want %q", call.ContentType, resp.ContentType, req.ContentType)
	}
	if s.HTTP {
		path := req.Method
		s.do(inv, &rpc.Request{ID: Known, Method: path + "?a=b", Query: "c=d", Timeout: patience})
		if last := s.calls()[1]; last.Verb != "GET" || last.Method != path || last.Query != "a=b&c=d" {
			s.Errorf("%s %s?%s came, want GET %s?a=b&c=d", last.Verb, last.Method, last.Query, path)
		}
	}
}

// testHeader: fields arrive as they are, both ways.
func testHeader(s *suite) {
	inv := s.open(rpc.Chain{}).Invoker
	req := s.ask(echoMethod, []byte("x"))
	req.Header = []rpc.Pair{{Name: "x-suite-a", Value: "1"}, {Name: "x-suite-b", Value: `two "words", and more; of=them`}, {Name: "x-suite-empty", Value: ""}}
	if s.Repeated {
		req.Header = append(req.Header, rpc.Pair{Name: "x-suite-a", Value: "2"}, rpc.Pair{Name: "X-Suite-A", Value: "3"})
	}
	want := map[string][]string{}
	for _, p := range req.Header {
		name := strings.ToLower(p.Name)
		want[name] = append(want[name], p.Value)
	}
	same := func(side string, header []rpc.Pair) {
		s.Helper()
		got := map[string][]string{}
		for _, p := range own(header) {
			got[p.Name] = append(got[p.Name], p.Value)
		}
		for name, values := range want {
			if !slices.Equal(got[name], values) {
				s.Errorf("%s: %s is %q, want %q", side, name, got[name], values)
			}
		}
		if len(got) != len(want) {
			s.Errorf("%s: %v, want %v", side, got, want)
		}
	}
	resp := s.do(inv, req)
	same("at the service", s.calls()[0].Header)
	if s.Headers {
		same("in the answer", resp.Header)
	}
}

// testBodies: every byte arrives, whether there are none or many.
func testBodies(s *suite) {
	inv := s.open(rpc.Chain{}).Invoker
	for name, body := range map[string][]byte{
		"nil": nil, "empty": {}, "one byte": {0}, "every byte": pattern(256), "64 KiB and a byte": pattern(64<<10 + 1), "big": s.big,
	} {
		before := len(s.calls())
		resp := s.do(inv, s.ask(echoMethod, body))
		if call := s.calls()[before]; !bytes.Equal(call.Data, body) {
			s.Errorf("%s: %d bytes came, of %d, or others", name, len(call.Data), len(body))
		}
		if !bytes.Equal(resp.Data, body) {
			s.Errorf("%s: %d bytes came back, of %d, or others", name, len(resp.Data), len(body))
		}
	}
	if resp := s.do(inv, s.ask(bigMethod, nil)); !bytes.Equal(resp.Data, s.big) {
		s.Errorf("%d bytes came, want %d", len(resp.Data), len(s.big))
	}
}

// testStatuses: 200 to 299 are a success, everything else is an error.
func testStatuses(s *suite) {
	inv := s.open(rpc.Chain{}).Invoker
	if s.HTTP {
		for _, status := range []int{200, 201, 202, 299} {
			resp := s.do(inv, s.ask(statusMethod, []byte(strconv.Itoa(status))))
			if resp.Status != status || string(resp.Data) != "why" {
				s.Errorf("%d: the answer is %d %q", status, resp.Status, resp.Data)
			}
		}
	}
	for _, status := range []int{300, 404, 500, 503, 599} {
		req := s.ask(statusMethod, []byte(strconv.Itoa(status)))
		what := fmt.Sprintf("status %d", status)
		if !s.HTTP {
			if held := s.fails(s.Context(), inv, req, what, rpc.Unavailable, rpc.Internal); held != nil {
				s.Errorf("%s: the error holds an answer", what)
			}
			continue
		}
		held := s.fails(s.Context(), inv, req, what, rpc.Status)
		if held == nil || held.Status != status || string(held.Data) != "why" {
			s.Errorf("%s: the error holds the answer %+v", what, held)
		}
	}
	s.works(inv, "after errors")
}

// testUnreachable: a service that is not there is an error at once, and others
// are not harmed.
func testUnreachable(s *suite) {
	inv := s.open(rpc.Chain{}).Invoker
	for _, id := range []string{Unknown, Gone} {
		req := s.ask(echoMethod, []byte("x"))
		req.ID = id
		if held := s.fails(s.Context(), inv, req, id, rpc.Unavailable); held != nil {
			s.Errorf("%s: the error holds an answer", id)
		}
	}
	s.works(inv, "after errors")
	if n := len(s.calls()); n != 1 {
		s.Errorf("%d calls have come, want 1", n)
	}
}

// testRefused: a call that cannot be sent is never sent.
func testRefused(s *suite) {
	inv := s.open(rpc.Chain{}).Invoker
	req := s.ask(echoMethod, []byte("x"))
	req.Channel = "no such channel"
	s.fails(s.Context(), inv, req, "a channel that is not there", rpc.InvalidCall)
	if len(s.calls()) > 0 {
		s.Error("the call has been sent")
	}
}

// testOneWay: a call without an answer is on its way at once.
func testOneWay(s *suite) {
	inv := s.open(rpc.Chain{}).Invoker
	req := s.ask(holdMethod, []byte("note"))
	req.OneWay = true
	if !s.OneWay {
		s.fails(s.Context(), inv, req, "one-way", rpc.InvalidCall)
		if len(s.calls()) > 0 {
			s.Error("the call has been sent")
		}
		return
	}
	resp := s.do(inv, req)
	if resp == nil || len(resp.Data) > 0 || len(resp.Header) > 0 {
		s.Errorf("the answer is %+v, want an empty one", resp)
	}
	if call := wait(s, s.held, "the call"); string(call.Data) != "note" || !call.OneWay {
		s.Errorf("%q came, one-way: %v", call.Data, call.OneWay)
	}
	s.works(inv, "after a one-way call")
}

// testTarget: a call that names an address goes there, whatever its id.
func testTarget(s *suite) {
	peer := s.open(rpc.Chain{})
	req := s.ask(echoMethod, []byte("x"))
	req.ID, req.Target = Unknown, peer.Target
	if !s.Targets {
		req.Target = "127.0.0.1:80"
		s.fails(s.Context(), peer.Invoker, req, "an address", rpc.InvalidCall)
		return
	}
	for range 2 {
		if resp := s.do(peer.Invoker, req); string(resp.Data) != "x" {
			s.Errorf("the answer is %q", resp.Data)
		}
	}
	if n := len(s.calls()); n != 2 {
		s.Errorf("%d calls have come, want 2", n)
	}
	req.Target = peer.Refused
	s.fails(s.Context(), peer.Invoker, req, "an address at which nobody is", rpc.Unavailable)
	for _, bad := range []string{"x", ":80", "127.0.0.1", "127.0.0.1:"} {
		req.Target = bad
		s.fails(s.Context(), peer.Invoker, req, "the address "+bad, rpc.InvalidCall)
	}
	s.works(peer.Invoker, "after errors")
}

// testConcurrent: every one of many calls gets its own answer, while others wait.
func testConcurrent(s *suite) {
	inv := s.open(rpc.Chain{}).Invoker
	const callers, each, waiting = 32, 10, 8
	var held []<-chan result
	for range waiting {
		req := s.ask(holdMethod, []byte("hold"))
		req.Timeout = 2 * patience
		held = append(held, begin(s.Context(), inv, req))
		wait(s, s.held, "a call that waits")
	}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				want := fmt.Sprintf("call %d of caller %d", j, i)
				req := s.ask(echoMethod, []byte(want))
				req.Header = []rpc.Pair{{Name: "x-suite-call", Value: want}}
				resp, err := inv.Invoke(s.Context(), req)
				if err != nil || string(resp.Data) != want || s.Headers && !slices.Equal(own(resp.Header), req.Header) {
					s.Errorf("%s: %+v, %v", want, resp, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(s.calls()); n != waiting+callers*each {
		s.Errorf("%d calls have come, want %d", n, waiting+callers*each)
	}
	if err := inv.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
	for _, h := range held {
		wait(s, h, "the end of a call that waits")
	}
}
