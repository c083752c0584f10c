package health_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/health"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// Results of checks (+ passes, - fails) and what the host is after each.
func TestI9Thresholds(t *testing.T) {
	for name, c := range map[string]struct {
		healthy, unhealthy int
		results, in        string // in: i in use, o out
	}{
		"none given":                   {0, 0, "+-+-", "ioio"},
		"one each":                     {1, 1, "+--++-", "iooiio"},
		"three to go out":              {1, 3, "+--+---+", "iiiiiioi"},
		"three to come back":           {3, 1, "+-++-+++", "ioooooo" + "i"},
		"flapping is ignored":          {2, 2, "+-+-+-+-+-", "iiiiiiiiii"},
		"flapping while out":           {2, 2, "+--+-+-+-++", "iioooooooo" + "i"},
		"first failure at once":        {1, 3, "-+", "oi"},
		"then as usual":                {2, 3, "-++--+---", "ooiiiiiio"},
		"first success is no more":     {2, 2, "+-+--", "iiiio"},
		"success does not count twice": {3, 1, "-++-+++", "oooooo" + "i"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost("10.0.0.1:80")
				w := newNetwork(func(_ context.Context, _ string, n int) error {
					if n < len(c.results) && c.results[n] == '-' {
						return errRefused
					}
					return nil
				})
				r := w.run(t, config.HealthCheck{HealthyThreshold: c.healthy, UnhealthyThreshold: c.unhealthy}, []*upstream.Host{h}, nil)
				defer r.stop()
				time.Sleep(500 * time.Millisecond)
				if out(h) {
					t.Error("out before the first check")
				}
				got := ""
				for range c.results {
					time.Sleep(time.Second)
					if got += "i"; out(h) {
						got = got[:len(got)-1] + "o"
					}
					time.Sleep(14 * time.Second)
				}
				if got != c.in {
					t.Errorf("after %s: %s, want %s", c.results, got, c.in)
				}
			})
		})
	}
}

// The row: out after threshold x interval, and a line in the event log.
func TestI9KilledServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "health.log")
	synctest.Test(t, func(t *testing.T) {
		var dead atomic.Bool
		w := newNetwork(func(context.Context, string, int) error {
			if dead.Load() {
				return errRefused
			}
			return nil
		})
		hosts := []*upstream.Host{upstream.NewHost(config.Host{Address: "10.0.0.1:80", Hostname: "one"}, nil)}
		hosts[0].SetTrouble(upstream.Marked, true) // somebody else's business
		var log strings.Builder
		r := w.run(t, config.HealthCheck{Interval: 2 * time.Second, UnhealthyThreshold: 3, EventLogPath: path}, hosts, func(o *health.Options) {
			o.Events = health.NewEventLog(path, quiet())
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		time.Sleep(10550 * time.Millisecond) // never at the moment of a check
		killed := time.Now()
		dead.Store(true)
		for !out(hosts[0]) {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(killed); took > 3*2*time.Second {
			t.Errorf("out after %v, want at most 3 x 2s", took)
		}
		dead.Store(false)
		time.Sleep(2 * time.Second)
		if out(hosts[0]) {
			t.Error("not back after one interval")
		}
		r.stop()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			`time=2000-01-01T00:00:15.000Z cluster="c" host="10.0.0.1:80" hostname="one" from="healthy" to="check failed" reason="TCP check: connection refused"`,
			`time=2000-01-01T00:00:17.000Z cluster="c" host="10.0.0.1:80" hostname="one" from="check failed" to="healthy" reason="check passed"`,
		}
		if got := strings.Split(strings.TrimSpace(string(b)), "\n"); !slices.Equal(got, want) {
			t.Errorf("event log:\n%s\nwant\n%s", b, strings.Join(want, "\n"))
		}
		if hosts[0].Trouble() != upstream.Marked {
			t.Errorf("trouble is %v", hosts[0].Trouble())
		}
		for _, want := range []string{"level=WARN", "level=INFO", `host="10.0.0.1:80 (one)"`} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%q is not in %q", want, &log)
			}
		}
	})
}

