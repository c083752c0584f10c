package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/dns"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/dns/dnstest"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

func TestH18FamiliesAndAliases(t *testing.T) {
	s := dnstest.New(t)
	s.Set("both.test", "A 10.0.0.2", "A 10.0.0.1", "A 10.0.0.1", "AAAA fd00::1")
	s.Set("four.test", "60 A 10.0.0.4")
	s.Set("six.test", "60 AAAA fd00::6")
	s.Set("text.test", "TXT hello")
	s.Set("alias.test", "3 CNAME other.test.")
	s.Set("other.test", "60 CNAME four.test.")
	s.Set("nowhere.test", "CNAME missing.test.")
	s.Set("empty.test", "CNAME text.test.")
	s.Set("circle.test", "CNAME circle2.test.")
	s.Set("circle2.test", "CNAME circle.test.")
	s.Set("sink.test", "A 0.0.0.0", "A 255.255.255.255", "A 224.0.0.1", "AAAA ::")
	s.Set("sink2.test", "A 0.0.0.0", "A 10.1.1.1")
	r := resolver(t, config.DNSResolvers{Servers: []string{s.Address}}, dns.Env{})
	const second = time.Second
	for _, c := range []struct {
		name   string
		family dns.Family
		want   string
		ttl    time.Duration
	}{
		{"both.test", dns.V4Only, "10.0.0.1 10.0.0.2", 5 * second},
		{"both.test", dns.V6Only, "fd00::1", 5 * second},
		{"both.test", dns.Auto, "fd00::1", 5 * second},
		{"both.test", dns.All, "10.0.0.1 10.0.0.2 fd00::1", 5 * second},
		{"BOTH.test.", dns.V4Only, "10.0.0.1 10.0.0.2", 5 * second},
		{"four.test", dns.V6Only, "four.test has no address of family V6_ONLY in DNS", 0},
		{"four.test", dns.Auto, "10.0.0.4", 60 * second},
		{"four.test", dns.All, "10.0.0.4", 60 * second},
		{"six.test", dns.V4Only, "six.test has no address of family V4_ONLY in DNS", 0},
		{"six.test", dns.Auto, "fd00::6", 60 * second},
		{"six.test", dns.All, "fd00::6", 60 * second},
		{"text.test", dns.All, "text.test has no address of family ALL in DNS", 0},
		{"missing.test", dns.V4Only, "missing.test is not known to DNS", 0},
		{"missing.test", dns.Auto, "missing.test is not known to DNS", 0},
		{"alias.test", dns.V4Only, "10.0.0.4", 3 * second},
		{"nowhere.test", dns.V4Only, "nowhere.test is not known to DNS", 0},
		{"empty.test", dns.V4Only, "empty.test has no address of family V4_ONLY in DNS", 0},
		{"circle.test", dns.V4Only, "looking up circle.test: name server " + s.Address + ": more than 16 aliases, or aliases in a circle, for circle.test.", 0},
		{"sink.test", dns.All, "sink.test has no address of family ALL in DNS", 0},
		{"sink2.test", dns.V4Only, "10.1.1.1", 5 * second},
		{"10.9.8.7", dns.V6Only, "10.9.8.7", 7 * 24 * time.Hour},
		{"::ffff:10.9.8.7", dns.V4Only, "10.9.8.7", 7 * 24 * time.Hour},
		{"fd00::9", dns.V4Only, "fd00::9", 7 * 24 * time.Hour},
	} {
		got, ttl := lookup(t, r, c.name, c.family)
		if got != c.want || ttl != c.ttl {
			t.Errorf("%s %s: %s, %v; want %s, %v", c.family, c.name, got, ttl, c.want, c.ttl)
		}
	}
	for _, q := range s.Asked() {
		if strings.HasPrefix(q, "tcp") {
			t.Errorf("asked %s for no reason", q)
		}
	}
}

func TestH18NoNameIsNotAsked(t *testing.T) {
	s := dnstest.New(t)
	r := resolver(t, config.DNSResolvers{Servers: []string{s.Address}}, dns.Env{})
	for _, name := range []string{"", ".", "a..b", "a b", "a\\.b", "ä.test", strings.Repeat("a", 64) + ".test", strings.Repeat("a.", 127) + "test", "fe80::1%"} {
		if got, _ := lookup(t, r, name, dns.V4Only); !strings.Contains(got, "is no name for DNS") {
			t.Errorf("%q: %s", name, got)
		}
	}
	if len(s.Asked()) > 0 {
		t.Errorf("asked %v", s.Asked())
	}
}

