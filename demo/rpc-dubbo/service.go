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
			if m.oneWay() {
				return
			}
			writing.Lock()
			defer writing.Unlock()
			_, _ = c.Write(reply) // whoever has gone misses no answer
		})
	}
}

// answer is what the service does.
func answer(ctx context.Context, m *message, out *log.Logger) []byte {
	if m.flag&event != 0 {
		return m.reply(success, []byte{null}) // a heartbeat; other events want no answer
	}
	c, err := parseInvocation(m.body)
	switch {
	case err != nil:
		return m.fail(badRequest, err.Error())
	case c.service != serviceID || len(c.args) != 1:
		return m.fail(notFound, fmt.Sprintf("there is no %s.%s with %d parameters", c.service, c.method, len(c.args)))
	}
	switch c.method {
	case "echo":
		return m.reply(success, appendAnswer(nil, c.args[0], map[string]string{"x-token": c.attachments["x-token"]}))
	case "note":
		out.Printf("noted: %s", c.args[0])
		return m.reply(success, appendAnswer(nil, "", nil))
	case "slow":
		timer := time.NewTimer(2 * time.Second)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		return m.reply(success, appendAnswer(nil, "at last", nil))
	}
	return m.fail(notFound, fmt.Sprintf("%s has no method %s", c.service, c.method))
}