func TestI9Rhythm(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		cfg  config.HealthCheck
		took time.Duration
		want []time.Duration
	}{
		"the defaults":        {config.HealthCheck{}, 0, []time.Duration{s, 16 * s, 31 * s}},
		"another delay":       {config.HealthCheck{InitialDelay: 3 * s}, 0, []time.Duration{3 * s, 18 * s, 33 * s}},
		"by its other name":   {config.HealthCheck{InitialDelayLong: 2 * s}, 0, []time.Duration{2 * s, 17 * s, 32 * s}},
		"begin to begin":      {config.HealthCheck{Interval: 2 * s}, 700 * time.Millisecond, []time.Duration{s, 3 * s, 5 * s}},
		"slower than that":    {config.HealthCheck{Interval: 2 * s, Timeout: 5 * s}, 3 * s, []time.Duration{s, 4 * s, 7 * s}},
		"longer than allowed": {config.HealthCheck{Interval: 2 * s, Timeout: 3 * s}, 20 * s, []time.Duration{s, 4 * s, 7 * s}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNetwork(func(ctx context.Context, _ string, _ int) error {
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(c.took):
						return nil
					}
				})
				h := newHost("10.0.0.1:80")
				r := w.run(t, c.cfg, []*upstream.Host{h}, nil)
				defer r.stop()
				time.Sleep(60 * s)
				if got := w.times(h.Address)[:3]; !slices.Equal(got, c.want) {
					t.Errorf("checked at %v, want %v", got, c.want)
				}
				if most := w.peak(); most != 1 {
					t.Errorf("%d checks at a time", most)
				}
				if slow := c.took > 10*s; out(h) != slow {
					t.Errorf("out: %v", !slow)
				}
			})
		})
	}
}

func TestI9Jitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(nil)
		h := newHost("10.0.0.1:80")
		r := w.run(t, config.HealthCheck{Interval: 10 * time.Second, IntervalJitter: 4 * time.Second}, []*upstream.Host{h}, nil)
		defer r.stop()
		time.Sleep(time.Hour)
		times := w.times(h.Address)
		shortest, longest := time.Hour, time.Duration(0)
		for i := 1; i < len(times); i++ {
			d := times[i] - times[i-1]
			shortest, longest = min(shortest, d), max(longest, d)
		}
		if shortest < 10*time.Second || longest > 14*time.Second || longest-shortest < 2*time.Second {
			t.Errorf("between %v and %v apart", shortest, longest)
		}
	})
}

func TestI9Timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(func(ctx context.Context, _ string, _ int) error { return hang(ctx) })
		h := newHost("10.0.0.1:80")
		var log strings.Builder
		r := w.run(t, config.HealthCheck{}, []*upstream.Host{h}, func(o *health.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		time.Sleep(1900 * time.Millisecond)
		if out(h) {
			t.Error("out before the timeout")
		}
		time.Sleep(200 * time.Millisecond)
		if !out(h) {
			t.Error("not out after the timeout")
		}
		r.stop()
		if !strings.Contains(log.String(), "TCP check: nothing good within 1s: context deadline exceeded") {
			t.Errorf("log %s", &log)
		}
	})
}

func TestI9PanicIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(func(_ context.Context, _ string, n int) error {
			if n == 1 {
				panic("at the second")
			}
			return nil
		})
		h := newHost("10.0.0.1:80")
		r := w.run(t, config.HealthCheck{}, []*upstream.Host{h}, nil)
		defer r.stop()
		for i, want := range []bool{false, true, false} {
			time.Sleep(15 * time.Second)
			if out(h) != want {
				t.Errorf("after check %d: out: %v", i, !want)
			}
		}
	})
}

