package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// streamBytes is the answer of one call of the throughput measurement.
const streamBytes = 16 << 20

// runTCP compares bytes through a tcp_proxy with a direct connection: small
// requests and answers, and large answers.
func runTCP(ctx context.Context, b *bench) error {
	services, err := startServices(ctx, b.folder, roleTCPService)
	if err != nil {
		return err
	}
	defer services.stop()
	addresses, err := b.freeAddresses(1)
	if err != nil {
		return err
	}
	s := setup{
		listeners: []object{listenerOf("tcp", addresses[0], object{"type": "tcp_proxy", "config": object{"cluster": "tcp"}})},
		clusters:  []object{clusterOf("tcp", services.address[roleTCPService])},
	}
	b.printf("tcp: %d bytes each way, and answers of %d MiB; a connection for each call in flight\n", b.body, streamBytes>>20)
	ways := func(body, answer int) func(*sidecar) []way {
		order := func(address string) clientOrder {
			return clientOrder{Protocol: "tcp", Address: address, Body: body, Answer: answer}
		}
		return func(*sidecar) []way {
			return []way{
				{name: "sidecar", key: "sidecar", order: order(addresses[0]), through: true, against: []string{"direct"}},
				{name: "direct", key: "direct", order: order(services.address[roleTCPService])},
			}
		}
	}
	if err := b.compare(ctx, "tcp", 1, s, ways(b.body, b.body)); err != nil {
		return err
	}
	few := *b
	few.levels = []int{1}
	err = few.compare(ctx, "tcpstream", 1, s, ways(0, streamBytes))
	b.values = few.values
	return err
}

// tcpHead is before each request: the number of bytes that follow, and of those
// wanted as the answer.
const tcpHead = 8

// tcpService reads what each request announces and answers with as many bytes
// as it asks for.
func tcpService() serveFunc {
	return func(l net.Listener) error {
		for {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			go func() {
				defer func() { _ = c.Close() }()
				_ = answerTCP(c)
			}()
		}
	}
}

func answerTCP(c net.Conn) error {
	buf := make([]byte, 256<<10)
	for {
		if _, err := io.ReadFull(c, buf[:tcpHead]); err != nil {
			return err
		}
		ask, answer := binary.BigEndian.Uint32(buf), binary.BigEndian.Uint32(buf[4:])
		for left := int(ask); left > 0; {
			n, err := c.Read(buf[:min(left, len(buf))])
			if err != nil {
				return err
			}
			left -= n
		}
		for left := int(answer); left > 0; {
			n, err := c.Write(buf[:min(left, len(buf))])
			if err != nil {
				return err
			}
			left -= n
		}
	}
}

// tcpClient asks over a connection for each call in flight.
func tcpClient(ctx context.Context, order clientOrder) (newCallFunc, func(), error) {
	var conns []net.Conn
	deadline, _ := ctx.Deadline()
	for range order.Load.Workers {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", order.Address)
		if err != nil {
			closeAll(conns)
			return nil, nil, err
		}
		_ = c.SetDeadline(deadline)
		conns = append(conns, c)
	}
	next := 0
	newCall := func() func(context.Context) error {
		c := conns[next]
		next++
		request := append(make([]byte, tcpHead), filled(order.Body)...)
		binary.BigEndian.PutUint32(request, uint32(order.Body))
		binary.BigEndian.PutUint32(request[4:], uint32(order.Answer))
		buf := make([]byte, min(order.Answer, 256<<10))
		return func(context.Context) error {
			if _, err := c.Write(request); err != nil {
				return err
			}
			for left := order.Answer; left > 0; {
				n, err := c.Read(buf[:min(left, len(buf))])
				if err != nil {
					return fmt.Errorf("after %d bytes of the answer: %w", order.Answer-left, err)
				}
				left -= n
			}
			return nil
		}
	}
	return newCall, func() { closeAll(conns) }, nil
}