func TestH18NotFoundIsNoFailure(t *testing.T) {
	s := dnstest.New(t)
	s.Set("text.test", "TXT hello")
	r := resolver(t, config.DNSResolvers{Servers: []string{s.Address}}, dns.Env{})
	ask := func(name string) (*dns.NotFoundError, bool) {
		_, _, err := r.Lookup(t.Context(), name, dns.V4Only)
		return errors.AsType[*dns.NotFoundError](err)
	}
	if e, ok := ask("missing.test"); !ok || e.Exists || e.Name != "missing.test" {
		t.Errorf("a name that is not there: %+v, %v", e, ok)
	}
	if e, ok := ask("text.test"); !ok || !e.Exists {
		t.Errorf("a name without address: %+v, %v", e, ok)
	}
	for _, rcode := range []int{miekg.RcodeServerFailure, miekg.RcodeRefused, miekg.RcodeNotImplemented, miekg.RcodeFormatError, 13} {
		s.Fail(rcode)
		if _, ok := ask("missing.test"); ok {
			t.Errorf("response code %d counts as an answer", rcode)
		}
	}
}

func TestH18TruncatedComesOverTCP(t *testing.T) {
	s := dnstest.New(t)
	var records, want []string
	for i := range 300 {
		ip := fmt.Sprintf("10.0.%d.%d", i/100, 100+i%100) // in the order of text and of number
		records, want = append(records, "A "+ip), append(want, ip)
	}
	s.Set("many.test", records...)
	r := resolver(t, config.DNSResolvers{Servers: []string{s.Address}}, dns.Env{})
	if got, _ := lookup(t, r, "many.test", dns.V4Only); got != strings.Join(want, " ") {
		t.Errorf("got %s", got)
	}
	if got, want := s.Asked(), []string{"udp A many.test.", "tcp A many.test."}; !slices.Equal(got, want) {
		t.Errorf("asked %v, want %v", got, want)
	}
	s.Set("few.test", records[:40]...) // 40 * 16 bytes: more than 512, less than 1232
	if got, _ := lookup(t, r, "few.test", dns.V4Only); got != strings.Join(want[:40], " ") {
		t.Errorf("got %s", got)
	}
	if got := s.Asked()[2:]; len(got) != 1 {
		t.Errorf("asked %v: EDNS0 did not make room for 40 addresses", got)
	}
}

func TestH18ServerWithoutEDNS(t *testing.T) {
	for _, rcode := range []int{miekg.RcodeFormatError, miekg.RcodeNotImplemented} {
		s := dnstest.New(t)
		s.Set("a.test", "A 10.0.0.1")
		s.Handle(func(q *miekg.Msg, _ bool) *miekg.Msg {
			if q.IsEdns0() != nil {
				m := new(miekg.Msg)
				m.Id, m.Response, m.Rcode = q.Id, true, rcode // a header alone
				return m
			}
			return s.Answer(q)
		})
		r := resolver(t, config.DNSResolvers{Servers: []string{s.Address}}, dns.Env{})
		if got, _ := lookup(t, r, "a.test", dns.V4Only); got != "10.0.0.1" {
			t.Error(got)
		}
		if n := len(s.Asked()); n != 2 {
			t.Errorf("asked %d times, want 2", n)
		}
	}
}

func TestH18AliasWithoutItsEnd(t *testing.T) {
	s := dnstest.New(t)
	s.Handle(func(q *miekg.Msg, _ bool) *miekg.Msg {
		switch name := q.Question[0].Name; name {
		case "a.test.":
			return reply(q, 0, "a.test. 9 CNAME b.test.")
		case "b.test.":
			return reply(q, 0, "b.test. 60 A 10.0.0.7", "stranger.test. 60 A 10.6.6.6")
		default: // always one more
			return reply(q, 0, name+" 60 CNAME x"+name)
		}
	})
	r := resolver(t, config.DNSResolvers{Servers: []string{s.Address}}, dns.Env{})
	if got, ttl := lookup(t, r, "a.test", dns.V4Only); got != "10.0.0.7" || ttl != 9*time.Second {
		t.Errorf("%s, %v", got, ttl)
	}
	before := len(s.Asked())
	if got, _ := lookup(t, r, "endless.test", dns.V4Only); !strings.Contains(got, "alias to alias") {
		t.Error(got)
	}
	if n := len(s.Asked()) - before; n > 4 {
		t.Errorf("a server that leads on and on was asked %d times", n)
	}
}

