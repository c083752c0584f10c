package lb_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb/lbtest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// BenchmarkPick picks with all hosts healthy, and with some of them down. A
// name with "+weights" has hosts of differing weights.
func BenchmarkPick(b *testing.B) {
	type variant struct {
		name, row string
		weights   bool
	}
	var variants []variant
	for _, row := range lb.Builtin() {
		variants = append(variants, variant{row.Name, row.Name, false})
	}
	for _, name := range []string{"LB_WEIGHTED_ROUNDROBIN", "LB_LEAST_REQUEST", "LB_LEAST_CONNECTION", "LB_MAGLEV", "LB_PEAK_EWMA"} {
		variants = append(variants, variant{name + "+weights", name, true})
	}
	for _, v := range variants {
		for _, n := range []int{10, 1000} {
			for _, down := range []int{0, 10, 90} {
				name := fmt.Sprintf("%s/%d", v.name, n)
				if down > 0 {
					name += fmt.Sprintf("-%d%%down", down)
				}
				b.Run(name, func(b *testing.B) {
					hosts := lbtest.Hosts("h", n)
					for i, h := range hosts {
						if v.weights {
							h.Weight = 1 + i%3
						}
						h.SetTrouble(upstream.Marked, i*7%100 < down)
						if n == 10 {
							h.SetTrouble(upstream.Marked, i*10 < down)
						}
					}
					benchmark(b, policy(b, v.row, lb.Options{}).Picker(hosts, nil), hosts)
				})
			}
		}
	}
}

func benchmark(b *testing.B, p lb.Picker, hosts []*upstream.Host) {
	if r, ok := p.(lb.Reporter); ok {
		for i, h := range hosts {
			r.Done(h, lb.Outcome{Status: 200, Duration: time.Duration(i+1) * time.Millisecond})
		}
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		req := &stream.Request{Hashed: true}
		for pb.Next() {
			req.Hash += 0x9e3779b97f4a7c15
			if _, err := p.Pick(req); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkDone reports what balancers learn from.
func BenchmarkDone(b *testing.B) {
	hosts := lbtest.Hosts("h", 1000)
	p := policy(b, "LB_PEAK_EWMA", lb.Options{}).Picker(hosts, nil).(lb.Reporter)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			p.Done(hosts[i%len(hosts)], lb.Outcome{Status: 200, Duration: time.Millisecond})
		}
	})
}

// BenchmarkNew makes pickers for a set of hosts of which one is new.
func BenchmarkNew(b *testing.B) {
	for _, row := range lb.Builtin() {
		for _, n := range []int{3, 1000} {
			b.Run(fmt.Sprintf("%s/%d", row.Name, n), func(b *testing.B) {
				hosts := lbtest.Hosts("h", n+1)
				hosts[0].Weight = 3
				pol := policy(b, row.Name, lb.Options{})
				before := pol.Picker(hosts[:n], nil)
				for b.Loop() {
					pol.Picker(hosts[1:], before)
				}
			})
		}
	}
}
