package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// runIdle opens many connections, makes one request on each, and then looks at
// what the sidecar uses while all of them are open and say nothing.
func runIdle(ctx context.Context, b *bench) error {
	if b.direct {
		return nil // there is nothing to compare with
	}
	b.printf("idle: %d connections, each after one request\n", b.conns)
	rows := [][]string{{"connections", "MiB before", "MiB after", "KiB each", "without garbage", "CPU %"}}
	for _, kind := range []struct {
		key, wire string // no wire: the gRPC API
		request   func(net.Conn) error
	}{
		{"http1", "Http1", askHTTP1},
		{"http2", "Http2", askHTTP2},
		{"api", "", askHTTP2},
	} {
		row, err := b.measureIdle(ctx, kind.key, kind.wire, kind.request)
		if err != nil {
			return fmt.Errorf("%s: %w", kind.key, err)
		}
		rows = append(rows, row)
	}
	b.table(rows)
	b.printf("\n")
	return nil
}

func (b *bench) measureIdle(ctx context.Context, key, wire string, request func(net.Conn) error) (row []string, err error) {
	addresses, err := b.freeAddresses(1)
	if err != nil {
		return nil, err
	}
	address := addresses[0]
	var s setup
	if wire != "" {
		s.listeners = []object{proxyListener("web", address, wire)}
		s.routers = []object{routerAnswering("web", "ok")}
	}
	side, err := b.startSidecar(ctx, s)
	if err != nil {
		return nil, err
	}
	defer func() { _ = side.stop() }()
	if wire == "" {
		address = side.api
	}
	pid := side.cmd.Process.Pid
	// What the first connections cost is not the price of a connection.
	warm, err := openIdle(ctx, address, min(b.conns, 10), request)
	if err != nil {
		return nil, side.explain(err)
	}
	defer closeAll(warm)
	pause(ctx, b.idle)
	side.collect(ctx)
	before, err := residentBytes(pid)
	if err != nil {
		return nil, err
	}
	conns, err := openIdle(ctx, address, b.conns, request)
	if err != nil {
		return nil, side.explain(err)
	}
	defer closeAll(conns)
	pause(ctx, b.idle)
	cpuBefore, err := cpuTime(pid)
	if err != nil {
		return nil, err
	}
	pause(ctx, 2*b.idle)
	cpuAfter, err := cpuTime(pid)
	if err != nil {
		return nil, err
	}
	after, err := residentBytes(pid)
	if err != nil {
		return nil, err
	}
	each := ratio(float64(after-before), float64(len(conns)))
	cpu := 100 * ratio(float64(cpuAfter-cpuBefore), float64(2*b.idle))
	b.value("idle."+key+".bytes_per_conn", "%.0f", each)
	live := "?"
	if side.collect(ctx) {
		left, err := residentBytes(pid)
		if err != nil {
			return nil, err
		}
		n := ratio(float64(left-before), float64(len(conns)))
		b.value("idle."+key+".live_bytes_per_conn", "%.0f", n)
		live = fmt.Sprintf("%.1f", n/1024)
	}
	b.value("idle."+key+".cpu_percent", "%.2f", cpu)
	return []string{
		key, fmt.Sprintf("%.1f", mebibytes(before)), fmt.Sprintf("%.1f", mebibytes(after)),
		fmt.Sprintf("%.1f", each/1024), live, fmt.Sprintf("%.2f", cpu),
	}, nil
}

// openIdle opens n connections, a few at a time, and makes a request on each.
func openIdle(ctx context.Context, address string, n int, request func(net.Conn) error) ([]net.Conn, error) {
	conns := make([]net.Conn, n)
	failed := make([]error, 16)
	var wg sync.WaitGroup
	for worker := range failed {
		wg.Go(func() {
			for i := worker; i < n && failed[worker] == nil; i += len(failed) {
				conns[i], failed[worker] = openOne(ctx, address, request)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		closeAll(conns)
		return nil, err
	}
	return conns, nil
}

func openOne(ctx context.Context, address string, request func(net.Conn) error) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if err := request(c); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		if c != nil {
			_ = c.Close()
		}
	}
}

// askHTTP1 makes a request whose answer ends with "ok".
func askHTTP1(c net.Conn) error {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return err
	}
	var answer []byte
	for buf := make([]byte, 1024); len(answer) < 2 || string(answer[len(answer)-2:]) != "ok"; {
		n, err := c.Read(buf)
		if answer = append(answer, buf[:n]...); err != nil {
			return fmt.Errorf("the answer %.100q: %w", answer, err)
		}
	}
	return nil
}

// askHTTP2 makes a GET without TLS and waits for the end of its stream, however
// it is answered.
func askHTTP2(c net.Conn) error {
	request := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
		"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + // SETTINGS
		"\x00\x00\x00\x04\x01\x00\x00\x00\x00" + // SETTINGS, acknowledged
		"\x00\x00\x06\x01\x05\x00\x00\x00\x01" + // HEADERS of stream 1, the end of both
		"\x82\x86\x84\x41\x01a" // GET, http, /, and the authority "a"
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	const headers, data, reset, endStream = 0x1, 0x0, 0x3, 0x1
	var head [9]byte
	for {
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return fmt.Errorf("before the answer: %w", err)
		}
		length := binary.BigEndian.Uint32(append([]byte{0}, head[:3]...))
		if _, err := io.CopyN(io.Discard, c, int64(length)); err != nil {
			return err
		}
		kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])
		if stream == 1 && (kind == reset || (kind == headers || kind == data) && flags&endStream != 0) {
			return nil
		}
	}
}