func TestH18DeadAndBrokenServersArePassedOver(t *testing.T) {
	good := dnstest.New(t)
	good.Set("a.test", "A 10.0.0.1")
	refusing := dnstest.New(t)
	refusing.Fail(miekg.RcodeRefused)
	lame := dnstest.New(t)
	lame.Handle(func(q *miekg.Msg, _ bool) *miekg.Msg {
		m := reply(q, 0)
		m.RecursionAvailable = false
		return m
	})
	for name, first := range map[string]string{"dead": testserver.Addr(t), "refusing": refusing.Address, "lame": lame.Address} {
		start := time.Now()
		r := resolver(t, config.DNSResolvers{Servers: []string{first, good.Address}, Timeout: 50}, dns.Env{})
		if got, _ := lookup(t, r, "a.test", dns.V4Only); got != "10.0.0.1" {
			t.Errorf("%s: %s", name, got)
		}
		if d := time.Since(start); d > 45*time.Second { // less than the time for an answer
			t.Errorf("%s: took %v", name, d)
		}
		r = resolver(t, config.DNSResolvers{Servers: []string{first}}, dns.Env{})
		if got, _ := lookup(t, r, "a.test", dns.V4Only); !strings.Contains(got, "looking up a.test") || !strings.Contains(got, "name server "+first) {
			t.Errorf("%s alone: the error does not name it: %s", name, got)
		}
	}
}

// TestH18ServersInTurn has servers that do not answer, in fake time.
func TestH18ServersInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		silent := func(name string) func(string, *miekg.Msg) [][]byte {
			return func(string, *miekg.Msg) [][]byte { asked = append(asked, name); return nil }
		}
		slow := func(_ string, q *miekg.Msg) [][]byte {
			asked = append(asked, "slow")
			time.Sleep(2900 * time.Millisecond)
			return [][]byte{pack(reply(q, 0, "a.test. 60 A 10.0.0.1"))}
		}
		for _, c := range []struct {
			net      wires
			attempts int
			want     string
			asked    string
			after    time.Duration
		}{
			{wires{"10.0.0.1:53": silent("1"), "10.0.0.2:53": slow}, 2, "10.0.0.1", "1 slow", 5900 * time.Millisecond},
			{wires{"10.0.0.1:53": slow, "10.0.0.2:53": silent("2")}, 2, "10.0.0.1", "slow", 2900 * time.Millisecond},
			{wires{"10.0.0.1:53": silent("1"), "10.0.0.2:53": silent("2")}, 2, "", "1 2 1 2", 12 * time.Second},
			{wires{"10.0.0.1:53": silent("1"), "10.0.0.2:53": silent("2")}, 1, "", "1 2", 6 * time.Second},
			{wires{"10.0.0.2:53": silent("2")}, 3, "", "2 2 2", 9 * time.Second},
		} {
			asked = nil
			r := resolver(t, config.DNSResolvers{Servers: []string{"10.0.0.1", "10.0.0.2:53"}, Timeout: 3, Attempts: c.attempts}, dns.Env{Dial: c.net.dialer()})
			start := time.Now()
			addrs, _, err := r.Lookup(t.Context(), "a.test.", dns.V4Only)
			synctest.Wait()
			if d := time.Since(start); d != c.after || strings.Join(asked, " ") != c.asked || (err == nil) != (c.want != "") || err == nil && text(addrs, nil) != c.want {
				t.Errorf("%s after %v, asked %v; want %s after %v, asked %s", text(addrs, err), d, asked, c.want, c.after, c.asked)
			}
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("error %v", err)
			}
		}
		// The caller goes.
		asked = nil
		r := resolver(t, config.DNSResolvers{Servers: []string{"10.0.0.1"}}, dns.Env{Dial: wires{"10.0.0.1:53": silent("1")}.dialer()})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, _, err := r.Lookup(ctx, "a.test", dns.All)
		synctest.Wait()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second || len(asked) != 1 {
			t.Errorf("%v after %v, asked %v", err, time.Since(start), asked)
		}
	})
}

