package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A way is one of the paths that a scenario compares.
type way struct {
	name    string // in tables
	key     string // in the output for programs
	order   clientOrder
	through bool     // the sidecar, whose CPU time is then counted
	against []string // keys of the ways that this one is compared with
}

// A contest measures ways in turns.
type contest struct {
	name   string // of the scenario: the first part of all keys
	levels []int  // calls in flight
	ways   []way
}

// compare runs a scenario's contest with a sidecar that is set up for it. With
// -direct there is no sidecar, and the ways through it are left out.
func (b *bench) compare(ctx context.Context, name string, starts int, s setup, ways func(*sidecar) []way) error {
	c := contest{name: name, levels: b.levels}
	if b.direct {
		for _, w := range ways(&sidecar{}) {
			if !w.through {
				c.ways = append(c.ways, w)
			}
		}
		measured, err := b.measure(ctx, c, nil)
		if err != nil {
			return err
		}
		return b.report(c, measured)
	}
	side, err := b.startTimes(ctx, name, starts, s)
	if err != nil {
		return err
	}
	defer func() { _ = side.stop() }()
	c.ways = ways(side)
	measured, err := b.measure(ctx, c, side)
	if err != nil {
		return err
	}
	if err := b.reportMemory(name, side); err != nil {
		return err
	}
	return b.report(c, measured)
}

// startTimes starts the sidecar so many times, keeps the last one, and records
// how long it took until it was ready and what it uses while nobody calls it.
func (b *bench) startTimes(ctx context.Context, name string, starts int, s setup) (*sidecar, error) {
	var side *sidecar
	var took []time.Duration
	for range starts {
		if side != nil {
			if err := side.stop(); err != nil {
				return nil, side.explain(err)
			}
		}
		var err error
		if side, err = b.startSidecar(ctx, s); err != nil {
			return nil, err
		}
		took = append(took, side.ready)
	}
	if starts > 1 {
		b.value(name+".sidecar.start_ms", "%.1f", float64(median(took))/float64(time.Millisecond))
		b.watchIdle(ctx, name, side)
	}
	return side, nil
}

// watchIdle records what the sidecar uses while nobody calls it.
func (b *bench) watchIdle(ctx context.Context, name string, side *sidecar) {
	pid := side.cmd.Process.Pid
	pause(ctx, 500*time.Millisecond) // what the start left to do
	before, err := cpuTime(pid)
	if err != nil {
		return // not on Linux
	}
	pause(ctx, b.idle)
	if after, err := cpuTime(pid); err == nil {
		b.value(name+".sidecar.idle_cpu_percent", "%.2f", 100*ratio(float64(after-before), float64(b.idle)))
	}
	if rss, err := residentBytes(pid); err == nil {
		b.value(name+".sidecar.rss_idle_mib", "%.1f", mebibytes(rss))
	}
}

// reportMemory records what the sidecar holds after the load, and stops it.
func (b *bench) reportMemory(name string, side *sidecar) error {
	if rss, err := residentBytes(side.cmd.Process.Pid); err == nil {
		b.value(name+".sidecar.rss_after_mib", "%.1f", mebibytes(rss))
	}
	if peak, err := peakBytes(side.cmd.Process.Pid); err == nil {
		b.value(name+".sidecar.rss_peak_mib", "%.1f", mebibytes(peak))
	}
	if err := side.stop(); err != nil {
		return side.explain(err)
	}
	return nil
}

// measure goes through all ways at all levels, round after round. The result
// is indexed by level and by way, in their orders.
func (b *bench) measure(ctx context.Context, c contest, side *sidecar) ([][]series, error) {
	measured := make([][]series, len(c.levels))
	for i := range measured {
		measured[i] = make([]series, len(c.ways))
	}
	for round := range b.rounds {
		for i, level := range c.levels {
			for j, w := range c.ways {
				err := b.measureOnce(ctx, w, level, side, &measured[i][j])
				if err != nil {
					return nil, fmt.Errorf("round %d, %s, %d in flight: %w", round+1, w.name, level, err)
				}
			}
		}
	}
	return measured, nil
}

