package frametest

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Samples are whole frames of a protocol. Those that it does not have are nil.
type Samples struct {
	// Request and Response have a payload. Response means success.
	Request, Response []byte
	OneWay            []byte
	Heartbeat         []byte
	HeartbeatReply    []byte
	GoAway            []byte
	// More are other frames.
	More [][]byte
	// Garbage are beginnings of what is no frame, or one that cannot be whole.
	// Each must be refused with no more bytes than these.
	Garbage [][]byte
}

func (s *Samples) all() [][]byte {
	list := slices.Concat([][]byte{s.Request, s.Response, s.OneWay, s.Heartbeat, s.HeartbeatReply, s.GoAway}, s.More)
	return slices.DeleteFunc(list, func(f []byte) bool { return f == nil })
}

// Run runs all checks as subtests of t.
func Run(t *testing.T, codec frame.Codec, s Samples) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(*suite)
	}{
		{"Match", (*suite).match},
		{"Size", (*suite).size},
		{"Types", (*suite).types},
		{"SetID", (*suite).setID},
		{"Rebuild", (*suite).rebuild},
		{"Replies", (*suite).replies},
		{"Splits", (*suite).splits},
		{"Pipelined", (*suite).pipelined},
		{"Forwarded", (*suite).forwarded},
		{"OneWay", (*suite).oneWay},
		{"Heartbeats", (*suite).heartbeats},
		{"Silent", (*suite).silent},
		{"GoAway", (*suite).goAway},
		{"Oversize", (*suite).oversize},
		{"Garbage", (*suite).garbage},
		{"Ids", (*suite).ids},
		{"GivenUp", (*suite).givenUp},
		{"Mixed", (*suite).mixed},
		{"Cut", (*suite).cut},
		{"HalfClosed", (*suite).halfClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.test(&suite{t, codec, s}) })
		})
	}
	t.Run("Sockets", func(t *testing.T) { (&suite{t, codec, s}).sockets() })
}

// suite is one check.
type suite struct {
	*testing.T
	codec   frame.Codec
	samples Samples
}

// decode reads a whole frame.
func (s *suite) decode(f []byte) *frame.Message {
	s.Helper()
	m, err := frame.Parse(s.codec, f)
	if err != nil {
		s.Fatalf("%x: %v", f, err)
	}
	return m
}

func (s *suite) match() {
	if got := s.codec.Match(nil); got != protocol.More {
		s.Errorf("nothing: %v, want More", got)
	}
	for _, f := range [][]byte{s.samples.Request, s.samples.OneWay, s.samples.Heartbeat} {
		decided := false
		for n := 1; n <= len(f); n++ {
			switch got := s.codec.Match(f[:n]); {
			case got == protocol.No, decided && got != protocol.Match:
				s.Errorf("%x is %v", f[:n], got)
			case got == protocol.Match:
				decided = true
			}
		}
		if len(f) > 0 && !decided {
			s.Errorf("%x is not recognised", f)
		}
	}
	for _, other := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"} {
		if got := s.codec.Match([]byte(other)); got != protocol.No {
			s.Errorf("%q: %v, want No", other, got)
		}
	}
	if s.codec.Name() == "" || s.codec.MaxID() < 1 {
		s.Errorf("name %q, largest id %d", s.codec.Name(), s.codec.MaxID())
	}
}

func (s *suite) size() {
	for _, f := range s.samples.all() {
		for n := range len(f) + 1 {
			got, err := s.codec.Size(f[:n:n])
			if err != nil || got != 0 && got != len(f) || got == 0 && (n == len(f) || n >= 256) {
				s.Fatalf("with %d bytes of %x: %d, %v; want 0 or %d", n, f, got, err, len(f))
			}
		}
		if got, err := s.codec.Size(append(slices.Clone(f), f...)); err != nil || got != len(f) {
			s.Errorf("%x, twice: %d, %v", f, got, err)
		}
	}
	for _, g := range s.samples.Garbage {
		if n, err := s.codec.Size(g); err == nil && (n == 0 || n > len(g)) {
			s.Errorf("Size of %x is %d: not refused", g, n)
		}
	}
}