// TestH18ForgedAnswers has someone answer in the server's place.
func TestH18ForgedAnswers(t *testing.T) {
	const right, wrong = "10.0.0.1", "10.6.6.6"
	forged := map[string]func(q *miekg.Msg) []byte{
		"another id": func(q *miekg.Msg) []byte {
			m := reply(q, 0, "a.test. 60 A "+wrong)
			m.Id++
			return pack(m)
		},
		"another name": func(q *miekg.Msg) []byte {
			m := reply(q, 0, "b.test. 60 A "+wrong)
			m.Question[0].Name = "b.test."
			return pack(m)
		},
		"another type": func(q *miekg.Msg) []byte {
			m := reply(q, 0, "a.test. 60 A "+wrong)
			m.Question[0].Qtype = miekg.TypeAAAA
			return pack(m)
		},
		"another class": func(q *miekg.Msg) []byte {
			m := reply(q, 0, "a.test. 60 A "+wrong)
			m.Question[0].Qclass = miekg.ClassCHAOS
			return pack(m)
		},
		"no question": func(q *miekg.Msg) []byte {
			m := reply(q, 0, "a.test. 60 A "+wrong)
			m.Question = nil
			return pack(m)
		},
		"not found without question": func(q *miekg.Msg) []byte {
			m := reply(q, miekg.RcodeNameError)
			m.Question = nil
			return pack(m)
		},
		"a question": func(q *miekg.Msg) []byte {
			m := reply(q, 0, "a.test. 60 A "+wrong)
			m.Response = false
			return pack(m)
		},
		"another operation": func(q *miekg.Msg) []byte {
			m := reply(q, 0, "a.test. 60 A "+wrong)
			m.Opcode = miekg.OpcodeNotify
			return pack(m)
		},
		"nothing": func(*miekg.Msg) []byte { return []byte{} },
		"noise":   func(*miekg.Msg) []byte { return []byte("no message at all") },
		"cut": func(q *miekg.Msg) []byte {
			b := pack(reply(q, 0, "a.test. 60 A "+wrong))
			return b[:len(b)-2]
		},
	}
	for name, forge := range forged {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ids := make(map[uint16]bool)
				tries := 0
				flood := 3
				net := wires{"10.0.0.1:53": func(_ string, q *miekg.Msg) (packets [][]byte) {
					ids[q.Id] = true
					tries++
					for range flood {
						packets = append(packets, forge(q))
					}
					return append(packets, pack(reply(q, 0, "A.Test. 60 A "+right, "x.test. 60 A "+wrong)))
				}}
				r := resolver(t, config.DNSResolvers{Servers: []string{"10.0.0.1"}, Attempts: 4}, dns.Env{Dial: net.dialer()})
				if got, _ := lookup(t, r, "a.test.", dns.V4Only); got != right || tries != 1 {
					t.Errorf("%s after %d tries", got, tries)
				}
				// So many that it is better to ask anew.
				flood = 1000
				ids, tries = make(map[uint16]bool), 0
				if got, _ := lookup(t, r, "a.test.", dns.V4Only); !strings.Contains(got, "does not answer for a.test.: 16 packets were no answers") {
					t.Error(got)
				}
				if tries != 4 || len(ids) < 3 {
					t.Errorf("asked %d times with %d ids, want 4 with as many", tries, len(ids))
				}
			})
		})
	}
}

func TestH18HostileStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var over []byte
		net := wires{"10.0.0.1:53": func(network string, q *miekg.Msg) [][]byte {
			if network == "tcp" {
				return [][]byte{over}
			}
			m := reply(q, 0)
			m.Truncated = true
			b := pack(m)
			return [][]byte{append(b[:7:7], append([]byte{1}, b[8:]...)...)} // it says one record, and there is none
		}}
		r := resolver(t, config.DNSResolvers{Servers: []string{"10.0.0.1"}, Attempts: 1, Timeout: 2}, dns.Env{Dial: net.dialer()})
		for _, c := range []struct {
			over []byte
			want string
		}{
			{[]byte{0, 0}, "is no answer"},
			{[]byte{0, 3, 1, 2, 3}, "is no answer"},
			{[]byte{0, 3, 1, 2}, "timeout"},
			{[]byte{255}, "timeout"},
			{append([]byte{0xff, 0xff}, make([]byte, 65535)...), "is no answer"},
		} {
			over = c.over
			if got, _ := lookup(t, r, "a.test.", dns.V4Only); !strings.Contains(got, c.want) {
				t.Errorf("%d bytes: %s, want %s", len(c.over), got, c.want)
			}
		}
	})
}

