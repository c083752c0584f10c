package subset_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb/lbtest"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/subset"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// labels makes sorted labels of "key=value key=value".
func labels(text string) []stream.Label {
	var list []stream.Label
	for f := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(f, "=")
		list = append(list, stream.Label{Key: key, Value: value})
	}
	stream.SortLabels(list)
	return list
}

// host makes a host with labels.
func host(address, text string) *upstream.Host {
	m := make(map[string]string)
	for _, l := range labels(text) {
		m[l.Key] = l.Value
	}
	return upstream.NewHost(config.Host{Address: address, Metadata: &config.Metadata{Filter: config.FilterMetadata{LB: m}}}, nil)
}

// sample is a cluster of two versions in two zones; one host has no labels.
func sample() []*upstream.Host {
	return []*upstream.Host{
		host("a:1", "version=v1 zone=x"),
		host("b:1", "version=v1 zone=y"),
		host("c:1", "version=v1 zone=y os=linux"),
		host("d:1", "version=v2 zone=x"),
		host("e:1", ""),
	}
}

// picked returns the addresses that a request with the labels goes to, sorted.
func picked(t *testing.T, p lb.Picker, text string) string {
	t.Helper()
	got := make(map[string]bool)
	for range 50 {
		h, err := p.Pick(&stream.Request{Labels: labels(text)})
		if err != nil {
			e, ok := errors.AsType[*stream.Error](err)
			if !ok || e.Kind != stream.NoHost || !e.Retry || h != nil {
				t.Fatalf("picked %v, %#v", h, err)
			}
			return e.Op
		}
		got[h.Address] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(got)), " ")
}

