package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/dns"
)

// phone is a network that notes where connections go.
type phone struct {
	mu    sync.Mutex
	calls []string
	down  map[string]bool // nobody answers
}

func (p *phone) connect(ctx context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	p.calls = append(p.calls, address)
	down := p.down[address]
	p.mu.Unlock()
	if down {
		<-ctx.Done()
		return nil, fmt.Errorf("%s %s: %w", network, address, ctx.Err())
	}
	c, other := net.Pipe()
	_ = other.Close()
	return c, nil
}

// took returns the calls since it was called last.
func (p *phone) took() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := strings.Join(p.calls, " ")
	p.calls = nil
	return text
}

func dial(t *testing.T, d *dns.Dialer, address string, limit time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, err := d.Dial(ctx, "tcp", address)
	if (c == nil) != (err != nil) {
		t.Errorf("connection %v, error %v", c, err)
	}
	if c != nil {
		_ = c.Close()
	}
	return err
}

func TestI14NamesAreLookedUpAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := new(book), new(phone)
		d := dns.NewDialer(b, dns.V4Only, p.connect)
		start := time.Now()
		b.set("a.test", entry{addrs: "10.0.0.1", ttl: time.Hour})
		for _, c := range []struct {
			at    time.Duration
			set   *entry
			calls string
			asked int
			err   string
		}{
			{0, nil, "10.0.0.1:80", 1, ""},
			{time.Second, &entry{addrs: "10.0.0.2", ttl: time.Hour}, "10.0.0.1:80", 0, ""},
			{14900 * time.Millisecond, nil, "10.0.0.1:80", 0, ""},
			{15 * time.Second, nil, "10.0.0.2:80", 1, ""},
			{30 * time.Second, &entry{addrs: "10.0.0.3", ttl: 0}, "10.0.0.3:80", 1, ""},
			{30900 * time.Millisecond, &entry{err: errServer}, "10.0.0.3:80", 0, ""},
			{31 * time.Second, nil, "10.0.0.3:80", 1, ""}, // the old address will do
			{35900 * time.Millisecond, nil, "10.0.0.3:80", 0, ""},
			{36 * time.Second, &entry{addrs: "10.0.0.4", ttl: time.Minute}, "10.0.0.4:80", 1, ""},
		} {
			time.Sleep(time.Until(start.Add(c.at)))
			if c.set != nil {
				b.set("a.test", *c.set)
			}
			if err := dial(t, d, "a.test:80", 3*time.Second); err != nil {
				t.Errorf("at %v: %v", c.at, err)
			}
			if calls, asked := p.took(), len(b.times("a.test", start)); calls != c.calls || asked != c.asked {
				t.Errorf("at %v: connected to %s, asked %d times; want %s, %d", c.at, calls, asked, c.calls, c.asked)
			}
		}
	})
}

func TestI14AddressesAndErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := new(book), new(phone)
		d := dns.NewDialer(b, dns.V4Only, p.connect)
		for _, address := range []string{"10.0.0.1:80", "[fd00::1]:80"} {
			if err := dial(t, d, address, time.Second); err != nil || p.took() != address {
				t.Errorf("%s: %v", address, err)
			}
		}
		if err := dial(t, d, "a.test", time.Second); err == nil || !strings.Contains(err.Error(), `"a.test" is no address`) {
			t.Error(err)
		}
		if len(b.asked) > 0 {
			t.Errorf("asked %v", b.asked)
		}
		// With a dot at its end a name is not searched for: another answer.
		b.set("ns", entry{addrs: "10.0.0.1", ttl: time.Minute})
		b.set("ns.", entry{addrs: "10.0.0.2", ttl: time.Minute})
		for address, want := range map[string]string{"ns:80": "10.0.0.1:80", "ns.:80": "10.0.0.2:80"} {
			if err := dial(t, d, address, time.Second); err != nil || p.took() != want {
				t.Errorf("%s: %v, want a connection to %s", address, err, want)
			}
		}
		start := time.Now()
		for range 100 { // within a second
			time.Sleep(5 * time.Millisecond)
			if err := dial(t, d, "missing.test:80", time.Second); err == nil || err.Error() != "missing.test is not known to DNS" {
				t.Fatal(err)
			}
		}
		if n := len(b.times("missing.test", start)); n != 1 {
			t.Errorf("a name that is not there was asked for %d times in half a second", n)
		}
	})
}

func TestI14SeveralAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(book)
		b.set("a.test", entry{addrs: "10.0.0.1 10.0.0.2 10.0.0.3", ttl: time.Minute})
		p := &phone{down: map[string]bool{}}
		d := dns.NewDialer(b, dns.V4Only, p.connect)
		var got []string
		for range 6 {
			if err := dial(t, d, "a.test:80", 3*time.Second); err != nil {
				t.Fatal(err)
			}
			got = append(got, p.took())
		}
		if slices.Sort(got); strings.Join(got, " ") != "10.0.0.1:80 10.0.0.1:80 10.0.0.2:80 10.0.0.2:80 10.0.0.3:80 10.0.0.3:80" {
			t.Errorf("six connections went to %v, want two to each", got)
		}
		// Two do not answer: there is time for the third.
		p.down = map[string]bool{"10.0.0.1:80": true, "10.0.0.2:80": true}
		for range 3 {
			start := time.Now()
			if err := dial(t, d, "a.test:80", 3*time.Second); err != nil || time.Since(start) > 2*time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		}
		p.took()
		p.down["10.0.0.3:80"] = true
		start := time.Now()
		err := dial(t, d, "a.test:80", 3*time.Second)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connecting to a.test:80: tcp 10.0.0.") || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if got := strings.Fields(p.took()); len(got) != 3 {
			t.Errorf("tried %v, want each once", got)
		}
	})
}

// TestI14ManyWaitForOneAnswer: nobody asks twice at a time, and one who gives up
// does not spoil it for the others.
func TestI14ManyWaitForOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := new(book), new(phone)
		b.set("a.test", entry{addrs: "10.0.0.1", ttl: time.Minute, takes: 2 * time.Second})
		d := dns.NewDialer(b, dns.V4Only, p.connect)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := dial(t, d, "a.test:80", time.Second); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the impatient: %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() {
				if err := dial(t, d, "A.test:80", 10*time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v, want one second of the first and two of the next", d)
		}
		if n := len(b.times("a.test", start)); n != 2 || b.most != 1 {
			t.Errorf("asked %d times, %d at a time; want 2, 1", n, b.most)
		}
		// A server that is slow now does not keep anyone from the old address.
		b.set("a.test", entry{addrs: "10.0.0.2", takes: time.Hour})
		time.Sleep(time.Minute)
		start = time.Now()
		p.took()
		if err := dial(t, d, "a.test:80", 3*time.Second); err != nil || time.Since(start) != time.Second || p.took() != "10.0.0.1:80" {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestI14MemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := new(book), new(phone)
		d := dns.NewDialer(b, dns.V4Only, p.connect)
		const names = 5000
		count := func() (n int) {
			before := len(b.asked)
			for i := range names {
				if err := dial(t, d, fmt.Sprintf("h%d.test:80", i), time.Second); err == nil {
					t.Fatal("there is no such name")
				}
			}
			return len(b.asked) - before
		}
		count()
		if n := count(); n < names-1024 {
			t.Errorf("of %d names %d are remembered, want no more than 1024", names, names-n)
		}
	})
}