func (s *suite) types() {
	for f, want := range map[*[]byte]frame.Type{
		&s.samples.Request: frame.Request, &s.samples.Response: frame.Response, &s.samples.OneWay: frame.OneWay,
		&s.samples.Heartbeat: frame.Heartbeat, &s.samples.HeartbeatReply: frame.HeartbeatReply, &s.samples.GoAway: frame.GoAway,
	} {
		if *f == nil {
			continue
		}
		if m := s.decode(*f); m.Type != want {
			s.Errorf("%x is of type %d, want %d", *f, m.Type, want)
		}
	}
	if m := s.decode(s.samples.Response); m.Status < 200 || m.Status > 299 {
		s.Errorf("Response has status %d", m.Status)
	}
	for _, f := range [][]byte{s.samples.Request, s.samples.Response} {
		if m := s.decode(f); len(m.Payload()) == 0 || &m.Payload()[0] != &f[m.Start] {
			s.Errorf("%x has no payload, or it is a copy", f)
		}
	}
}

func (s *suite) setID() {
	for _, f := range s.samples.all() {
		before := s.decode(f)
		if before.Type == frame.GoAway {
			continue
		}
		for _, id := range []uint64{1, 99, s.codec.MaxID(), before.ID} {
			got := s.withID(f, id)
			if m := s.decode(got); m.ID != id || m.Type != before.Type || !bytes.Equal(m.Payload(), before.Payload()) {
				s.Errorf("%x with id %d is %x: type %d, id %d, payload %q", f, id, got, m.Type, m.ID, m.Payload())
			}
			if id == before.ID && !bytes.Equal(got, f) {
				s.Errorf("%x with its own id is %x", f, got)
			}
		}
	}
}

// rebuild: what is built of all that was read says the same.
func (s *suite) rebuild() {
	for _, f := range s.samples.all() {
		m := s.decode(f)
		if m.Type == frame.GoAway || m.Type == frame.Heartbeat || m.Type == frame.HeartbeatReply {
			continue
		}
		built := *m
		built.Frame, built.Body, built.Origin = nil, m.Payload(), m
		got, err := s.codec.Append([]byte("before"), &built)
		if err != nil || !bytes.HasPrefix(got, []byte("before")) {
			s.Errorf("Append of %x: %v", f, err)
			continue
		}
		again := s.decode(got[len("before"):])
		if again.Type != m.Type || again.ID != m.ID || again.Code != m.Code || again.Timeout != m.Timeout || again.Method != m.Method ||
			!bytes.Equal(again.Payload(), m.Payload()) || text(again.Header) != text(m.Header) {
			s.Errorf("%x\nis rebuilt as\n%x:\n%+v\n%+v", f, got, again, m)
		}
	}
}

func text(h *stream.Header) (s string) {
	for name, value := range h.All() {
		s += strconv.Quote(name) + "=" + strconv.Quote(value) + " "
	}
	return s
}

// replies: each kind of failure can be told to a caller.
func (s *suite) replies() {
	req := s.decode(s.samples.Request)
	for kind := stream.Internal; kind <= stream.Denied; kind++ {
		reply := s.codec.Reply(req, &stream.Error{Kind: kind})
		reply.ID, reply.Request, reply.Header = 77, req, new(stream.Header)
		f, err := s.codec.Append(nil, &reply)
		if err != nil {
			s.Errorf("%v: %v", kind, err)
			continue
		}
		if m := s.decode(f); m.Type != frame.Response || m.ID != 77 || m.Status < 400 || m.Status > 599 {
			s.Errorf("%v is told as %+v", kind, m)
		}
	}
	for status := 200; status < 600; status++ {
		f, err := s.codec.Append(nil, &frame.Message{Type: frame.Response, ID: 7, Code: -1, Status: status, Header: new(stream.Header), Request: req})
		if err != nil {
			s.Fatalf("status %d: %v", status, err)
		}
		if m := s.decode(f); (m.Status < 400) != (status < 400) {
			s.Errorf("status %d is told as %d (%d)", status, m.Code, m.Status)
		}
	}
	if _, err := s.codec.Append(nil, &frame.Message{Type: 99, Header: new(stream.Header)}); !errors.Is(err, errors.ErrUnsupported) {
		s.Errorf("an unknown type: %v, want errors.ErrUnsupported", err)
	}
}
