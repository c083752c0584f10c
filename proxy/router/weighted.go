package router

import (
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// weighted divides requests among clusters. Of any sum-of-the-weights
// requests in a row, each cluster gets its weight, no more and no less, and
// they come well mixed.
//
// Requests are numbered. Number n belongs to point n*step of a circle with sum
// points, of which each cluster has its weight. As step and sum have no common
// divisor, each point comes once in a round; as step is about the golden
// section of sum, points that follow each other are far apart.
type weighted struct {
	clusters  []share
	sum, step uint64
	next      atomic.Uint64
}

// share is one cluster; its points go up to end, beginning where those of the
// one before end.
type share struct {
	name   string
	labels []stream.Label
	end    uint64
}

// maxWeights is the most that weights may sum up to: n*step must not overflow.
const maxWeights = 1 << 32

// choose returns the cluster of the next request.
func (w *weighted) choose() *share {
	point := w.next.Add(1) % w.sum * w.step % w.sum
	i := 0
	for w.clusters[i].end <= point {
		i++
	}
	return &w.clusters[i]
}

// weighted compiles weighted clusters; labels are those of the route. It
// returns nil after a mistake.
func (c *compiler) weighted(list []config.WeightedCluster, labels []stream.Label, path string) *weighted {
	w := new(weighted)
	var divisor uint64
	for i := range list {
		cl := &list[i].Cluster
		at := decode.At(path, i) + ".cluster"
		if cl.Name == "" {
			c.fail(at+".name", "name one of the clusters", "the name of the cluster is missing")
		}
		if cl.Weight < 0 || uint64(cl.Weight) > maxWeights {
			c.fail(at+".weight", "0 is no request at all", "must be from 0 to %d, is %d", uint64(maxWeights), cl.Weight)
			return nil
		}
		divisor = gcd(divisor, uint64(cl.Weight))
	}
	for i := range list {
		cl := &list[i].Cluster
		if cl.Weight > 0 {
			w.sum += uint64(cl.Weight) / divisor
			w.clusters = append(w.clusters, share{cl.Name, mergeLabels(labels, labelsOf(cl.MetadataMatch)), w.sum})
		}
	}
	if w.sum == 0 {
		c.fail(path, "give one of them a weight", "no cluster has a weight, so no request could be sent")
		return nil
	}
	if w.sum > maxWeights {
		c.fail(path, "divide all weights by the same number", "the weights sum up to more than %d", uint64(maxWeights))
		return nil
	}
	w.step = uint64(float64(w.sum) * 0.6180339887498949)
	for gcd(w.step, w.sum) != 1 {
		w.step++
	}
	// Each configuration begins elsewhere, or after many changes the first
	// cluster would have had more than its share.
	w.next.Store(c.opts.Random() % w.sum)
	return w
}

// gcd returns the greatest common divisor; that of 0 and n is n.
func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