func TestH18SearchListAndNdots(t *testing.T) {
	s := dnstest.New(t)
	search := []string{"one.test", ".", "two.test."}
	for _, c := range []struct {
		name   string
		ndots  int
		search []string
		exists string // "" none
		asked  string
	}{
		{"a", 1, search[:1], "", "a.one.test. a."},
		{"a.b", 1, search[:1], "", "a.b. a.b.one.test."},
		{"a.b", 2, search[:1], "", "a.b.one.test. a.b."},
		{"a.b.c", 2, search[:1], "", "a.b.c. a.b.c.one.test."},
		{"a", 0, search[:1], "", "a. a.one.test."},
		{"a", 5, nil, "", "a."},
		{"a.", 5, search, "", "a."},
		{"a", 1, search, "", "a.one.test. a. a.two.test."},
		{"a", 1, []string{"one.test", "two.test"}, "a.one.test", "a.one.test."},
		{"a", 1, []string{"one.test", "two.test"}, "a.two.test", "a.one.test. a.two.test."},
		{"a.b", 1, []string{"one.test", "one.test"}, "a.b.one.test", "a.b. a.b.one.test."},
		{"a", 1, []string{strings.Repeat("x.", 126) + "x", "two.test"}, "", "a.two.test. a."},
	} {
		if c.exists != "" {
			s.Set(c.exists, "A 10.0.0.1")
		}
		before := len(s.Asked())
		r := resolver(t, config.DNSResolvers{Servers: []string{s.Address}, Search: c.search, Ndots: c.ndots}, dns.Env{})
		got, _ := lookup(t, r, c.name, dns.V4Only)
		if want := map[bool]string{true: "10.0.0.1", false: c.name + " is not known to DNS"}[c.exists != ""]; got != want {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
		if got := strings.Join(names(s.Asked()[before:]), " "); got != c.asked {
			t.Errorf("%s, ndots %d, search %v: asked for %s, want %s", c.name, c.ndots, c.search, got, c.asked)
		}
		s.Set(c.exists)
	}
}

// TestH18SearchListAndFailures: what is refused is passed over, and remembered;
// after silence a name later in the list is not taken for the one meant.
func TestH18SearchListAndFailures(t *testing.T) {
	const servfail, silence = miekg.RcodeServerFailure, -1
	for _, c := range []struct {
		first, second int
		want          string
	}{
		{miekg.RcodeNameError, 0, "10.0.0.1"},
		{servfail, 0, "10.0.0.1"},
		{silence, 0, "looking up a: name server 10.0.0.1:53 does not answer for a.one.: read pipe: i/o timeout"},
		{miekg.RcodeNameError, servfail, "looking up a: name server 10.0.0.1:53: SERVFAIL for a.two."},
		{servfail, miekg.RcodeNameError, "looking up a: name server 10.0.0.1:53: SERVFAIL for a.one."},
		{miekg.RcodeNameError, miekg.RcodeNameError, "a is not known to DNS"},
	} {
		synctest.Test(t, func(t *testing.T) {
			net := wires{"10.0.0.1:53": func(_ string, q *miekg.Msg) [][]byte {
				rcode := map[string]int{"a.one.": c.first, "a.two.": c.second, "a.": miekg.RcodeNameError}[q.Question[0].Name]
				switch rcode {
				case silence:
					return nil
				case 0:
					return [][]byte{pack(reply(q, 0, q.Question[0].Name+" 60 A 10.0.0.1"))}
				}
				return [][]byte{pack(reply(q, rcode))}
			}}
			r := resolver(t, config.DNSResolvers{Servers: []string{"10.0.0.1"}, Search: []string{"one", "two"}, Ndots: 1}, dns.Env{Dial: net.dialer()})
			if got, _ := lookup(t, r, "a", dns.V4Only); got != c.want {
				t.Errorf("%+v: %s", c, got)
			}
		})
	}
}

// TestH18OneFamilyFails: with AUTO IPv4 will do, with ALL half an answer is none.
func TestH18OneFamilyFails(t *testing.T) {
	s := dnstest.New(t)
	s.Handle(func(q *miekg.Msg, _ bool) *miekg.Msg {
		if q.Question[0].Qtype == miekg.TypeAAAA {
			return reply(q, miekg.RcodeServerFailure)
		}
		return reply(q, 0, "a.test. 60 A 10.0.0.1")
	})
	r := resolver(t, config.DNSResolvers{Servers: []string{s.Address}}, dns.Env{})
	for family, want := range map[dns.Family]string{dns.V4Only: "10.0.0.1", dns.Auto: "10.0.0.1", dns.V6Only: "SERVFAIL", dns.All: "SERVFAIL"} {
		if got, _ := lookup(t, r, "a.test", family); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", family, got, want)
		}
	}
}

