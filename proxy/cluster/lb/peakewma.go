package lb

import (
	"math"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// peakConfig holds the options of peakEWMA.
type peakConfig struct {
	ChoiceCount       int     `json:"choice_count" min:"1" doc:"How many hosts are drawn, of which the best is taken, where all have the same weight."`
	ActiveRequestBias float64 `json:"active_request_bias" min:"0" doc:"How much requests in flight count: 0 not at all, 1 in proportion."`
	ClientErrorBias   float64 `json:"client_error_bias" min:"0" doc:"How much it counts against a host that it answers with 4xx; 0 not at all."`
	ServerErrorBias   float64 `json:"server_error_bias" min:"0" doc:"How much it counts against a host that it answers with 5xx or not at all; 0 not at all."`
}

// usualLatency is what is supposed of hosts of a cluster while none has
// answered, where the configuration has no timeouts to go by.
const usualLatency = 10 * time.Second

// leastSuccess bounds how much errors count: a host that only fails looks ten
// times as slow as it is.
const leastSuccess = 0.1

// peakEWMA prefers hosts that answer fast. It is an average of the latency in
// which old answers count less and less, times the requests in flight, that is
// the time until all of these have their answer; more where answers are errors.
func peakEWMA(o Options) (Policy, decode.Problems, error) {
	cfg, warnings, err := options(o, peakConfig{ChoiceCount: 2, ActiveRequestBias: 1, ClientErrorBias: 0.5, ServerErrorBias: 1})
	if err != nil {
		return nil, warnings, err
	}
	slow, more := newSlowStart(o.SlowStart, o.Path)
	usual := (max(0, o.ConnectTimeout) + max(0, o.IdleTimeout)).Seconds()
	if usual == 0 {
		usual = usualLatency.Seconds()
	}
	return PolicyFunc(func(hosts []*upstream.Host, before Picker) Picker {
		scores := newScores(hosts, before, cfg, usual)
		if slow == nil && sameWeight(hosts) {
			return &peakOf{scores}
		}
		return &peakSchedule{scores, newSchedule(&schedule{
			hosts: hosts, timed: true, varying: true,
			worth: func(i int, now int64) float64 {
				return float64(hosts[i].Weight) * slow.factor(hosts[i], now) / scores.score(i, now)
			},
		}, before)}
	}), append(warnings, more...), nil
}

// scores are what hosts are chosen by.
type scores struct {
	cfg     peakConfig
	usual   float64 // seconds
	hosts   []*upstream.Host
	past    []*history
	place   map[*upstream.Host]int
	average *average
}

// learned is a Picker with scores.
type learned interface{ learned() *scores }

func (s *scores) learned() *scores { return s }

// newScores makes the scores of hosts; the histories of those that stay are
// shared with before.
func newScores(hosts []*upstream.Host, before Picker, cfg peakConfig, usual float64) *scores {
	s := &scores{cfg: cfg, usual: usual, hosts: hosts, past: make([]*history, len(hosts)), place: make(map[*upstream.Host]int, len(hosts))}
	if l, ok := before.(learned); ok {
		old := l.learned()
		s.average = old.average
		for i, j := range match(hosts, old.hosts) {
			if j >= 0 {
				s.past[i] = old.past[j]
			}
		}
	} else {
		s.average = new(average)
	}
	for i, h := range hosts {
		s.place[h] = i
		if s.past[i] == nil {
			s.past[i] = new(history)
		}
	}
	return s
}

// score returns the time in which a request will have been answered, made
// longer for errors; lower is better. It is above 0.
func (s *scores) score(i int, now int64) float64 {
	e := s.past[i].estimate(now, s.average.or(s.usual))
	score := max(e.latency, 1e-6) * biased(s.hosts[i].Active(), s.cfg.ActiveRequestBias)
	if e.client > 0 || e.server > 0 {
		score /= max(leastSuccess, math.Pow(1-e.client, s.cfg.ClientErrorBias)*math.Pow(1-e.server, s.cfg.ServerErrorBias))
	}
	return score
}

// Done implements Reporter.
func (s *scores) Done(host *upstream.Host, outcome Outcome) {
	i, ok := s.place[host]
	if !ok || judge(outcome) == silent {
		return
	}
	now := time.Now().UnixNano()
	s.past[i].add(now, outcome, s.average.or(s.usual))
	s.average.add(now, outcome)
}

// peakOf takes the best of some hosts drawn.
type peakOf struct{ *scores }

// Pick implements Picker.
func (p *peakOf) Pick(req *stream.Request) (*upstream.Host, error) {
	now := time.Now().UnixNano()
	if h := best(p.hosts, req.Tried, p.cfg.ChoiceCount, func(i int) float64 { return rough(p.score(i, now)) }); h != nil {
		return h, nil
	}
	return last(p.hosts, req.Tried)
}

// rough rounds x to one part in 64: hosts that differ by less are equally good,
// or the last of several like ones would get nothing.
func rough(x float64) float64 { return math.Float64frombits(math.Float64bits(x) &^ (1<<46 - 1)) }

// peakSchedule hands out turns.
type peakSchedule struct {
	*scores
	*schedule
}
