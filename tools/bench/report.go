package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A value is one number of the output for programs.
type value struct {
	key  string
	text string
}

func (b *bench) value(key, format string, args ...any) {
	b.values = append(b.values, value{key, fmt.Sprintf(format, args...)})
}

func (b *bench) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(b.out, format, args...)
}

// table writes rows in columns, all but the first aligned to the right.
func (b *bench) table(rows [][]string) {
	w := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range rows {
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
	}
	_ = w.Flush()
}

func median[T int64 | float64 | time.Duration](all []T) T {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// A series is the results of one path at one level, one for each round.
type series struct {
	results []result
	used    []usage // by the sidecar, in each round
	calls   uint64  // in all rounds, with warm-ups
}

func (s *series) add(u usage) { s.used = append(s.used, u) }

// perCall returns what the sidecar used for a call: its mean over all rounds.
func (s *series) perCall() []column {
	var cpu time.Duration
	var writes, allocs, bytes uint64
	timed, written, counted := true, true, true
	for _, u := range s.used {
		cpu, writes, allocs, bytes = cpu+u.cpu, writes+u.writes, allocs+u.allocs, bytes+u.bytes
		timed, written, counted = timed && u.timed, written && u.written, counted && u.counted
	}
	format := func(known bool, format string) string {
		if !known || len(s.used) == 0 {
			return ""
		}
		return format
	}
	calls := float64(s.calls)
	return []column{
		{"cpu_us_per_call", format(timed, "%.1f"), ratio(microseconds(cpu), calls)},
		{"writes_per_call", format(written, "%.2f"), ratio(float64(writes), calls)},
		{"allocs_per_call", format(counted, "%.1f"), ratio(float64(allocs), calls)},
		{"alloc_bytes_per_call", format(counted, "%.0f"), ratio(float64(bytes), calls)},
	}
}

func (s *series) p50() time.Duration {
	return median(collect(s.results, func(r result) time.Duration { return r.P50 }))
}

func (s *series) p99() time.Duration {
	return median(collect(s.results, func(r result) time.Duration { return r.P99 }))
}

func (s *series) perSecond() float64 { return median(collect(s.results, result.perSecond)) }

// spread is how far the rounds' p50 are apart, as a share of their median: how
// much a ratio is to be trusted.
func (s *series) spread() float64 {
	all := collect(s.results, func(r result) time.Duration { return r.P50 })
	return ratio(float64(slices.Max(all)-slices.Min(all)), float64(s.p50()))
}

func (s *series) errors() (n uint64, first string) {
	for _, r := range s.results {
		n += r.Errors
		if first == "" {
			first = r.FirstError
		}
	}
	return n, first
}

func collect[T any](results []result, f func(result) T) []T {
	var all []T
	for _, r := range results {
		all = append(all, f(r))
	}
	return all
}

// ratio is 0 where it would have no meaning.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }
