package router

import (
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/config"
)

func divided(weights ...int) config.RouteAction {
	var a config.RouteAction
	for i, w := range weights {
		a.WeightedClusters = append(a.WeightedClusters, config.WeightedCluster{Cluster: config.ClusterWeight{Name: fmt.Sprint(i), Weight: w}})
	}
	return a
}

// count sends n requests and counts where they went.
func count(t *testing.T, table *Table, clusters, n int) []int {
	t.Helper()
	counts := make([]int, clusters)
	table.backends = still{}
	req := get("", "/")
	for range n {
		if _, err := table.Handle(t.Context(), req); err != nil {
			t.Error(err)
		}
		counts[req.Info.Cluster[0]-'0']++
	}
	return counts
}

func sum(list []int) (n int) {
	for _, v := range list {
		n += v
	}
	return n
}

func TestG11WeightedShares(t *testing.T) {
	for _, weights := range [][]int{
		{1}, {1, 1}, {90, 10}, {1, 2, 3}, {0, 1}, {1, 0, 1}, {99, 1}, {33, 33, 34}, {1000, 1}, {3000, 2000, 1000}, {7919, 104729}, {1 << 31, 1 << 30},
	} {
		t.Run(fmt.Sprint(weights), func(t *testing.T) {
			const n = 10_000
			table := compile(t, action(divided(weights...)))
			for round := range 2 {
				counts := count(t, table, len(weights), n)
				for i, got := range counts {
					want := float64(n) * float64(weights[i]) / float64(sum(weights))
					if math.Abs(float64(got)-want) > n/100 || weights[i] == 0 && got > 0 {
						t.Errorf("round %d: cluster %d had %d requests, want %.0f", round, i, got, want)
					}
				}
			}
		})
	}
}

// Any sum-of-the-weights requests in a row are divided exactly, wherever the
// row begins; and they are mixed: no cluster has its turns in one go.
func TestG11ExactInEveryRound(t *testing.T) {
	for _, weights := range [][]int{{50, 50}, {3, 7}, {1, 2, 3, 4}, {20, 0, 60, 20}, {17, 83}} {
		table := compile(t, action(divided(weights...)))
		div := 0
		for _, w := range weights {
			div = int(gcd(uint64(div), uint64(w)))
		}
		round := sum(weights) / div
		for begin := range 20 {
			counts := count(t, table, len(weights), round)
			for i, got := range counts {
				if got != weights[i]/div {
					t.Errorf("weights %v, row %d: cluster %d had %d of %d, want %d", weights, begin, i, got, round, weights[i]/div)
				}
			}
			count(t, table, len(weights), begin) // the next row begins elsewhere
		}
	}
	table := compile(t, action(divided(50, 50)))
	for range 10 {
		if counts := count(t, table, 2, 2); counts[0] != 1 {
			t.Errorf("two of two equal clusters: %v", counts)
		}
	}
	table = compile(t, action(divided(50, 51))) // nothing to shorten
	for range 50 {
		if counts := count(t, table, 2, 10); counts[0] < 3 || counts[0] > 7 {
			t.Errorf("ten requests for two equal clusters: %v", counts)
		}
	}
}

func TestG11Concurrently(t *testing.T) {
	table := compile(t, action(divided(1, 2, 7)))
	var mu sync.Mutex
	var total [3]int
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			var counts [3]int
			for range 1000 {
				counts[table.domains.all.routes.routes[0].forward.weighted.choose().name[0]-'0']++
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range counts {
				total[i] += counts[i]
			}
		})
	}
	wg.Wait()
	if total != [3]int{1000, 2000, 7000} {
		t.Errorf("10,000 requests were divided %v", total)
	}
}

// Many configurations that each see one request do not all send it to the first.
func TestG11BeginsAnywhere(t *testing.T) {
	var total [2]int
	for range 2000 {
		for i, n := range count(t, compile(t, action(divided(50, 50))), 2, 1) {
			total[i] += n
		}
	}
	if total[0] < 800 || total[1] < 800 {
		t.Errorf("after 2000 configurations: %v", total)
	}
}
