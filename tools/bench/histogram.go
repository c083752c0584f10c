package main

import (
	"math/bits"
	"time"
)

// A histogram counts durations in buckets that are at most 1/128 of their value
// wide, so a percentile is right to better than one in a hundred. It has a fixed
// size and recording allocates nothing. It is for one goroutine; merge joins.
type histogram struct {
	buckets [bucketCount]uint64
	count   uint64
	max     time.Duration
}

const (
	subBits     = 7 // 128 buckets for each power of two
	subCount    = 1 << subBits
	bucketCount = (64 - subBits + 1) * subCount
)

func bucketOf(n uint64) int {
	if n < subCount {
		return int(n)
	}
	shift := bits.Len64(n) - subBits - 1
	return (shift+1)*subCount + int(n>>shift) - subCount
}

// bucketMiddle is the value that stands for all in a bucket.
func bucketMiddle(i int) uint64 {
	if i < 2*subCount {
		return uint64(i)
	}
	shift := i/subCount - 1
	low := uint64(i%subCount+subCount) << shift
	return low + (1<<shift)/2
}

func (h *histogram) record(d time.Duration) {
	h.buckets[bucketOf(uint64(max(d, 0)))]++
	h.count++
	h.max = max(h.max, d)
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// percentile returns the duration that the share p (0 to 1) of all did not
// exceed; 0 when nothing was recorded.
func (h *histogram) percentile(p float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := uint64(p * float64(h.count))
	rank = min(max(rank, 1), h.count)
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; seen >= rank {
			return min(time.Duration(bucketMiddle(i)), h.max)
		}
	}
	return h.max
}