// The end of Run ends what is under way, and leaves the hosts alone.
func TestI9End(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(func(ctx context.Context, address string, n int) error {
			if address == "10.0.0.0:80" {
				return errRefused
			}
			return hang(ctx)
		})
		hosts := newHosts(2)
		r := w.run(t, config.HealthCheck{Timeout: time.Hour}, hosts, nil)
		time.Sleep(2 * time.Second)
		before := time.Now()
		r.stop()
		if took := time.Since(before); took != 0 {
			t.Errorf("took %v", took)
		}
		if !out(hosts[0]) || out(hosts[1]) {
			t.Error("the end changed a host")
		}
		r.SetHosts(newHosts(3)) // comes too late
		time.Sleep(time.Hour)
		if n := len(w.times(hosts[0].Address)); n != 1 {
			t.Errorf("%d checks", n)
		}
	})
}

func TestH5ChecksGoOnThroughUpdates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(func(_ context.Context, address string, n int) error {
			if address == "10.0.0.0:80" && n > 0 {
				return errRefused
			}
			return nil
		})
		hosts := newHosts(3)
		r := w.run(t, config.HealthCheck{Interval: 10 * time.Second, UnhealthyThreshold: 3}, hosts[:2], nil)
		defer r.stop()
		renew := func(i int) *upstream.Host {
			hosts[i] = upstream.NewHost(config.Host{Address: hosts[i].Address, Weight: 3}, hosts[i])
			return hosts[i]
		}
		for range 300 { // an update every 100 ms
			time.Sleep(100 * time.Millisecond)
			r.SetHosts([]*upstream.Host{renew(0), renew(1), hosts[1]})
		}
		time.Sleep(2 * time.Second) // checks at 1, 11, 21, 31 s: the last three failed
		if !out(hosts[0]) || out(hosts[1]) {
			t.Errorf("out: %v, %v", out(hosts[0]), out(hosts[1]))
		}
		for i := range 2 {
			offset := time.Duration(i) * 2 * time.Millisecond
			want := []time.Duration{time.Second + offset, 11*time.Second + offset, 21*time.Second + offset, 31*time.Second + offset}
			if got := w.times(hosts[i].Address); !slices.Equal(got, want) && !slices.Equal(got, shifted(want, i)) {
				t.Errorf("host %d was checked at %v, want %v", i, got, want)
			}
		}
		// One goes, one comes, one comes anew under an old address.
		anew := newHost(hosts[1].Address)
		r.SetHosts([]*upstream.Host{hosts[2], anew})
		time.Sleep(500 * time.Millisecond)
		if n := len(w.times(hosts[2].Address)); n != 0 {
			t.Error("checked before its initial delay")
		}
		time.Sleep(20 * time.Second)
		for i, want := range []int{4, 6, 2} {
			if got := len(w.times(hosts[i].Address)); got != want {
				t.Errorf("host %d was checked %d times, want %d", i, got, want)
			}
		}
	})
}

// shifted is the other order in which the first checks can be spread.
func shifted(times []time.Duration, i int) []time.Duration {
	moved := slices.Clone(times)
	for k := range moved {
		moved[k] += time.Duration(1-2*i) * 2 * time.Millisecond
	}
	return moved
}

// A host that goes in the middle of a check is left as it is.
func TestH5GoneInTheMiddleOfACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(func(ctx context.Context, _ string, _ int) error { return hang(ctx) })
		hosts := newHosts(1)
		r := w.run(t, config.HealthCheck{}, hosts, nil)
		defer r.stop()
		time.Sleep(1500 * time.Millisecond)
		r.SetHosts(nil)
		synctest.Wait()
		if w.now != 0 {
			t.Error("the check goes on")
		}
		time.Sleep(time.Minute)
		if out(hosts[0]) || len(w.times(hosts[0].Address)) != 1 {
			t.Error("a host that is gone was checked")
		}
	})
}

