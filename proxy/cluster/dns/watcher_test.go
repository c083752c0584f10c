package dns_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/dns"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/dns/dnstest"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// book is a Lookup by hand.
type book struct {
	mu    sync.Mutex
	names map[string]entry
	asked []question
	busy  int
	most  int // at a time
}

type entry struct {
	addrs string // separated by spaces
	ttl   time.Duration
	err   error
	takes time.Duration
}

type question struct {
	name   string
	family dns.Family
	at     time.Time
}

func (b *book) set(name string, e entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.names == nil {
		b.names = make(map[string]entry)
	}
	b.names[name] = e
}

// times returns when a name was asked for, since start, and forgets it.
func (b *book) times(name string, start time.Time) (list []time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = slices.DeleteFunc(b.asked, func(q question) bool {
		if q.name == name {
			list = append(list, q.at.Sub(start))
		}
		return q.name == name
	})
	return list
}

func (b *book) Lookup(ctx context.Context, name string, family dns.Family) ([]netip.Addr, time.Duration, error) {
	name = strings.ToLower(name)
	b.mu.Lock()
	e, ok := b.names[name]
	b.asked = append(b.asked, question{name, family, time.Now()})
	b.busy++
	b.most = max(b.most, b.busy)
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.busy--
		b.mu.Unlock()
	}()
	if e.takes > 0 {
		timer := time.NewTimer(e.takes)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	switch {
	case !ok:
		return nil, 0, &dns.NotFoundError{Name: name, Family: family}
	case e.err != nil:
		return nil, 0, e.err
	}
	var addrs []netip.Addr
	for text := range strings.FieldsSeq(e.addrs) {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs, e.ttl, nil
}

// watch runs a Watcher until stop is called. Each update is put in updates.
type watch struct {
	*dns.Watcher
	mu      sync.Mutex
	updates []string
	when    []time.Duration
	stop    func()
}

func run(t *testing.T, w *dns.Watcher) *watch {
	ctx, cancel := context.WithCancel(t.Context())
	r := &watch{Watcher: w}
	var wg sync.WaitGroup
	start := time.Now()
	wg.Go(func() {
		w.Run(ctx, func(hosts []config.Host) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.updates = append(r.updates, list(hosts))
			r.when = append(r.when, time.Since(start))
		})
	})
	r.stop = func() { cancel(); wg.Wait() }
	return r
}

// told returns the updates since it was called last.
func (r *watch) told() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	text := strings.Join(r.updates, " | ")
	r.updates, r.when = nil, nil
	return text
}

func list(hosts []config.Host) string {
	var all []string
	for _, h := range hosts {
		all = append(all, h.Address)
	}
	return strings.Join(all, " ")
}

func hosts(addresses ...string) []config.Host {
	var all []config.Host
	for _, a := range addresses {
		all = append(all, config.Host{Address: a})
	}
	return all
}

var errServer = errors.New("the server is on fire")

func TestH18HostsOfAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(book)
		b.set("a.test", entry{addrs: "10.0.0.2 10.0.0.1 10.0.0.2"})
		b.set("b.test.", entry{addrs: "fd00::1 10.0.0.1"})
		meta := &config.Metadata{Filter: config.FilterMetadata{LB: map[string]string{"version": "v1"}}}
		w := dns.NewWatcher([]config.Host{
			{Address: "a.test:80", Weight: 3, Metadata: meta, TLSDisable: true},
			{Address: "10.9.9.9:81", Weight: 2},
			{Address: "b.test.:80", Hostname: "given"},
			{Address: "A.TEST:81"},
			{Address: "[fd00::9]:80"},
			{Address: "10.9.9.9:81", Weight: 7},
		}, b, dns.WatcherOptions{Family: dns.All})
		if got := list(w.Hosts()); got != "10.9.9.9:81 [fd00::9]:80" {
			t.Errorf("before anything is looked up: %s", got)
		}
		r := run(t, w)
		synctest.Wait()
		<-w.Ready()
		want := []config.Host{
			{Address: "10.0.0.1:80", Weight: 3, Metadata: meta, TLSDisable: true, Hostname: "a.test"},
			{Address: "10.0.0.2:80", Weight: 3, Metadata: meta, TLSDisable: true, Hostname: "a.test"},
			{Address: "10.9.9.9:81", Weight: 2},
			{Address: "[fd00::1]:80", Hostname: "given"},
			{Address: "10.0.0.1:81", Hostname: "A.TEST"},
			{Address: "10.0.0.2:81", Hostname: "A.TEST"},
			{Address: "[fd00::9]:80"},
		}
		if got := w.Hosts(); !slices.Equal(got, want) {
			t.Errorf("hosts\n%+v\nwant\n%+v", got, want)
		}
		if got := r.told(); got != list(want) {
			t.Errorf("told of %s", got)
		}
		if n := len(b.asked); n != 2 || b.asked[0].family != dns.All {
			t.Errorf("asked %v, want once for each name", b.asked)
		}
		r.stop()
	})
}

