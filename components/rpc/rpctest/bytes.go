package rpctest

import (
	"bytes"
	"slices"

	"github.com/ottavo-runtime/ottavo/components/rpc"
)

// spoil writes over bytes that their owner may do as he likes with. Whoever reads them
// meanwhile is found by the race detector, and by what it has read.
func spoil(b []byte) { clear(b) }

// testBytesOfTheCaller: what the caller hands in is not changed, and is the
// caller's again when the call has ended, however it has.
func testBytesOfTheCaller(s *suite) {
	inv := s.open(rpc.Chain{}).Invoker
	whole := s.big
	call := func(what, method string, change func(*rpc.Request)) {
		s.Helper()
		req := s.ask(method, bytes.Clone(whole)[:len(whole)-8]) // room behind the end
		req.Header = slices.Grow([]rpc.Pair{{Name: "x-suite", Value: "v"}}, 8)
		if change != nil {
			change(req)
		}
		was := *req
		resp, err := inv.Invoke(s.Context(), req)
		if (err == nil) != (method == echoMethod || req.OneWay) {
			s.Errorf("%s: %v", what, err)
		}
		if !bytes.Equal(req.Data[:len(whole)], whole) {
			s.Errorf("%s: the body was written to", what)
		}
		rest := req.Header[:8][1:]
		if len(req.Header) != 1 || req.Header[0] != (rpc.Pair{Name: "x-suite", Value: "v"}) || slices.ContainsFunc(rest, func(p rpc.Pair) bool { return p != rpc.Pair{} }) {
			s.Errorf("%s: the header was written to: %v", what, req.Header[:8])
		}
		if req.ID != was.ID || req.Method != was.Method || req.Verb != was.Verb || req.Query != was.Query || req.ContentType != was.ContentType {
			s.Errorf("%s: the request was changed: %+v", what, req)
		}
		spoil(req.Data)
		req.Header[0] = rpc.Pair{Name: "x-suite-spoilt", Value: "v"}
		if resp != nil && method == echoMethod && !req.OneWay && !bytes.Equal(resp.Data, whole[:len(whole)-8]) {
			s.Errorf("%s: the answer changes with the request", what)
		}
	}
	call("a success", echoMethod, nil)
	call("a timeout", holdMethod, func(r *rpc.Request) { r.Timeout = limit })
	if s.OneWay {
		call("one-way", echoMethod, func(r *rpc.Request) { r.OneWay = true })
	}
	s.works(inv, "afterwards")
	for _, c := range s.calls() {
		if len(c.Data) > 100 && !bytes.Equal(c.Data, whole[:len(whole)-8]) || slices.ContainsFunc(c.Header, func(p rpc.Pair) bool { return p.Name == "x-suite-spoilt" }) {
			s.Errorf("%s: the service has what the caller wrote after the call", c.Method)
		}
	}
}

// testBytesOfTheAnswer: an answer is the caller's, who may change it.
func testBytesOfTheAnswer(s *suite) {
	inv := s.open(rpc.Chain{}).Invoker
	body := pattern(100)
	for range 3 {
		req := s.ask(echoMethod, body)
		req.Header = []rpc.Pair{{Name: "x-suite-a", Value: "1"}}
		first, second := s.do(inv, req), s.do(inv, req)
		spoil(first.Data)
		spoil(first.Data[len(first.Data):cap(first.Data)])
		for i := range first.Header {
			first.Header[i] = rpc.Pair{}
		}
		if !bytes.Equal(second.Data, body) || !bytes.Equal(req.Data, body) {
			s.Fatal("two answers, or answer and request, share bytes")
		}
		if s.Headers && len(own(second.Header)) != 1 || len(req.Header) != 1 || req.Header[0].Value != "1" {
			s.Fatal("two answers, or answer and request, share a header")
		}
	}
	for _, c := range s.calls() {
		if !bytes.Equal(c.Data, body) {
			s.Fatal("what the service got changes with an answer")
		}
	}
}
