package lb_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb/lbtest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRoundRobin(t *testing.T) { lbtest.Run(t, lbtest.Exact, lb.RoundRobin) }

func TestRandom(t *testing.T) { lbtest.Run(t, lbtest.Uniform, lb.Random) }

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
		for _, policy := range []lb.Policy{lb.RoundRobin(), lb.Random()} {
			if _, err := policy.Picker(c.hosts, nil).Pick(&stream.Request{}); err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		}
	}
}

func TestTable(t *testing.T) {
	table, err := lb.NewTable(lb.Builtin()...)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(table.Names(), " "); got != "LB_ROUNDROBIN LB_RANDOM" {
		t.Errorf("names %s", got)
	}
	for _, name := range []string{"", "LB_ROUNDROBIN", "LB_RANDOM"} {
		if p, warnings, err := table.Policy(name, lb.Options{}); p == nil || warnings != nil || err != nil {
			t.Errorf("policy %q: %v, %v, %v", name, p, warnings, err)
		}
	}
	_, _, err = table.Policy("LB_ROUNDROBBIN", lb.Options{Path: "clusters[3]"})
	want := `clusters[3].lb_type: unknown load balancer "LB_ROUNDROBBIN" (did you mean "LB_ROUNDROBIN"? known: LB_ROUNDROBIN, LB_RANDOM)`
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

func BenchmarkPick(b *testing.B) {
	for _, p := range []struct {
		name   string
		policy lb.Policy
	}{{"roundrobin", lb.RoundRobin()}, {"random", lb.Random()}} {
		for _, c := range []struct {
			name string
			down int
		}{{"1000", 0}, {"1000half-down", 500}} {
			hosts := lbtest.Hosts("h", 1000)
			for _, h := range hosts[:c.down] {
				h.SetTrouble(upstream.Marked, true)
			}
			picker := p.policy.Picker(hosts, nil)
			b.Run(p.name+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					req := &stream.Request{}
					for pb.Next() {
						if _, err := picker.Pick(req); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}