// measureOnce adds one load over one way to s.
func (b *bench) measureOnce(ctx context.Context, w way, level int, side *sidecar, s *series) error {
	explain := func(err error) error {
		if w.through {
			return side.explain(err)
		}
		return err
	}
	order := w.order
	order.Load = load{Workers: level, Warmup: b.warmup, Duration: b.duration}
	var before usage
	if w.through {
		before = side.used(ctx)
	}
	r, err := runClient(ctx, order)
	if err != nil {
		return explain(err)
	}
	if w.through {
		s.add(side.used(ctx).since(before))
	}
	s.results = append(s.results, r)
	s.calls += r.AllCalls
	if r.Calls == 0 {
		return explain(fmt.Errorf("no call succeeded: %s", r.FirstError))
	}
	return nil
}

// report writes the tables and the values, and fails if any call did.
func (b *bench) report(c contest, measured [][]series) error {
	failure := b.reportWays(c, measured)
	rows := [][]string{{"in flight", "way", "against", "p50", "p99", "calls/s", "added p50 us", "added / direct", "sidecar CPU us", "allocations", "bytes allocated"}}
	for i, level := range c.levels {
		for j, w := range c.ways {
			if !w.through {
				continue
			}
			s := &measured[i][j]
			key := fmt.Sprintf("%s.%d.%s.", c.name, level, w.key)
			var used []string
			for _, column := range s.perCall() {
				text := "?"
				if column.format != "" {
					text = fmt.Sprintf(column.format, column.n)
					b.value(key+column.key, "%s", text)
				}
				used = append(used, text)
			}
			for k, other := range c.ways {
				if !slices.Contains(w.against, other.key) {
					continue
				}
				row := []string{fmt.Sprint(level), w.name, other.name}
				for _, column := range ratios(s, &measured[i][k]) {
					text := fmt.Sprintf(column.format, column.n)
					row = append(row, text)
					b.value(key+column.key+"_"+other.key, "%s", text)
				}
				rows = append(rows, append(row, used...))
			}
		}
	}
	if len(rows) > 1 {
		b.printf("\nthrough the sidecar against direct, as ratios, and what the sidecar uses for a call:\n")
		b.table(rows)
	}
	b.printf("\n")
	return failure
}

// reportWays writes what each way measured by itself.
func (b *bench) reportWays(c contest, measured [][]series) error {
	rows := [][]string{{"in flight", "way", "p50 us", "p99 us", "calls/s", "MiB/s", "errors", "spread"}}
	var failure error
	for i, level := range c.levels {
		for j, w := range c.ways {
			s := &measured[i][j]
			failed, first := s.errors()
			if failed > 0 && failure == nil {
				failure = fmt.Errorf("%d of %d calls failed (%s, %d in flight), the first with: %s", failed, s.calls, w.name, level, first)
			}
			perSecond := s.perSecond()
			moved := mebibytes(int64(perSecond * float64(w.order.Body+w.order.Answer)))
			rows = append(rows, []string{
				fmt.Sprint(level), w.name,
				fmt.Sprintf("%.1f", microseconds(s.p50())), fmt.Sprintf("%.1f", microseconds(s.p99())),
				fmt.Sprintf("%.0f", perSecond), fmt.Sprintf("%.1f", moved), fmt.Sprint(failed), fmt.Sprintf("%.0f%%", 100*s.spread()),
			})
			key := fmt.Sprintf("%s.%d.%s", c.name, level, w.key)
			b.value(key+".p50_us", "%.1f", microseconds(s.p50()))
			b.value(key+".p99_us", "%.1f", microseconds(s.p99()))
			b.value(key+".calls_per_s", "%.0f", perSecond)
			b.value(key+".mib_per_s", "%.1f", moved)
			b.value(key+".errors", "%d", failed)
		}
	}
	b.table(rows)
	return failure
}

// A column is one number of the comparison of two ways.
type column struct {
	key, format string // an empty format: not known
	n           float64
}

func ratios(side, direct *series) []column {
	added := side.p50() - direct.p50()
	return []column{
		{"ratio_p50", "%.2f", ratio(float64(side.p50()), float64(direct.p50()))},
		{"ratio_p99", "%.2f", ratio(float64(side.p99()), float64(direct.p99()))},
		{"ratio_calls", "%.2f", ratio(side.perSecond(), direct.perSecond())},
		{"added_p50_us", "%.1f", microseconds(added)},
		{"ratio_added", "%.2f", ratio(float64(added), float64(direct.p50()))},
	}
}
