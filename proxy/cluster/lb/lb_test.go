package lb_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb/lbtest"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// policy makes a built-in policy.
func policy(t testing.TB, name string, o lb.Options) lb.Policy {
	t.Helper()
	table, err := lb.NewTable(lb.Builtin()...)
	if err != nil {
		t.Fatal(err)
	}
	p, warnings, err := table.Policy(name, o)
	if err != nil || warnings != nil {
		t.Fatal(warnings, err)
	}
	return p
}

// slow is a slow start that is over before any test.
var slow = &config.SlowStart{Duration: time.Second}

func TestConformance(t *testing.T) {
	promises := map[string]lbtest.Promise{
		"LB_ROUNDROBIN":          {Spread: lbtest.Exact},
		"LB_RANDOM":              {Spread: lbtest.Uniform},
		"LB_WEIGHTED_ROUNDROBIN": {Spread: lbtest.Exact, Weights: 0.01},
		"LB_LEAST_REQUEST":       {Spread: lbtest.Uniform, Weights: 0.01},
		"LB_LEAST_CONNECTION":    {Spread: lbtest.Uniform, Weights: 0.01},
		"LB_MAGLEV":              {Spread: lbtest.Uniform},
		"LB_REQUEST_ROUNDROBIN":  {},
		"LB_PEAK_EWMA":           {Spread: lbtest.Uniform, Weights: 0.02},
	}
	for _, row := range lb.Builtin() {
		promise, ok := promises[row.Name]
		if !ok {
			t.Errorf("%s is not tested", row.Name)
		}
		t.Run(row.Name, func(t *testing.T) {
			lbtest.Run(t, promise, func() lb.Policy { return policy(t, row.Name, lb.Options{}) })
		})
	}
	// Variants that work another way.
	for _, v := range []struct {
		name, row string
		options   lb.Options
		promise   lbtest.Promise
	}{
		{"maglev with hashes", "LB_MAGLEV", lb.Options{}, lbtest.Promise{Spread: lbtest.Even, Weights: 0.1, Hashed: true}},
		{"weighted with slow start", "LB_WEIGHTED_ROUNDROBIN", lb.Options{SlowStart: slow}, lbtest.Promise{Spread: lbtest.Exact, Weights: 0.01}},
		{"least request with slow start", "LB_LEAST_REQUEST", lb.Options{SlowStart: slow}, lbtest.Promise{Spread: lbtest.Even, Weights: 0.01}},
		{"peak EWMA with slow start", "LB_PEAK_EWMA", lb.Options{SlowStart: slow}, lbtest.Promise{Spread: lbtest.Even, Weights: 0.02}},
		{"least of all", "LB_LEAST_REQUEST", lb.Options{Config: map[string]any{"choice_count": 1000}}, lbtest.Promise{Spread: lbtest.Uniform, Weights: 0.01}},
		{"least of one", "LB_LEAST_REQUEST", lb.Options{Config: map[string]any{"choice_count": 1}}, lbtest.Promise{Spread: lbtest.Uniform, Weights: 0.01}},
		{"least without bias", "LB_LEAST_CONNECTION", lb.Options{Config: map[string]any{"active_request_bias": 0}}, lbtest.Promise{Spread: lbtest.Uniform, Weights: 0.01}},
	} {
		t.Run(v.name, func(t *testing.T) {
			lbtest.Run(t, v.promise, func() lb.Policy { return policy(t, v.row, v.options) })
		})
	}
}

func TestRoundRobinTakesTurns(t *testing.T) {
	hosts := lbtest.Hosts("h", 3)
	starts := make(map[*upstream.Host]bool)
	for range 200 {
		p := lb.RoundRobin().Picker(hosts, nil)
		var turn []int
		for range 6 {
			h, err := p.Pick(&stream.Request{})
			if err != nil {
				t.Fatal(err)
			}
			turn = append(turn, slices.Index(hosts, h))
		}
		starts[hosts[turn[0]]] = true
		for i, h := range turn {
			if h != (turn[0]+i)%3 {
				t.Fatalf("order %v, want each in turn", turn)
			}
		}
	}
	if len(starts) != 3 {
		t.Errorf("200 pickers began at %d of 3 hosts, want all", len(starts))
	}
}

func TestErrorsTellWhy(t *testing.T) {
	two := lbtest.Hosts("h", 2)
	for _, h := range two {
		h.SetTrouble(upstream.Marked, true)
	}
	for _, c := range []struct {
		hosts []*upstream.Host
		want  string
	}{
		{nil, "no host: the cluster has no hosts"},
		{two[:1], "no host: the only host, h-0:80, is not healthy (marked)"},
		{two, "no host: none of the 2 hosts is healthy"},
	} {
		for _, row := range lb.Builtin() {
			p := policy(t, row.Name, lb.Options{}).Picker(c.hosts, nil)
			if _, err := p.Pick(&stream.Request{}); err == nil || err.Error() != c.want {
				t.Errorf("%s: error %v, want %s", row.Name, err, c.want)
			}
		}
	}
}

func TestTable(t *testing.T) {
	table, err := lb.NewTable(lb.Builtin()...)
	if err != nil {
		t.Fatal(err)
	}
	names := table.Names()
	if names[0] != "LB_ROUNDROBIN" {
		t.Errorf("the default is %s", names[0])
	}
	for _, name := range append(names, "") {
		if p, warnings, err := table.Policy(name, lb.Options{}); p == nil || warnings != nil || err != nil {
			t.Errorf("policy %q: %v, %v, %v", name, p, warnings, err)
		}
	}
	_, _, err = table.Policy("LB_ROUNDROBBIN", lb.Options{Path: "clusters[3]"})
	want := `clusters[3].lb_type: unknown load balancer "LB_ROUNDROBBIN" (did you mean "LB_ROUNDROBIN"? known: ` + strings.Join(names, ", ") + ")"
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant %s", err, want)
	}
}

func TestTableDefaultAndOptions(t *testing.T) {
	bad := errors.New("the moon is not full")
	var got map[string]any
	table, err := lb.NewTable(lb.Row{Name: "LB_X", New: func(o lb.Options) (lb.Policy, decode.Problems, error) {
		got = o.Config
		return nil, nil, bad
	}}, lb.Builtin()[0])
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = table.Policy("", lb.Options{Config: map[string]any{"choice_count": -1}, Path: "clusters[0]"})
	if err == nil || err.Error() != "clusters[0].lb_type: LB_X: the moon is not full" || got["choice_count"] != -1 {
		t.Errorf("error %v, options %v", err, got)
	}
}

func TestTableRefuses(t *testing.T) {
	row := lb.Builtin()[0]
	for _, c := range []struct {
		rows []lb.Row
		want string
	}{
		{[]lb.Row{row, row}, "LB_ROUNDROBIN is there twice"},
		{[]lb.Row{{Name: "LB_X"}}, `row 0 ("LB_X") lacks`},
		{[]lb.Row{row, {New: row.New}}, `row 1 ("") lacks`},
	} {
		if _, err := lb.NewTable(c.rows...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %s", err, c.want)
		}
	}
	empty, err := lb.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := empty.Policy("", lb.Options{}); err == nil {
		t.Error("an empty table has a default policy")
	}
}