func TestH15LabelsChoose(t *testing.T) {
	down := func(addresses ...string) func([]*upstream.Host) {
		return func(hosts []*upstream.Host) {
			for _, h := range hosts {
				if slices.Contains(addresses, h.Address) {
					h.SetTrouble(upstream.Marked, true)
				}
			}
		}
	}
	selectors := [][]string{{"zone", "version"}, {"version"}, {"version"}, {}, {"os", "os"}}
	for _, c := range []struct {
		name     string
		fallBack int
		standard map[string]string
		before   func([]*upstream.Host)
		labels   string
		want     string
	}{
		{"no labels: all hosts", 0, nil, nil, "", "a:1 b:1 c:1 d:1 e:1"},
		{"one label", 0, nil, nil, "version=v1", "a:1 b:1 c:1"},
		{"another value", 0, nil, nil, "version=v2", "d:1"},
		{"two labels", 0, nil, nil, "version=v1 zone=y", "b:1 c:1"},
		{"a selector names a label twice", 0, nil, nil, "os=linux", "c:1"},
		{"a part of a selector is none", 0, nil, nil, "zone=x", "no host with the labels zone=x: no entry of subset_selectors has exactly these names"},
		{"more than a selector is none", 0, nil, nil, "os=linux version=v1", "no host with the labels os=linux, version=v1: no entry of subset_selectors has exactly these names"},
		{"a name nobody has heard of", 0, nil, nil, "color=red", "no host with the labels color=red: no entry of subset_selectors has exactly these names"},
		{"a value that no host has", 0, nil, nil, "version=v9", "no host with the labels version=v9"},
		{"a combination that no host has", 0, nil, nil, "version=v2 zone=y", "no host with the labels version=v2, zone=y"},
		{"the only host is down", 0, nil, down("d:1"), "version=v2", "no host with the labels version=v2 can be used: the only host, d:1, is not healthy (marked)"},
		{"some are down", 0, nil, down("a:1", "c:1"), "version=v1", "b:1"},

		{"any: no labels", 1, nil, nil, "", "a:1 b:1 c:1 d:1 e:1"},
		{"any: there are hosts", 1, nil, nil, "version=v2", "d:1"},
		{"any: no selector", 1, nil, nil, "color=red", "a:1 b:1 c:1 d:1 e:1"},
		{"any: no host", 1, nil, nil, "version=v9", "a:1 b:1 c:1 d:1 e:1"},
		{"any: all are down", 1, nil, down("d:1"), "version=v2", "a:1 b:1 c:1 e:1"},
		{
			"any: the whole cluster is down", 1, nil, down("a:1", "b:1", "c:1", "d:1", "e:1"), "version=v2",
			"no host with the labels version=v2 can be used: the only host, d:1, is not healthy (marked); and of those to use instead: none of the 5 hosts is healthy",
		},

		{"default: there are hosts", 2, map[string]string{"zone": "y"}, nil, "version=v2", "d:1"},
		{"default: no selector", 2, map[string]string{"zone": "y"}, nil, "color=red", "b:1 c:1"},
		{"default: all are down", 2, map[string]string{"zone": "y"}, down("d:1"), "version=v2", "b:1 c:1"},
		{"default: labels outside the selectors", 2, map[string]string{"os": "linux", "zone": "y"}, nil, "version=v9", "c:1"},
		{"default: without labels", 2, nil, nil, "version=v9", "a:1 b:1 c:1 d:1 e:1"},
		{"default: no labels demanded", 2, map[string]string{"zone": "y"}, nil, "", "a:1 b:1 c:1 d:1 e:1"},
		{
			"default: nobody has the labels", 2,
			map[string]string{"zone": "z"},
			nil, "version=v9",
			"no host with the labels version=v9; and of those to use instead: the cluster has no hosts",
		},
		{
			"default: none of it is healthy", 2,
			map[string]string{"os": "linux"},
			down("c:1"), "color=red",
			"no host with the labels color=red: no entry of subset_selectors has exactly these names; and of those to use instead: the only host, c:1, is not healthy (marked)",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			hosts := sample()
			if c.before != nil {
				c.before(hosts)
			}
			p := subset.Policy(config.Subsets{FallBackPolicy: c.fallBack, Default: c.standard, Selectors: selectors}, lb.RoundRobin()).Picker(hosts, nil)
			if got := picked(t, p, c.labels); got != c.want {
				t.Errorf("went to\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestH15HealthIsReadAtEachPick(t *testing.T) {
	hosts := sample()
	p := subset.Policy(config.Subsets{FallBackPolicy: 1, Selectors: [][]string{{"version"}}}, lb.RoundRobin()).Picker(hosts, nil)
	for i, c := range []struct {
		down bool
		want string
	}{{false, "d:1"}, {true, "a:1 b:1 c:1 e:1"}, {false, "d:1"}} {
		hosts[3].SetTrouble(upstream.CheckFailed, c.down)
		if got := picked(t, p, "version=v2"); got != c.want {
			t.Errorf("step %d: went to %s, want %s", i, got, c.want)
		}
	}
}

func TestH20RetryStaysInTheSubset(t *testing.T) {
	p := subset.Policy(config.Subsets{FallBackPolicy: 1, Selectors: [][]string{{"version"}}}, lb.RoundRobin()).Picker(sample(), nil)
	for range 50 {
		h, err := p.Pick(&stream.Request{Labels: labels("version=v1"), Tried: []string{"a:1", "c:1"}})
		if err != nil || h.Address != "b:1" {
			t.Fatalf("third attempt: %v, %v, want the one of the subset that was not tried", h, err)
		}
		if h, err = p.Pick(&stream.Request{Labels: labels("version=v2"), Tried: []string{"d:1"}}); err != nil || h.Address != "d:1" {
			t.Fatalf("second attempt at a subset of one: %v, %v, want the same host", h, err)
		}
	}
}

// labeled has each request demand the labels of a subset to which all hosts belong.
func labeled(policy lb.Policy, text string) lb.Policy {
	demand := labels(text)
	return lb.PolicyFunc(func(hosts []*upstream.Host, before lb.Picker) lb.Picker {
		for _, h := range hosts {
			h.Labels = demand
		}
		if d, ok := before.(interface{ unlabeled() lb.Picker }); ok {
			before = d.unlabeled()
		}
		p := demanding{policy.Picker(hosts, before), demand}
		if r, ok := p.Picker.(lb.Reporter); ok {
			return demandingReporter{p, r}
		}
		return p
	})
}

type demanding struct {
	lb.Picker
	labels []stream.Label
}

func (d demanding) Pick(req *stream.Request) (*upstream.Host, error) {
	req.Labels = d.labels
	return d.Picker.Pick(req)
}

func (d demanding) unlabeled() lb.Picker { return d.Picker }

type demandingReporter struct {
	demanding
	r lb.Reporter
}

func (d demandingReporter) Done(h *upstream.Host, o lb.Outcome) { d.r.Done(h, o) }

func TestH15PassesTheBalancerSuite(t *testing.T) {
	table, err := lb.NewTable(lb.Builtin()...)
	if err != nil {
		t.Fatal(err)
	}
	selectors := config.Subsets{Selectors: [][]string{{"version"}, {"version", "zone"}}}
	for _, c := range []struct {
		name, demand, inner string
		cfg                 config.Subsets
		promise             lbtest.Promise
	}{
		{"without labels", "", "LB_ROUNDROBIN", selectors, lbtest.Promise{Spread: lbtest.Exact}},
		{"one label", "version=v1", "LB_ROUNDROBIN", selectors, lbtest.Promise{Spread: lbtest.Exact}},
		{"two labels, by weight", "version=v1 zone=x", "LB_WEIGHTED_ROUNDROBIN", selectors, lbtest.Promise{Spread: lbtest.Exact, Weights: 0.01}},
		{
			"fall back", "version=v1", "LB_RANDOM",
			config.Subsets{FallBackPolicy: 2, Default: map[string]string{"version": "v1"}, Selectors: [][]string{{"zone"}}},
			lbtest.Promise{Spread: lbtest.Uniform},
		},
		{"reporter", "version=v1", "LB_PEAK_EWMA", selectors, lbtest.Promise{Spread: lbtest.Uniform, Weights: 0.02}},
	} {
		t.Run(c.name, func(t *testing.T) {
			lbtest.Run(t, c.promise, func() lb.Policy {
				inner, _, err := table.Policy(c.inner, lb.Options{})
				if err != nil {
					t.Fatal(err)
				}
				return labeled(subset.Policy(c.cfg, inner), c.demand)
			})
		})
	}
}

// counting is a policy whose Pickers are Reporters that count.
type counting struct {
	inner lb.Policy
	mu    sync.Mutex
	made  []*counter
}

type counter struct {
	lb.Picker
	hosts      []*upstream.Host
	before     lb.Picker
	open, done atomic.Int64
	below      atomic.Bool // there was a Done without a Pick
}

func (c *counting) Picker(hosts []*upstream.Host, before lb.Picker) lb.Picker {
	p := &counter{Picker: c.inner.Picker(hosts, nil), hosts: hosts, before: before}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made = append(c.made, p)
	return p
}

func (c *counter) Pick(req *stream.Request) (*upstream.Host, error) {
	h, err := c.Picker.Pick(req)
	if err == nil {
		c.open.Add(1)
	}
	return h, err
}

func (c *counter) Done(h *upstream.Host, _ lb.Outcome) {
	if !slices.Contains(c.hosts, h) || c.open.Add(-1) < 0 {
		c.below.Store(true)
	}
	c.done.Add(1)
}

// of returns the Picker among exactly these hosts that was made last.
func (c *counting) of(t *testing.T, addresses string) *counter {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range slices.Backward(c.made) {
		var list []string
		for _, h := range p.hosts {
			list = append(list, h.Address)
		}
		if strings.Join(list, " ") == addresses {
			return p
		}
	}
	t.Fatalf("no Picker was made for %s", addresses)
	return nil
}

func TestH15PickersAreMadeWhenNeeded(t *testing.T) {
	inner := &counting{inner: lb.RoundRobin()}
	p := subset.Policy(config.Subsets{Selectors: [][]string{{"version"}, {"zone"}}}, inner).Picker(sample(), nil)
	steps := []struct {
		labels string
		made   int
	}{{"", 1}, {"version=v9", 1}, {"color=red", 1}, {"version=v1", 2}, {"version=v1", 2}, {"zone=x", 3}}
	for _, s := range steps {
		picked(t, p, s.labels)
		if len(inner.made) != s.made {
			t.Errorf("after %q there are %d Pickers, want %d", s.labels, len(inner.made), s.made)
		}
	}
}

func TestH15OutcomesGoToTheSubsetThatPicked(t *testing.T) {
	inner := &counting{inner: lb.RoundRobin()}
	cfg := config.Subsets{FallBackPolicy: 2, Default: map[string]string{"os": "linux"}, Selectors: [][]string{{"version"}, {"zone"}}}
	p, ok := subset.Policy(cfg, inner).Picker(sample(), nil).(lb.Reporter)
	if !ok {
		t.Fatal("the Picker is no Reporter though the inner one is")
	}
	if _, ok := subset.Policy(cfg, lb.RoundRobin()).Picker(sample(), nil).(lb.Reporter); ok {
		t.Error("the Picker is a Reporter though the inner one is not")
	}
	var hosts []*upstream.Host
	for i := range 400 {
		h, err := p.Pick(&stream.Request{Labels: labels([]string{"", "version=v1", "zone=y", "color=red"}[i%4])})
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, h)
	}
	rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	for i, h := range hosts {
		p.Done(h, lb.Outcome{Status: 200})
		if i == 199 {
			p.Done(host("stranger:1", ""), lb.Outcome{})
		}
	}
	for _, h := range hosts[:10] {
		p.Done(h, lb.Outcome{}) // once too often: nobody hears of it
	}
	for _, addresses := range []string{"a:1 b:1 c:1 d:1 e:1", "a:1 b:1 c:1", "b:1 c:1", "c:1"} {
		c := inner.of(t, addresses)
		if c.below.Load() || c.open.Load() != 0 || c.done.Load() != 100 {
			t.Errorf("%s: %d outcomes, %d open, strange ones: %v; want 100 and 0", addresses, c.done.Load(), c.open.Load(), c.below.Load())
		}
	}
}

func TestH5BalancerStateOutlivesAnUpdate(t *testing.T) {
	inner := &counting{inner: lb.RoundRobin()}
	cfg := config.Subsets{FallBackPolicy: 2, Default: map[string]string{"os": "linux"}, Selectors: [][]string{{"version"}, {"version", "zone"}}}
	hosts := sample()
	first := subset.Policy(cfg, inner).Picker(hosts, nil)
	for _, l := range []string{"", "version=v1", "version=v1 zone=y", "color=red"} {
		picked(t, first, l)
	}
	all, v1, v1y, linux := inner.of(t, "a:1 b:1 c:1 d:1 e:1"), inner.of(t, "a:1 b:1 c:1"), inner.of(t, "b:1 c:1"), inner.of(t, "c:1")

	// One host goes, one comes, another selector too; nobody asks for anything.
	hosts = append(hosts[1:], host("f:1", "version=v1 zone=y os=linux"))
	cfg.Selectors = append(cfg.Selectors, []string{"zone"})
	second := subset.Policy(cfg, inner).Picker(hosts, first)
	// And again: now there are requests.
	third := subset.Policy(cfg, inner).Picker(hosts, second)
	for _, l := range []string{"", "version=v1", "version=v1 zone=y", "color=red", "zone=y", "version=v2"} {
		picked(t, third, l)
	}
	if got := inner.of(t, "c:1 f:1").before; got != lb.Picker(linux) {
		t.Errorf("the Picker of the default subset took over from %v, want from the one before", got)
	}
	// That for all hosts exists from the start: the third took over from the second, that from the first.
	last := inner.of(t, "b:1 c:1 d:1 e:1 f:1")
	if middle, ok := last.before.(*counter); !ok || middle.before != lb.Picker(all) {
		t.Errorf("the Picker of all hosts took over from %v", last.before)
	}
	var from []lb.Picker
	for _, p := range inner.made {
		if len(p.hosts) == 3 && p.hosts[2].Address == "f:1" {
			from = append(from, p.before)
		}
	}
	if want := []lb.Picker{v1, v1y, nil}; !slices.Equal(from, want) {
		t.Errorf("the Pickers for version=v1, version=v1 zone=y, zone=y took over from %v, want %v", from, want)
	}
	if d := inner.of(t, "d:1"); d.before != nil {
		t.Error("the Picker of a subset that nobody had asked for took over from something")
	}
}

func TestH5SubsetsTakeOverFromAPlainPolicy(t *testing.T) {
	inner := &counting{inner: lb.RoundRobin()}
	plain := inner.Picker(sample(), nil)
	subset.Policy(config.Subsets{Selectors: [][]string{{"version"}}}, inner).Picker(sample(), plain)
	if got := inner.made[1].before; got != plain {
		t.Errorf("took over from %v, want the Picker that there was", got)
	}
}

// TestH15AgainstANaiveChoice compares with one host after another.
func TestH15AgainstANaiveChoice(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	keys := []string{"a", "b", "c", "d", "e"}
	some := func(n int) []string {
		list := slices.Clone(keys)
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		return list[:n]
	}
	demand := func(n, values int) []stream.Label {
		var list []stream.Label
		for _, k := range some(n) {
			list = append(list, stream.Label{Key: k, Value: fmt.Sprint(r.IntN(values))})
		}
		stream.SortLabels(list)
		return list
	}
	has := func(h *upstream.Host, all []stream.Label) bool {
		return !slices.ContainsFunc(all, func(l stream.Label) bool { return !slices.Contains(h.Labels, l) })
	}
	for round := range 200 {
		values := 1 + r.IntN(6)
		var hosts []*upstream.Host
		for i := range r.IntN(40) {
			h := upstream.NewHost(config.Host{Address: fmt.Sprintf("h%d:1", i)}, nil)
			h.Labels = demand(r.IntN(len(keys)+1), values)
			h.SetTrouble(upstream.Marked, r.IntN(4) == 0)
			hosts = append(hosts, h)
		}
		cfg := config.Subsets{FallBackPolicy: r.IntN(3), Default: map[string]string{}}
		for _, l := range demand(r.IntN(3), values) {
			cfg.Default[l.Key] = l.Value
		}
		for range r.IntN(8) {
			cfg.Selectors = append(cfg.Selectors, some(1+r.IntN(len(keys))))
		}
		healthy := func(all []stream.Label) (list []string) {
			for _, h := range hosts {
				if h.Usable() && has(h, all) {
					list = append(list, h.Address)
				}
			}
			return list
		}
		p := subset.Policy(cfg, lb.RoundRobin()).Picker(hosts, nil)
		for range 40 {
			labels := demand(r.IntN(len(keys)+1), values+1)
			var want []string
			if len(labels) == 0 || slices.ContainsFunc(cfg.Selectors, func(s []string) bool {
				return len(s) == len(labels) && !slices.ContainsFunc(labels, func(l stream.Label) bool { return !slices.Contains(s, l.Key) })
			}) {
				want = healthy(labels)
			}
			if len(want) == 0 && len(labels) > 0 {
				switch cfg.FallBackPolicy {
				case 1:
					want = healthy(nil)
				case 2:
					var all []stream.Label
					for k, v := range cfg.Default {
						all = append(all, stream.Label{Key: k, Value: v})
					}
					want = healthy(all)
				}
			}
			got := make(map[string]bool)
			for range 2 * len(hosts) {
				h, err := p.Pick(&stream.Request{Labels: labels})
				if err == nil {
					got[h.Address] = true
				} else if len(want) > 0 {
					t.Fatalf("round %d: %+v, labels %v: %v, want one of %v", round, cfg, labels, err, want)
				}
			}
			slices.Sort(want)
			if list := slices.Sorted(maps.Keys(got)); !slices.Equal(list, want) {
				t.Fatalf("round %d: %+v, labels %v: went to %v, want %v", round, cfg, labels, list, want)
			}
		}
	}
}

// TestH5UpdatesWhilePicking replaces the Picker under load: with -race.
func TestH5UpdatesWhilePicking(t *testing.T) {
	cfg := config.Subsets{FallBackPolicy: 1, Selectors: [][]string{{"version"}, {"zone"}, {"version", "zone"}}}
	policy := subset.Policy(cfg, &counting{inner: lb.RoundRobin()})
	var current atomic.Pointer[lb.Picker]
	next := policy.Picker(sample(), nil)
	current.Store(&next)
	stop := make(chan struct{})
	var picks atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			demands := [][]stream.Label{nil, labels("version=v1"), labels("zone=y"), labels("version=v2 zone=x"), labels("zone=q")}
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				p := *current.Load()
				demand := demands[i%len(demands)]
				h, err := p.Pick(&stream.Request{Labels: demand})
				if err != nil {
					t.Error(err)
					return
				}
				for _, l := range demand {
					if l.Value != "q" && !slices.Contains(h.Labels, l) {
						t.Errorf("%v has %v, want %v", h, h.Labels, demand)
					}
				}
				p.(lb.Reporter).Done(h, lb.Outcome{Status: 200})
				picks.Add(1)
			}
		})
	}
	for i := 0; i < 300 || picks.Load() < 3000; i++ {
		hosts := sample()
		hosts = append(hosts, hosts[i%4])
		next := policy.Picker(hosts, *current.Load())
		current.Store(&next)
	}
	close(stop)
	wg.Wait()
}