func TestH18HostsFile(t *testing.T) {
	s := dnstest.New(t)
	s.Set("dns.test", "A 10.0.0.1")
	s.Set("db.test", "A 10.6.6.6", "AAAA fd00::6")
	s.Set("localhost", "A 10.6.6.6")
	file := write(t, "hosts", "# comment\n127.0.0.2 db.test db # more\n10.1.1.1 db\n::ffff:10.1.1.2 mapped\nbroken line\n10.1.1.3\n")
	r := resolver(t, config.DNSResolvers{Servers: []string{s.Address}}, dns.Env{HostsFile: file})
	for _, c := range []struct {
		name   string
		family dns.Family
		want   string
	}{
		{"db", dns.V4Only, "10.1.1.1 127.0.0.2"},
		{"DB.test.", dns.V4Only, "127.0.0.2"},
		{"db.test", dns.Auto, "127.0.0.2"},
		{"db.test", dns.V6Only, "fd00::6"}, // the file has none of this family
		{"mapped", dns.V4Only, "10.1.1.2"},
		{"dns.test", dns.V4Only, "10.0.0.1"},
		{"line", dns.V4Only, "line is not known to DNS"},
		{"localhost", dns.V4Only, "127.0.0.1"},
		{"LocalHost.", dns.Auto, "::1"},
		{"x.localhost", dns.All, "127.0.0.1 ::1"},
	} {
		if got, _ := lookup(t, r, c.name, c.family); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.family, c.name, got, c.want)
		}
	}
	for _, q := range s.Asked() {
		if strings.Contains(q, "localhost") {
			t.Errorf("asked %s", q)
		}
	}
	change(t, file, "10.2.2.2 db localhost\n")
	for name, want := range map[string]string{"db": "10.2.2.2", "localhost": "10.2.2.2", "db.test": "10.6.6.6"} {
		if got, _ := lookup(t, r, name, dns.V4Only); got != want {
			t.Errorf("%s after a change of the file: %s, want %s", name, got, want)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got, _ := lookup(t, r, "db", dns.V4Only); got != "10.2.2.2" {
		t.Errorf("after the file is gone: %s", got)
	}
}

// change writes a file anew, with another time.
func change(t *testing.T, name, text string) {
	t.Helper()
	info, err := os.Stat(name)
	if err == nil {
		err = os.WriteFile(name, []byte(text), 0o600)
	}
	if err == nil {
		later := info.ModTime().Add(time.Second)
		err = os.Chtimes(name, later, later)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestH18ResolvConf(t *testing.T) {
	one, two := dnstest.New(t), dnstest.New(t)
	one.Set("a.one.test", "A 10.0.0.1")
	two.Set("a.one.test", "A 10.0.0.2")
	port := func(s *dnstest.Server) string { return s.Address[strings.LastIndexByte(s.Address, ':')+1:] }
	file := write(t, "resolv.conf", "nameserver 127.0.0.1\nsearch one.test\noptions ndots:3 timeout:7\n")
	r, warnings, err := dns.NewResolver(config.Cluster{DNSResolverFile: file, DNSResolverPort: port(one)}, dns.Env{HostsFile: write(t, "hosts", "")}, "c")
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	if got, _ := lookup(t, r, "a", dns.V4Only); got != "10.0.0.1" {
		t.Error(got)
	}
	if got := one.Asked(); !slices.Equal(got, []string{"udp A a.one.test."}) {
		t.Errorf("asked %v", got)
	}
	change(t, file, "nameserver 127.0.0.1\nsearch other.test\n")
	if got, _ := lookup(t, r, "a", dns.V4Only); got != "a is not known to DNS" {
		t.Errorf("after a change of the file: %s", got)
	}
	// Without a server, it is the one of this machine.
	file = write(t, "resolv.conf", "search one.test\n")
	if r, _, err = dns.NewResolver(config.Cluster{DNSResolverFile: file, DNSResolverPort: port(two)}, dns.Env{HostsFile: write(t, "hosts", "")}, "c"); err != nil {
		t.Fatal(err)
	}
	if got, _ := lookup(t, r, "a", dns.V4Only); got != "10.0.0.2" {
		t.Error(got)
	}
}

func TestH18ConfigurationIsChecked(t *testing.T) {
	servers := []string{"10.0.0.1"}
	for _, c := range []struct {
		cfg         config.Cluster
		warns, errs string
	}{
		{config.Cluster{}, "", ""},
		{config.Cluster{DNSLookupFamily: "V5"}, "", "c.dns_lookup_family: unknown dns_lookup_family \"V5\"; known are V4_ONLY, V6_ONLY, AUTO, ALL"},
		{config.Cluster{DNSRefreshRate: -time.Second}, "", "c.dns_refresh_rate: must not be negative"},
		{config.Cluster{DNSResolverPort: "dns"}, "", `c.dns_resolver_port: "dns" is no port`},
		{config.Cluster{DNSResolverPort: "0"}, "", `c.dns_resolver_port: "0" is no port`},
		{config.Cluster{DNSResolverFile: "/no/such/file"}, "", "c.dns_resolver_file: stat /no/such/file: no such file or directory (name a file"},
		{config.Cluster{DNSResolverFile: "/"}, "", "c.dns_resolver_file: / is not a regular file"},
		{config.Cluster{DNSResolvers: &config.DNSResolvers{}}, "", "c.dns_resolvers.servers: there is no server"},
		{config.Cluster{DNSResolvers: &config.DNSResolvers{Servers: []string{"10.0.0.1", "[::1]:5353", "::1", "[::1]", "fe80::1%lo", "ns.test", "ns.test:53"}}}, "", ""},
		{config.Cluster{DNSResolvers: &config.DNSResolvers{Servers: []string{"10.0.0.1", "", "10.0.0.1:70000"}}}, "", `c.dns_resolvers.servers[1]: "" is no address`},
		{config.Cluster{DNSResolvers: &config.DNSResolvers{Servers: []string{"10.0.0.1:70000"}}}, "", `c.dns_resolvers.servers[0]: "10.0.0.1:70000" is no address`},
		{config.Cluster{DNSResolvers: &config.DNSResolvers{Servers: []string{"http://10.0.0.1"}}}, "", `c.dns_resolvers.servers[0]: "http://10.0.0.1" is no address`},
		{config.Cluster{DNSResolvers: &config.DNSResolvers{Servers: servers, Port: "x"}}, "", `c.dns_resolvers.port: "x" is no port`},
		{config.Cluster{DNSResolvers: &config.DNSResolvers{Servers: servers, Search: []string{"ok.test", "a b"}}}, "", `c.dns_resolvers.search[1]: "a b" is no domain`},
		{config.Cluster{DNSResolvers: &config.DNSResolvers{Servers: servers, Attempts: -1}}, "", "must not be negative"},
		{config.Cluster{DNSResolvers: &config.DNSResolvers{Servers: servers}, DNSResolverFile: "/etc/resolv.conf"}, "c.dns_resolver_file: has no effect beside dns_resolvers", ""},
		{config.Cluster{DNSResolvers: &config.DNSResolvers{Servers: servers}, DNSResolverPort: "53"}, "c.dns_resolver_port: has no effect beside dns_resolvers", ""},
	} {
		_, warnings, err := dns.NewResolver(c.cfg, dns.Env{}, "c")
		got := ""
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.errs) || (c.errs == "") != (got == "") || !strings.Contains(warnings.Error(), c.warns) || (c.warns == "") != (len(warnings) == 0) {
			t.Errorf("%+v:\nwarnings %v\nerror %s\nwant\n%s\n%s", c.cfg, warnings, got, c.warns, c.errs)
		}
	}
}

func TestH18ConcurrentLookups(t *testing.T) {
	s := dnstest.New(t)
	for i := range 10 {
		s.Set(fmt.Sprintf("h%d.test", i), fmt.Sprintf("A 10.0.0.%d", i))
	}
	r := resolver(t, config.DNSResolvers{Servers: []string{s.Address}}, dns.Env{})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				n := (w + i) % 10
				if got, _ := lookup(t, r, fmt.Sprintf("h%d.test", n), dns.V4Only); got != fmt.Sprintf("10.0.0.%d", n) {
					t.Errorf("h%d.test: %s", n, got)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzAnswer has a server send anything: the lookup ends, without a panic, and
// with addresses that hosts can have.
func FuzzAnswer(f *testing.F) {
	q := new(miekg.Msg).SetQuestion("a.test.", miekg.TypeA)
	m := reply(q, 0, "a.test. 60 CNAME b.test.", "b.test. 4294967295 A 10.0.0.1")
	f.Add(pack(m), false)
	f.Add(pack(m), true)
	m.Truncated = true
	f.Add(pack(m)[:40], true)
	f.Add([]byte{}, false)
	f.Add(pack(reply(q, 0, "a.test. 60 CNAME a.test.")), false)
	hosts := write(f, "hosts", "")
	f.Fuzz(func(t *testing.T, packet []byte, overTCP bool) {
		asked := 0
		net := wires{"10.0.0.1:53": func(network string, q *miekg.Msg) [][]byte {
			if asked++; asked > 100 {
				t.Error("asked without end")
			}
			b := slices.Clone(packet)
			if len(b) > 1 {
				b[0], b[1] = byte(q.Id>>8), byte(q.Id)
			}
			switch {
			case network == "tcp":
				return [][]byte{{byte(len(b) >> 8), byte(len(b))}, b}
			case overTCP:
				m := reply(q, 0)
				m.Truncated = true
				return [][]byte{pack(m)}
			}
			return [][]byte{b, b}
		}}
		synctest.Test(t, func(t *testing.T) {
			r := resolver(t, config.DNSResolvers{Servers: []string{"10.0.0.1"}}, dns.Env{Dial: net.dialer(), HostsFile: hosts})
			addrs, ttl, err := r.Lookup(t.Context(), "a.test", dns.All)
			if (err == nil) != (len(addrs) > 0) || ttl < 0 || ttl > 7*24*time.Hour {
				t.Errorf("%v, %v, %v", addrs, ttl, err)
			}
			for _, ip := range addrs {
				if !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip.Is4In6() {
					t.Errorf("address %v", ip)
				}
			}
		})
	})
}

// FuzzFiles reads any resolv.conf and hosts file.
func FuzzFiles(f *testing.F) {
	f.Add("nameserver 10.0.0.1\nsearch a b\noptions ndots:1 timeout:3 attempts:9\n", "10.0.0.1 a b\n::1 c # d\n")
	f.Add("nameserver x\ndomain\nsearch .\noptions ndots:-1 timeout:999999999999 attempts:99999999\n", "x y\n\x00\n")
	f.Fuzz(func(t *testing.T, conf, hosts string) {
		calls := 0
		dial := func(context.Context, string, string) (net.Conn, error) {
			calls++
			return nil, errors.New("no network")
		}
		file := write(t, "resolv.conf", conf)
		r, _, err := dns.NewResolver(config.Cluster{DNSResolverFile: file}, dns.Env{Dial: dial, HostsFile: write(t, "hosts", hosts)}, "c")
		if err != nil {
			t.Fatal(err)
		}
		if addrs, _, err := r.Lookup(t.Context(), "name", dns.V4Only); err == nil {
			for _, ip := range addrs {
				if !ip.Is4() {
					t.Errorf("address %v", ip)
				}
			}
		} else if calls == 0 {
			t.Errorf("nobody was asked: %v", err)
		}
	})
}
