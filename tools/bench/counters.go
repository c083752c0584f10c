package main

import (
	"context"
	"fmt"
	"net"
	"time"
)

// countersVariable names the unix socket on which the sidecar tells what it has
// allocated. Only a build with overlay.json listens there, as `make bench` makes
// it; any other sidecar is measured without these numbers.
const countersVariable = "OTTAVO_BENCH_COUNTERS"

// A usage is what the sidecar has used since it started.
type usage struct {
	cpu     time.Duration
	writes  uint64 // system calls that write, to sockets and what else there is
	allocs  uint64 // objects on the heap
	bytes   uint64 // of these objects
	counted bool   // allocs and bytes are known
	timed   bool   // cpu is known
	written bool   // writes is
}

// since returns what was used after before.
func (u usage) since(before usage) usage {
	return usage{
		cpu: u.cpu - before.cpu, writes: u.writes - before.writes, allocs: u.allocs - before.allocs, bytes: u.bytes - before.bytes,
		counted: u.counted && before.counted, timed: u.timed && before.timed, written: u.written && before.written,
	}
}

// used returns what the sidecar has used up to now, as far as it can be known.
func (s *sidecar) used(ctx context.Context) usage {
	var u usage
	if cpu, err := cpuTime(s.cmd.Process.Pid); err == nil {
		u.cpu, u.timed = cpu, true
	}
	if writes, err := writeCalls(s.cmd.Process.Pid); err == nil {
		u.writes, u.written = writes, true
	}
	if allocs, bytes, err := s.ask(ctx, "count"); err == nil { // or it is a build without counters
		u.allocs, u.bytes, u.counted = allocs, bytes, true
	}
	return u
}

// collect makes the sidecar collect its garbage and give the memory back. It
// reports whether the sidecar is a build that can be asked for it.
func (s *sidecar) collect(ctx context.Context) bool {
	_, _, err := s.ask(ctx, "collect")
	return err == nil
}

func (s *sidecar) ask(ctx context.Context, what string) (allocs, bytes uint64, err error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", s.counters)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintln(c, what); err != nil {
		return 0, 0, err
	}
	_, err = fmt.Fscan(c, &allocs, &bytes)
	return allocs, bytes, err
}