func TestH15Check(t *testing.T) {
	version := [][]string{{"version"}}
	for _, c := range []struct {
		cfg         config.Subsets
		warns, errs string
	}{
		{config.Subsets{Selectors: version}, "", ""},
		{config.Subsets{FallBackPolicy: 2, Default: map[string]string{"a": "b"}, Selectors: version}, "", ""},
		{config.Subsets{FallBackPolicy: 3, Selectors: version}, "", "c.fall_back_policy: unknown policy 3 (0 no host, 1 any host, 2 those of default_subset)"},
		{config.Subsets{FallBackPolicy: -1, Selectors: version}, "", "c.fall_back_policy: unknown policy -1 (0 no host, 1 any host, 2 those of default_subset)"},
		{config.Subsets{FallBackPolicy: 2, Selectors: version}, "c.default_subset: has no labels: all hosts belong to it (list labels, or set fall_back_policy: 1)", ""},
		{config.Subsets{FallBackPolicy: 1, Default: map[string]string{"a": "b"}, Selectors: version}, "c.default_subset: has no effect with fall_back_policy 1 (set fall_back_policy: 2 to use it)", ""},
		{config.Subsets{}, "c.subset_selectors: there is no selector: no request finds hosts by labels (list the names of labels that routes ask for: [[version]])", ""},
		{config.Subsets{Selectors: [][]string{{"a"}, {}}}, "c.subset_selectors[1]: has no names, and no effect (name a label, or remove it)", ""},
	} {
		warns, errs := subset.Check(c.cfg, "c")
		if warns.Error() != c.warns || errs.Error() != c.errs {
			t.Errorf("%+v:\nwarnings %s\nerrors %s\nwant\n%s\n%s", c.cfg, warns.Error(), errs.Error(), c.warns, c.errs)
		}
	}
}
