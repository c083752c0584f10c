// Package dnstest is a name server for tests: a real one, over UDP and TCP on
// loopback, whose records change when a test says so.
package dnstest

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Server is a name server. Its methods are safe for concurrent use.
type Server struct {
	// Address is where it listens, over UDP and TCP.
	Address string

	mu      sync.Mutex
	records map[string][]dns.RR // by name
	rcode   int                 // of all answers, if not 0
	handle  func(q *dns.Msg, overTCP bool) *dns.Msg
	asked   []string
}

// New starts a Server, which ends with the test. It knows no name.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{records: make(map[string][]dns.RR)}
	var packets net.PacketConn
	var stream net.Listener
	for try := 0; ; try++ { // a port that is free for both
		var err error
		if packets, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if stream, err = net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			break
		}
		_ = packets.Close()
		if try == 20 {
			t.Fatal(err)
		}
	}
	s.Address = packets.LocalAddr().String()
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: s}, {Listener: stream, Handler: s}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		var wg sync.WaitGroup
		wg.Go(func() { _ = server.ActivateAndServe() })
		<-started
		t.Cleanup(func() {
			_ = server.Shutdown()
			wg.Wait()
		})
	}
	return s
}

// Set gives a name its records in place of those it had, each in the form "A
// 10.0.0.1", "60 AAAA ::1" (with a TTL; else it is 5 s), "CNAME other.test.";
// without any the name does not exist. A name that has records of another type
// only has no address. All records of a name are in each answer, those at the
// end of an alias too.
func (s *Server) Set(name string, records ...string) {
	var list []dns.RR
	for _, text := range records {
		fields := strings.Fields(text)
		if fields[0][0] < '0' || fields[0][0] > '9' {
			text = "5 " + text
		}
		rr, err := dns.NewRR(dns.Fqdn(name) + " " + text)
		if err != nil {
			panic("dnstest: " + err.Error())
		}
		list = append(list, rr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[dns.CanonicalName(name)] = list
}

// Fail has the server answer every question with a response code of package dns,
// such as dns.RcodeServerFailure; 0 ends that.
func (s *Server) Fail(rcode int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rcode = rcode
}

// Handle has f answer; nil from it is silence, and f nil ends that.
func (s *Server) Handle(f func(q *dns.Msg, overTCP bool) *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = f
}

// Asked returns the questions so far, in the form "udp A a.test.".
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	network := w.RemoteAddr().Network()
	question := q.Question[0]
	s.mu.Lock()
	s.asked = append(s.asked, network+" "+dns.TypeToString[question.Qtype]+" "+question.Name)
	handle := s.handle
	s.mu.Unlock()
	if handle != nil {
		if m := handle(q, network == "tcp"); m != nil {
			_ = w.WriteMsg(m)
		}
		return
	}
	m := s.Answer(q)
	if network == "udp" {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		m.Truncate(size)
	}
	_ = w.WriteMsg(m)
}

// Answer returns what the server has to say to a question.
func (s *Server) Answer(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Rcode = s.rcode; m.Rcode != dns.RcodeSuccess {
		return m
	}
	name := q.Question[0].Name
	for range 20 {
		next := ""
		list, ok := s.records[dns.CanonicalName(name)]
		if !ok || len(list) == 0 {
			m.Rcode = dns.RcodeNameError
		}
		for _, rr := range list {
			if alias, ok := rr.(*dns.CNAME); ok {
				next = alias.Target
			} else if rr.Header().Rrtype != q.Question[0].Qtype {
				continue
			}
			m.Answer = append(m.Answer, rr)
		}
		if next == "" {
			break
		}
		name = next
	}
	if last := len(m.Answer) - 1; last < 0 || m.Answer[last].Header().Rrtype != q.Question[0].Qtype {
		m.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: "test.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 5}, Ns: "ns.test.", Mbox: "m.test."}}
	}
	return m
}