func TestH18HostsFollowTheRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(book)
		b.set("a.test", entry{addrs: "10.0.0.1"})
		w := dns.NewWatcher(hosts("a.test:80"), b, dns.WatcherOptions{})
		r := run(t, w)
		if got := r.told(); got != "10.0.0.1:80" {
			t.Fatalf("at first %s", got)
		}
		for _, c := range []struct{ addrs, want string }{
			{"10.0.0.1", ""},
			{"10.0.0.2 10.0.0.1", "10.0.0.1:80 10.0.0.2:80"},
			{"10.0.0.1 10.0.0.2", ""}, // in another order
			{"10.0.0.2 10.0.0.2 10.0.0.1", ""},
			{"10.0.0.3", "10.0.0.3:80"},
		} {
			b.set("a.test", entry{addrs: c.addrs})
			time.Sleep(5 * time.Second) // the default refresh rate
			if got := r.told(); got != c.want {
				t.Errorf("%s: told of %q, want %q", c.addrs, got, c.want)
			}
		}
		r.stop()
		b.set("a.test", entry{addrs: "10.0.0.9"})
		n := len(b.asked)
		time.Sleep(time.Hour)
		if len(b.asked) != n || r.told() != "" {
			t.Error("it goes on after its end")
		}
	})
}

// TestH18FailureKeepsHosts: whatever is wrong with a name, for however long.
func TestH18FailureKeepsHosts(t *testing.T) {
	for name, bad := range map[string]entry{
		"the server fails":        {err: errServer},
		"the name does not exist": {err: &dns.NotFoundError{Name: "a.test"}},
		"there is no address":     {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := new(book)
				b.set("a.test", entry{addrs: "10.0.0.1"})
				b.set("b.test", entry{addrs: "10.0.0.2"})
				r := run(t, dns.NewWatcher(hosts("a.test:80", "b.test:80"), b, dns.WatcherOptions{}))
				r.told()
				b.set("a.test", bad)
				time.Sleep(48 * time.Hour)
				if got := r.told(); got != "" || list(r.Hosts()) != "10.0.0.1:80 10.0.0.2:80" {
					t.Errorf("told of %q, hosts are %s", got, list(r.Hosts()))
				}
				b.set("b.test", entry{addrs: "10.0.0.3"})
				time.Sleep(5 * time.Second)
				if got := r.told(); got != "10.0.0.1:80 10.0.0.3:80" {
					t.Errorf("another name changes: told of %q", got)
				}
				b.set("a.test", entry{addrs: "10.0.0.4"})
				time.Sleep(30 * time.Second)
				if got := r.told(); got != "10.0.0.4:80 10.0.0.3:80" {
					t.Errorf("it can be looked up again: told of %q", got)
				}
				r.stop()
			})
		})
	}
}

