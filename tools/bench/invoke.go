package main

import (
	"context"
	"fmt"
	"time"
)

// A route is one of the ways that are compared.
type route struct {
	name     string
	key      string // in the output for programs
	protocol string
	address  string
}

// runInvoke compares InvokeService through the sidecar to an HTTP service with
// the two direct calls: gRPC (the client's side of it) and HTTP (the service's).
func runInvoke(ctx context.Context, b *bench) error {
	httpProcess, httpAddress, err := startService(ctx, b.folder, roleHTTPService)
	if err != nil {
		return err
	}
	defer func() { _ = httpProcess.stop() }()
	grpcProcess, grpcAddress, err := startService(ctx, b.folder, roleGRPCService)
	if err != nil {
		return err
	}
	defer func() { _ = grpcProcess.stop() }()

	b.printf("invoke: %d bytes each way; the HTTP service and client are fasthttp, the gRPC ones grpc-go on one connection\n", b.body)
	routes := []route{{"direct gRPC", "grpc", "grpc", grpcAddress}, {"direct HTTP", "http", "http", httpAddress}}
	var side *sidecar
	if !b.direct {
		var starts []time.Duration
		for range b.starts {
			if side != nil {
				if err := side.stop(); err != nil {
					return side.explain(err)
				}
			}
			if side, err = b.startSidecar(ctx, httpAddress); err != nil {
				return err
			}
			starts = append(starts, side.ready)
		}
		defer func() { _ = side.stop() }()
		b.value("invoke.sidecar.start_ms", "%.1f", float64(median(starts))/float64(time.Millisecond))
		b.watchIdle(ctx, side)
		routes = append([]route{{"sidecar", "sidecar", "grpc", side.api}}, routes...)
	}

	measured, err := b.measure(ctx, routes, side)
	if err != nil {
		return err
	}
	if side != nil {
		if rss, err := residentBytes(side.cmd.Process.Pid); err == nil {
			b.value("invoke.sidecar.rss_after_mib", "%.1f", mebibytes(rss))
		}
		if err := side.stop(); err != nil {
			return side.explain(err)
		}
	}
	return b.reportInvoke(routes, measured)
}

// watchIdle records what the sidecar uses while nobody calls it.
func (b *bench) watchIdle(ctx context.Context, side *sidecar) {
	pid := side.cmd.Process.Pid
	pause(ctx, 500*time.Millisecond) // what the start left to do
	before, err := cpuTime(pid)
	if err != nil {
		return // not on Linux
	}
	pause(ctx, b.idle)
	if after, err := cpuTime(pid); err == nil {
		b.value("invoke.sidecar.idle_cpu_percent", "%.2f", 100*ratio(float64(after-before), float64(b.idle)))
	}
	if rss, err := residentBytes(pid); err == nil {
		b.value("invoke.sidecar.rss_idle_mib", "%.1f", mebibytes(rss))
	}
}

// measure goes through all routes at all levels, round after round. The result
// is indexed by level and by route, in their orders.
func (b *bench) measure(ctx context.Context, routes []route, side *sidecar) ([][]series, error) {
	measured := make([][]series, len(b.levels))
	for i := range measured {
		measured[i] = make([]series, len(routes))
	}
	for round := range b.rounds {
		for i, level := range b.levels {
			for j, to := range routes {
				order := clientOrder{
					Protocol: to.protocol, Address: to.address, Body: b.body,
					Load: load{Workers: level, Warmup: b.warmup, Duration: b.duration},
				}
				s := &measured[i][j]
				throughSidecar := side != nil && to.address == side.api
				var before time.Duration
				var cpuErr error
				if throughSidecar {
					before, cpuErr = cpuTime(side.cmd.Process.Pid)
				}
				r, err := runClient(ctx, order)
				if err != nil {
					if throughSidecar {
						err = side.explain(err)
					}
					return nil, fmt.Errorf("round %d, %s, %d in flight: %w", round+1, to.name, level, err)
				}
				if throughSidecar && cpuErr == nil {
					if after, err := cpuTime(side.cmd.Process.Pid); err == nil {
						s.cpu += after - before
					}
				}
				s.results = append(s.results, r)
				s.calls += r.AllCalls
				if r.Calls == 0 {
					err := fmt.Errorf("round %d, %s, %d in flight: no call succeeded: %s", round+1, to.name, level, r.FirstError)
					if throughSidecar {
						err = side.explain(err)
					}
					return nil, err
				}
			}
		}
	}
	return measured, nil
}

// reportInvoke writes the table and the values, and fails if any call did.
func (b *bench) reportInvoke(routes []route, measured [][]series) error {
	rows := [][]string{{"in flight", "way", "p50 us", "p99 us", "calls/s", "errors", "spread"}}
	var failure error
	for i, level := range b.levels {
		for j, to := range routes {
			s := &measured[i][j]
			failed, first := s.errors()
			if failed > 0 && failure == nil {
				failure = fmt.Errorf("%d of %d calls failed (%s, %d in flight), the first with: %s", failed, s.calls, to.name, level, first)
			}
			rows = append(rows, []string{
				fmt.Sprint(level), to.name,
				fmt.Sprintf("%.1f", microseconds(s.p50())), fmt.Sprintf("%.1f", microseconds(s.p99())),
				fmt.Sprintf("%.0f", s.perSecond()), fmt.Sprint(failed), fmt.Sprintf("%.0f%%", 100*s.spread()),
			})
			key := fmt.Sprintf("invoke.%d.%s", level, to.key)
			b.value(key+".p50_us", "%.1f", microseconds(s.p50()))
			b.value(key+".p99_us", "%.1f", microseconds(s.p99()))
			b.value(key+".calls_per_s", "%.0f", s.perSecond())
			b.value(key+".errors", "%d", failed)
		}
	}
	b.table(rows)
	if len(routes) < 3 {
		return failure
	}

	b.printf("\n")
	rows = [][]string{{"in flight", "p50 / gRPC", "p50 / HTTP", "p99 / gRPC", "calls/s / gRPC", "added p50 us", "added / gRPC", "sidecar CPU ms per 1,000"}}
	for i, level := range b.levels {
		side, direct, plain := &measured[i][0], &measured[i][1], &measured[i][2]
		added := side.p50() - direct.p50()
		columns := []struct {
			key, format string
			n           float64
		}{
			{"ratio_p50_grpc", "%.2f", ratio(float64(side.p50()), float64(direct.p50()))},
			{"ratio_p50_http", "%.2f", ratio(float64(side.p50()), float64(plain.p50()))},
			{"ratio_p99_grpc", "%.2f", ratio(float64(side.p99()), float64(direct.p99()))},
			{"ratio_calls_grpc", "%.2f", ratio(side.perSecond(), direct.perSecond())},
			{"added_p50_us", "%.1f", microseconds(added)},
			{"ratio_added_grpc", "%.2f", ratio(float64(added), float64(direct.p50()))},
			{"cpu_ms_per_1000", "%.1f", 1000 * ratio(float64(side.cpu)/float64(time.Millisecond), float64(side.calls))},
		}
		row := []string{fmt.Sprint(level)}
		for _, c := range columns {
			text := fmt.Sprintf(c.format, c.n)
			row = append(row, text)
			b.value(fmt.Sprintf("invoke.%d.%s", level, c.key), "%s", text)
		}
		rows = append(rows, row)
	}
	b.table(rows)
	return failure
}