// Whoever hears of a change may set the hosts.
func TestI9SetHostsWhileAHostChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(func(context.Context, string, int) error { return errRefused })
		hosts := newHosts(2)
		var r rig
		heard := 0
		r = w.run(t, config.HealthCheck{}, hosts, nil)
		hosts[0].Watch(func(_, _ upstream.Trouble) {
			heard++
			r.SetHosts(hosts[1:])
		})
		time.Sleep(time.Minute)
		r.stop()
		if heard != 1 || len(w.times(hosts[0].Address)) != 1 || len(w.times(hosts[1].Address)) != 4 {
			t.Errorf("heard %d, checks %v", heard, w.dials)
		}
	})
}

func TestH5ChecksGoOnInAnotherConfiguration(t *testing.T) {
	for _, ended := range []bool{false, true} {
		t.Run(fmt.Sprintf("ended=%v", ended), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNetwork(func(_ context.Context, _ string, n int) error {
					if n > 0 {
						return errRefused
					}
					return nil
				})
				hosts := newHosts(1)
				cfg := config.HealthCheck{Interval: 10 * time.Second, UnhealthyThreshold: 3}
				r := w.run(t, cfg, hosts, nil)
				time.Sleep(5 * time.Millisecond) // checks begin between two of them
				for i := range 600 {             // one after the other, each for 50 ms
					time.Sleep(50 * time.Millisecond)
					cfg.Timeout = time.Second + time.Duration(i)
					if ended {
						r.stop()
					}
					next := w.run(t, cfg, hosts, func(o *health.Options) { o.Before = r.Checker })
					synctest.Wait()
					r.stop()
					r = next
				}
				defer r.stop()
				if out(hosts[0]) {
					t.Error("out after two failures")
				}
				time.Sleep(1500 * time.Millisecond)
				if !out(hosts[0]) {
					t.Error("not out after three failures")
				}
				want := []time.Duration{time.Second, 11 * time.Second, 21 * time.Second, 31 * time.Second}
				if got := w.times(hosts[0].Address); !slices.Equal(got, want) {
					t.Errorf("checked at %v, want %v", got, want)
				}
			})
		})
	}
	t.Run("with a shorter interval", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newNetwork(nil)
			hosts := newHosts(1)
			r := w.run(t, config.HealthCheck{Interval: time.Hour}, hosts, nil)
			time.Sleep(10 * time.Second)
			next := w.run(t, config.HealthCheck{Interval: 5 * time.Second}, hosts, func(o *health.Options) { o.Before = r.Checker })
			r.stop()
			defer next.stop()
			time.Sleep(11 * time.Second)
			want := []time.Duration{time.Second, 15 * time.Second, 20 * time.Second}
			if got := w.times(hosts[0].Address); !slices.Equal(got, want) {
				t.Errorf("checked at %v, want %v", got, want)
			}
		})
	})
}

func TestI9ManyHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNetwork(nil)
		hosts := newHosts(1000)
		r := w.run(t, config.HealthCheck{}, hosts, nil)
		defer r.stop()
		time.Sleep(time.Minute)
		at := make(map[time.Duration]int)
		for _, h := range hosts {
			times := w.times(h.Address)
			if len(times) != 4 {
				t.Fatalf("host %s was checked %d times", h, len(times))
			}
			at[times[0]]++
			if times[0] < time.Second || times[0] > 3*time.Second {
				t.Errorf("first check after %v", times[0])
			}
		}
		if len(at) < 900 {
			t.Errorf("the first checks are at %d different times", len(at))
		}
		if n := countOut(hosts); n != 0 {
			t.Errorf("%d are out", n)
		}
	})
	t.Run("within a short interval", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newNetwork(nil)
			hosts := newHosts(1000)
			r := w.run(t, config.HealthCheck{Interval: 100 * time.Millisecond}, hosts, nil)
			defer r.stop()
			time.Sleep(1200*time.Millisecond - 1)
			for _, h := range hosts {
				if n := len(w.times(h.Address)); n < 1 || n > 2 {
					t.Fatalf("%d checks", n)
				}
			}
		})
	})
	t.Run("none answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newNetwork(func(ctx context.Context, _ string, _ int) error { return hang(ctx) })
			hosts := newHosts(1000)
			r := w.run(t, config.HealthCheck{}, hosts, nil)
			defer r.stop()
			time.Sleep(7 * time.Second)
			if most := w.peak(); most > 256 {
				t.Errorf("%d checks at a time", most)
			}
			if n := countOut(hosts); n != len(hosts) {
				t.Errorf("%d of %d are out after 7s", n, len(hosts))
			}
		})
	})
}

func TestI9Memory(t *testing.T) {
	if testing.Short() {
		t.Skip("collects garbage")
	}
	const n = 10000
	hosts := newHosts(n)
	measure := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before, goroutines := measure(), runtime.NumGoroutine()
	r := newNetwork(nil).run(t, config.HealthCheck{InitialDelay: time.Hour}, hosts, nil)
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() == goroutines && time.Now().Before(end); {
		runtime.Gosched() // until it has begun
	}
	r.SetHosts(hosts)
	each := int64(measure()-before) / n
	if extra := runtime.NumGoroutine() - goroutines; extra > 2 {
		t.Errorf("%d goroutines", extra)
	}
	t.Logf("%d bytes per host", each)
	if each > 1024 {
		t.Errorf("%d bytes per host, want less than 1024", each)
	}
	r.stop()
	runtime.KeepAlive(hosts)
}

// Everything at once, to let the race detector look.
func TestI9Concurrency(t *testing.T) {
	w := newNetwork(func(_ context.Context, _ string, n int) error {
		if n%2 == 1 {
			return errRefused
		}
		return nil
	})
	hosts := newHosts(200)
	r := w.run(t, config.HealthCheck{Interval: 10 * time.Millisecond, InitialDelay: time.Millisecond, IntervalJitter: time.Millisecond}, hosts, nil)
	for i := range 2000 {
		r.SetHosts(hosts[i%100 : 200-i%50])
		runtime.Gosched()
	}
	r.SetHosts(hosts)
	for _, h := range hosts {
		for len(w.times(h.Address)) < 3 {
			runtime.Gosched()
		}
	}
	r.stop()
	if w.now != 0 {
		t.Error("a check is under way after the end")
	}
}

func TestI9Target(t *testing.T) {
	http := func(scheme string, port int) config.CheckConfig {
		return config.CheckConfig{HTTP: &config.HTTPCheck{Scheme: scheme, Port: port}}
	}
	for name, c := range map[string]struct {
		cfg      config.HealthCheck
		protocol string
		port     int
		security health.Security
	}{
		"TCP":    {config.HealthCheck{}, "", 0, health.Plain},
		"Http1":  {config.HealthCheck{Protocol: "HTTP1"}, "Http1", 0, health.AsRequests},
		"a port": {config.HealthCheck{Protocol: "Http1", Check: http("", 8081)}, "Http1", 8081, health.AsRequests},
		"http":   {config.HealthCheck{Protocol: "Http2", Check: http("http", 0)}, "Http2", 0, health.Plain},
		"https":  {config.HealthCheck{Protocol: "Http2", Check: http("https", 0)}, "Http2", 0, health.Secure},
		"gRPC":   {config.HealthCheck{Protocol: "GRPC"}, "Http2", 0, health.AsRequests},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNetwork(func(context.Context, string, int) error { return errRefused })
				h := newHost("10.0.0.1:80")
				r := w.run(t, c.cfg, []*upstream.Host{h}, nil)
				time.Sleep(2 * time.Second)
				r.stop()
				got := health.Target{Host: h, Port: c.port, Security: c.security}
				if c.protocol != "" {
					got.Protocol, _ = protocols(t).Lookup(c.protocol)
				}
				if !reflect.DeepEqual(w.last, got) {
					t.Errorf("got %+v, want %+v", w.last, got)
				}
			})
		})
	}
}