func TestH18NoFloodOnFailure(t *testing.T) {
	for _, c := range []struct {
		rate  time.Duration
		pause []time.Duration // between tries, at most; each is up to a tenth less
	}{
		{0, []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second, 30 * time.Second}},
		{100 * time.Millisecond, []time.Duration{
			100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
			1600 * time.Millisecond, 3200 * time.Millisecond, 6400 * time.Millisecond, 12800 * time.Millisecond, 25600 * time.Millisecond, 30 * time.Second,
		}},
		{time.Minute, []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := new(book)
			b.set("a.test", entry{err: errServer})
			start := time.Now()
			r := run(t, dns.NewWatcher(hosts("a.test:80"), b, dns.WatcherOptions{RefreshRate: c.rate}))
			time.Sleep(10 * time.Minute)
			r.stop()
			times := b.times("a.test", start)
			if slices.Equal(times[1:3], []time.Duration{c.pause[0], c.pause[0] + c.pause[1]}) {
				t.Errorf("rate %v: tries at %v: nothing is left to chance", c.rate, times[1:3])
			}
			for i, most := range c.pause {
				if got := times[i+1] - times[i]; got > most || got < most*9/10 {
					t.Errorf("rate %v: after failure %d the next try comes %v later, want about %v", c.rate, i+1, got, most)
				}
			}
			if n, most := len(times), int(10*time.Minute/(27*time.Second))+len(c.pause); n > most {
				t.Errorf("rate %v: %d tries in ten minutes, want at most %d", c.rate, n, most)
			}
		})
	}
}

func TestH18RefreshRateAndTTL(t *testing.T) {
	for _, c := range []struct {
		options dns.WatcherOptions
		ttl     time.Duration
		min     time.Duration
		max     time.Duration
	}{
		{dns.WatcherOptions{}, time.Hour, 4500 * time.Millisecond, 5 * time.Second},
		{dns.WatcherOptions{RefreshRate: 20 * time.Second}, 0, 18 * time.Second, 20 * time.Second},
		{dns.WatcherOptions{RefreshRate: time.Nanosecond}, 0, 9 * time.Millisecond, 10 * time.Millisecond},
		{dns.WatcherOptions{RespectTTL: true}, 60 * time.Second, 60 * time.Second, 66 * time.Second},
		{dns.WatcherOptions{RespectTTL: true}, 0, time.Second, 1100 * time.Millisecond},
		{dns.WatcherOptions{RespectTTL: true}, 7 * 24 * time.Hour, time.Hour, 66 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := new(book)
			b.set("a.test", entry{addrs: "10.0.0.1", ttl: c.ttl})
			start := time.Now()
			r := run(t, dns.NewWatcher(hosts("a.test:80"), b, c.options))
			time.Sleep(50 * c.max)
			r.stop()
			times := b.times("a.test", start)
			if len(times) < 50 {
				t.Fatalf("%+v: asked %d times", c, len(times))
			}
			different := make(map[time.Duration]bool)
			for i := range times[1:] {
				d := times[i+1] - times[i]
				different[d] = true
				if d < c.min || d > c.max {
					t.Errorf("%+v: %v between two lookups, want %v to %v", c, d, c.min, c.max)
				}
			}
			if len(different) < 10 {
				t.Errorf("%+v: nothing is left to chance", c)
			}
		})
	}
}

