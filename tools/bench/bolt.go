package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// runBolt compares a call through a listener for Bolt with the direct one.
func runBolt(ctx context.Context, b *bench) error {
	b.printf("bolt: %d bytes each way, version 1; service and client are this program's, which put together what they write, all calls on one connection\n", b.body)
	match := object{"headers": []object{{"name": "service", "value": boltServiceName}}}
	return b.compareProxied(ctx, "bolt", roleBoltService, "bolt", "bolt", match)
}

// Frames of Bolt, version 1. Both heads begin with protocol, type and command, and
// end with the lengths of class, header and content.
const (
	boltRequestHead = 22
	boltAnswerHead  = 20
	boltID          = 5 // where the id is
	boltStatus      = 10

	boltServiceName = "echo"
)

// boltService answers every request with its own content. It is a plain server:
// a goroutine for a connection, which writes when there is nothing left to read.
func boltService() serveFunc {
	return func(l net.Listener) error {
		for {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			go func() {
				defer func() { _ = c.Close() }()
				_ = answerBolt(c)
			}()
		}
	}
}

func answerBolt(c net.Conn) error {
	in, out := bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 64<<10)
	var head [boltRequestHead]byte
	answer := make([]byte, boltAnswerHead)
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return err
		}
		kind := head[1]
		names := int64(binary.BigEndian.Uint16(head[14:])) + int64(binary.BigEndian.Uint16(head[16:]))
		content := binary.BigEndian.Uint32(head[18:])
		if _, err := io.CopyN(io.Discard, in, names); err != nil {
			return err
		}
		copy(answer, head[:10]) // with the id and the serialisation
		answer[1] = 0
		if command := binary.BigEndian.Uint16(head[2:]); kind == 1 && command == 1 {
			binary.BigEndian.PutUint16(answer[2:], 2)
		} // else it is a heartbeat, which is answered as one
		binary.BigEndian.PutUint32(answer[16:], content)
		if _, err := out.Write(answer); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, int64(content)); err != nil {
			return err
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// boltFrame returns a request for n bytes of content.
func boltFrame(n int) []byte {
	const class = "com.alipay.sofa.rpc.core.request.SofaRequest"
	var header []byte
	for _, text := range []string{"service", boltServiceName, "sofa_head_method_name", "echo"} {
		header = append(binary.BigEndian.AppendUint32(header, uint32(len(text))), text...)
	}
	frame := make([]byte, boltRequestHead, boltRequestHead+len(class)+len(header)+n)
	copy(frame, []byte{1, 1, 0, 1, 1})
	frame[9] = 1                                   // Hessian, though nobody looks
	binary.BigEndian.PutUint32(frame[10:], 10_000) // timeout in milliseconds
	binary.BigEndian.PutUint16(frame[14:], uint16(len(class)))
	binary.BigEndian.PutUint16(frame[16:], uint16(len(header)))
	binary.BigEndian.PutUint32(frame[18:], uint32(n))
	frame = append(append(frame, class...), header...)
	return append(frame, filled(n)...)
}

// A boltConn is a connection that calls share. Workers give their frames to one
// goroutine, which writes all that are there at a time, and another one hands out
// the answers: by id, which is the worker's number.
type boltConn struct {
	net.Conn
	frames chan []byte
	done   []chan error // of each worker
	ended  chan struct{}
	err    error // why, once ended is closed
	once   sync.Once
}

func (c *boltConn) end(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.ended)
		_ = c.Close()
	})
}

func (c *boltConn) write() {
	out := bufio.NewWriterSize(c.Conn, 64<<10)
	for {
		select {
		case f := <-c.frames:
			_, err := out.Write(f)
			if err == nil && len(c.frames) == 0 {
				err = out.Flush()
			}
			if err != nil {
				c.end(err)
				return
			}
		case <-c.ended:
			return
		}
	}
}

func (c *boltConn) read(want int) {
	in := bufio.NewReaderSize(c.Conn, 64<<10)
	var head [boltAnswerHead]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			c.end(err)
			return
		}
		names := int64(binary.BigEndian.Uint16(head[12:])) + int64(binary.BigEndian.Uint16(head[14:]))
		content := int64(binary.BigEndian.Uint32(head[16:]))
		if _, err := io.CopyN(io.Discard, in, names+content); err != nil {
			c.end(err)
			return
		}
		id := binary.BigEndian.Uint32(head[boltID:])
		if int(id) >= len(c.done) {
			c.end(fmt.Errorf("an answer with the id %d, of nobody", id))
			return
		}
		err := checkLength(int(content), want)
		if status := binary.BigEndian.Uint16(head[boltStatus:]); status != 0 {
			err = fmt.Errorf("answered with status %d", status)
		}
		select {
		case c.done[id] <- err:
		case <-c.ended:
			return
		}
	}
}

// boltClient calls over one connection that all workers share.
func boltClient(ctx context.Context, order clientOrder) (newCallFunc, func(), error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", order.Address)
	if err != nil {
		return nil, nil, err
	}
	c := &boltConn{Conn: nc, frames: make(chan []byte, order.Load.Workers), ended: make(chan struct{})}
	for range order.Load.Workers {
		c.done = append(c.done, make(chan error, 1))
	}
	var wg sync.WaitGroup
	wg.Go(c.write)
	wg.Go(func() { c.read(order.Answer) })
	next := 0
	newCall := func() func(context.Context) error {
		frame, done := boltFrame(order.Body), c.done[next]
		binary.BigEndian.PutUint32(frame[boltID:], uint32(next))
		next++
		return func(ctx context.Context) error {
			select {
			case c.frames <- frame:
			case <-c.ended:
				return c.err
			}
			select {
			case err := <-done:
				return err
			case <-c.ended:
				return c.err
			case <-ctx.Done():
				c.end(ctx.Err()) // nobody may take the answer for that to the next call
				return ctx.Err()
			}
		}
	}
	return newCall, func() {
		c.end(errors.New("the client was closed"))
		wg.Wait()
	}, nil
}
