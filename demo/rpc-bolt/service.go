package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"
)

// serve runs the service until ctx ends.
func serve(ctx context.Context, listen string, out *log.Logger) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	out.Printf("the service listens on %s", l.Addr())
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		wg.Go(func() {
			if err := converse(ctx, c, out); err != nil && ctx.Err() == nil {
				out.Printf("a connection ended: %v", err)
			}
		})
	}
}

// converse answers the requests of a connection. Each has a goroutine of its own:
// answers may come in any order.
func converse(ctx context.Context, c net.Conn, out *log.Logger) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	var writing sync.Mutex
	for {
		m, err := read(c)
		if err != nil {
			_ = c.Close()
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		wg.Go(func() {
			reply := answer(ctx, m, out)
			if m.kind == oneWay || reply == nil {
				return
			}
			writing.Lock()
			defer writing.Unlock()
			_, _ = c.Write(reply) // whoever has gone misses no answer
		})
	}
}

// answer is what the service does; nil is no answer.
func answer(ctx context.Context, m *message, out *log.Logger) []byte {
	if m.command == heartbeat {
		return m.reply(success, nil, "")
	}
	switch m.header["sofa_head_method_name"] {
	case "hello":
		return m.reply(success, map[string]string{"x-token": m.header["x-token"]}, fmt.Sprintf("hello, %s", m.content))
	case "note":
		out.Printf("noted: %s", m.content)
		return m.reply(success, nil, "")
	case "slow":
		timer := time.NewTimer(2 * time.Second)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		return m.reply(success, nil, "at last")
	}
	return m.reply(noProcessor, nil, "")
}
