package lb

import (
	"math"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// slowStart is how the share of a host grows after it was added, or became
// healthy again. nil is that it does not.
type slowStart struct {
	window float64 // seconds
	power  float64
	least  float64
}

// newSlowStart reads the configuration.
func newSlowStart(c *config.SlowStart, path string) (*slowStart, decode.Problems) {
	if c == nil {
		return nil, nil
	}
	if c.Duration <= 0 {
		return nil, decode.Problems{{
			Path: decode.Join(decode.Join(path, "slow_start"), "slow_start_duration"), Message: "is not set: slow_start has no effect",
			Remedy: `say how long, for example "60s"`,
		}}
	}
	s := &slowStart{window: c.Duration.Seconds(), power: 1, least: c.MinWeightPercent}
	if c.Aggression > 0 {
		s.power = 1 / c.Aggression
	}
	return s, nil
}

// factor returns the part of its weight that a host has at a time in Unix
// nanoseconds.
func (s *slowStart) factor(h *upstream.Host, now int64) float64 {
	if s == nil {
		return 1
	}
	elapsed := max(1, time.Duration(now-h.Since().UnixNano()).Seconds())
	if elapsed >= s.window {
		return 1
	}
	f := elapsed / s.window
	if s.power != 1 {
		f = math.Pow(f, s.power)
	}
	return max(f, s.least)
}