func TestH18FirstResult(t *testing.T) {
	for _, c := range []struct {
		name  string
		slow  entry
		ready time.Duration
		first string
		then  string
	}{
		{"all have an answer", entry{addrs: "10.0.0.2", takes: 3 * time.Second}, 3 * time.Second, "10.0.0.1:80 10.0.0.2:80", ""},
		{"one fails", entry{err: errServer, takes: 2 * time.Second}, 2 * time.Second, "10.0.0.1:80", ""},
		{"one is slow", entry{addrs: "10.0.0.2", takes: time.Minute}, 5 * time.Second, "10.0.0.1:80", "10.0.0.1:80 10.0.0.2:80"},
		{"none is known", entry{err: errServer}, 0, "10.0.0.1:80", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := new(book)
				b.set("a.test", entry{addrs: "10.0.0.1"})
				b.set("b.test", c.slow)
				start := time.Now()
				r := run(t, dns.NewWatcher(hosts("a.test:80", "b.test:80"), b, dns.WatcherOptions{RefreshRate: time.Hour}))
				<-r.Ready()
				if d := time.Since(start); d != c.ready {
					t.Errorf("ready after %v, want %v", d, c.ready)
				}
				if got := r.told(); got != c.first {
					t.Errorf("told of %q first, want %q", got, c.first)
				}
				time.Sleep(2 * time.Minute)
				if got := r.told(); got != c.then {
					t.Errorf("told of %q then, want %q", got, c.then)
				}
				r.stop()
			})
		})
	}
	t.Run("nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := new(book)
			for _, w := range []*dns.Watcher{
				dns.NewWatcher(nil, b, dns.WatcherOptions{}),
				dns.NewWatcher(hosts("10.0.0.1:80"), b, dns.WatcherOptions{}),
				dns.NewWatcher(hosts("missing.test:80"), b, dns.WatcherOptions{}),
			} {
				r := run(t, w)
				<-r.Ready()
				if got := r.told(); got != "" {
					t.Errorf("told of %q though nothing has changed", got)
				}
				r.stop()
			}
		})
	})
}

func TestH18BoundedLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(book)
		var all []string
		for i := range 200 {
			name := fmt.Sprintf("h%d.test", i)
			b.set(name, entry{addrs: fmt.Sprintf("10.0.0.%d", i), takes: 10 * time.Millisecond})
			all = append(all, name+":80", name+":81", strings.ToUpper(name)+":82")
		}
		start := time.Now()
		r := run(t, dns.NewWatcher(hosts(all...), b, dns.WatcherOptions{}))
		<-r.Ready()
		if d, want := time.Since(start), 130*time.Millisecond; d != want {
			t.Errorf("200 names take %v, want %v", d, want)
		}
		if b.most != 16 {
			t.Errorf("%d at a time, want 16", b.most)
		}
		if n := len(b.asked); n != 200 {
			t.Errorf("asked %d times for 200 names of 600 hosts", n)
		}
		if got := r.told(); strings.Count(got, "|") != 0 || len(r.Hosts()) != 600 {
			t.Errorf("%d hosts, told of %s", len(r.Hosts()), got)
		}
		// All change: not one update for each.
		for i := range 200 {
			b.set(fmt.Sprintf("h%d.test", i), entry{addrs: fmt.Sprintf("10.0.1.%d", i), takes: 10 * time.Millisecond})
		}
		time.Sleep(6 * time.Second)
		if n := strings.Count(r.told(), "|"); n > 15 {
			t.Errorf("%d updates for what changes within half a second", n)
		}
		if got := list(r.Hosts()); strings.Contains(got, "10.0.0.") {
			t.Errorf("hosts %s", got)
		}
		r.stop()
	})
}

func TestH18SlowNamesDoNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(book)
		b.set("slow.test", entry{addrs: "10.0.0.1", takes: time.Hour})
		b.set("a.test", entry{addrs: "10.0.0.2"})
		r := run(t, dns.NewWatcher(hosts("slow.test:80", "a.test:80"), b, dns.WatcherOptions{}))
		<-r.Ready()
		r.told()
		b.set("a.test", entry{addrs: "10.0.0.3"})
		time.Sleep(5*time.Second + 100*time.Millisecond)
		if got := r.told(); got != "10.0.0.3:80" {
			t.Errorf("told of %q", got)
		}
		start := time.Now()
		r.stop() // while a lookup is on its way
		if d := time.Since(start); d != 0 {
			t.Errorf("the end takes %v", d)
		}
	})
}

func TestH5NewConfigurationTakesOverAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(book)
		b.set("a.test", entry{addrs: "10.0.0.1"})
		b.set("b.test", entry{addrs: "10.0.0.2"})
		b.set("c.test", entry{addrs: "10.0.0.3"})
		first := run(t, dns.NewWatcher(hosts("a.test:80", "b.test:80"), b, dns.WatcherOptions{}))
		<-first.Ready()
		b.set("a.test", entry{err: errServer})
		second := dns.NewWatcher(hosts("c.test:80", "A.test:90", "10.0.0.9:80"), b, dns.WatcherOptions{Before: first.Watcher})
		if got := list(second.Hosts()); got != "10.0.0.1:90 10.0.0.9:80" {
			t.Errorf("at first the hosts are %s", got)
		}
		first.stop()
		r := run(t, second)
		<-second.Ready()
		if got := r.told(); got != "10.0.0.3:80 10.0.0.1:90 10.0.0.9:80" {
			t.Errorf("told of %s", got)
		}
		r.stop()
		other := dns.NewWatcher(hosts("a.test:80"), b, dns.WatcherOptions{Before: second, Family: dns.V6Only})
		if got := list(other.Hosts()); got != "" {
			t.Errorf("of another family: %s", got)
		}
	})
}

func TestH18LogsChangesNotTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		b := new(book)
		b.set("a.test", entry{addrs: "10.0.0.1"})
		r := run(t, dns.NewWatcher(hosts("a.test:80"), b, dns.WatcherOptions{Log: log}))
		for _, e := range []entry{{addrs: "10.0.0.1"}, {err: errServer}, {err: errServer}, {err: &dns.NotFoundError{Name: "a.test"}}, {addrs: "10.0.0.1"}, {addrs: "10.0.0.2 10.0.0.3"}} {
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			b.set("a.test", e)
		}
		time.Sleep(10 * time.Minute)
		r.stop()
		var lines []string
		for line := range strings.Lines(text.String()) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " failures=")
			lines = append(lines, line)
		}
		want := []string{
			`level=INFO msg="a name of hosts stands for other addresses" name=a.test addresses=1 before=0`,
			`level=WARN msg="a name of hosts cannot be looked up; the addresses known before stay in use" name=a.test addresses=1 error="the server is on fire"`,
			`level=WARN msg="a name of hosts cannot be looked up; the addresses known before stay in use" name=a.test addresses=1 error="a.test is not known to DNS"`,
			`level=INFO msg="a name of hosts can be looked up again" name=a.test addresses=1`,
			`level=INFO msg="a name of hosts stands for other addresses" name=a.test addresses=2 before=1`,
		}
		if !slices.Equal(lines, want) {
			t.Errorf("log\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestH18FollowsARealServer goes all the way: the records of a name server
// change, it fails, and it comes back.
func TestH18FollowsARealServer(t *testing.T) {
	s := dnstest.New(t)
	s.Set("a.test", "A 10.0.0.1", "A 10.0.0.2")
	r := resolver(t, config.DNSResolvers{Servers: []string{s.Address}}, dns.Env{})
	w := dns.NewWatcher(hosts("a.test:80"), r, dns.WatcherOptions{RefreshRate: 20 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	updates := make(chan string, 100)
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx, func(hosts []config.Host) { updates <- list(hosts) }) })
	want := func(text string) {
		t.Helper()
		select {
		case got := <-updates:
			if got != text {
				t.Fatalf("hosts %s, want %s", got, text)
			}
		case <-ctx.Done():
			t.Fatalf("no update, want %s", text)
		}
	}
	want("10.0.0.1:80 10.0.0.2:80")
	s.Set("a.test", "A 10.0.0.2", "A 10.0.0.3")
	want("10.0.0.2:80 10.0.0.3:80")
	s.Fail(2)
	s.Set("a.test", "A 10.0.0.4")
	for n := len(s.Asked()); len(s.Asked()) < n+6; { // three tries fail
		if ctx.Err() != nil {
			t.Fatal("no tries")
		}
		time.Sleep(time.Millisecond) // real sockets know no fake time
	}
	if got := list(w.Hosts()); got != "10.0.0.2:80 10.0.0.3:80" || len(updates) > 0 {
		t.Errorf("while the server fails: %s", got)
	}
	s.Fail(0)
	want("10.0.0.4:80")
	cancel()
	wg.Wait()
}
