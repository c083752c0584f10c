package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// try asks a host once. It returns why the host is not well, nil if it is.
func (c *Checker) try(ctx context.Context, host *upstream.Host) (err error) {
	deadline := time.Now().Add(c.check.timeout)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	defer func() {
		switch p := recover(); {
		case p != nil:
			err = fmt.Errorf("%v check: panic: %v", c.check.kind, p)
		case err != nil && !time.Now().Before(deadline):
			err = fmt.Errorf("%v check: nothing good within %v: %w", c.check.kind, c.check.timeout, err)
		case err != nil:
			err = fmt.Errorf("%v check: %w", c.check.kind, err)
		}
	}()
	to := Target{Host: host, Port: c.check.port, Protocol: c.proto, Security: c.check.security}
	if c.check.kind == connects {
		to.Security = Plain // a handshake is more than a connection
	} else if c.proto == nil {
		return fmt.Errorf("the protocol %s is not built in", c.check.kind.protocol())
	}
	nc, err := c.opts.Dial(ctx, to)
	if err != nil {
		return err
	}
	if c.check.kind == connects {
		_ = nc.Close()
		return nil
	}
	return c.ask(ctx, host, nc)
}

// ask sends the request of the check over nc, which it closes.
func (c *Checker) ask(ctx context.Context, host *upstream.Host, nc net.Conn) error {
	wire := conn.New(nc)
	wire.Timeout = c.check.timeout
	client := c.proto.NewClient(wire, protocol.ClientOptions{})
	defer func() { _ = client.Close() }()
	if s, ok := client.(protocol.Starter); ok {
		select {
		case <-s.Ready():
			if err := client.Err(); err != nil {
				return err
			}
		case <-ctx.Done():
			return errors.New("the host accepted the connection and said nothing")
		}
	}
	req := &stream.Request{
		Method: c.check.method, Scheme: "http", Authority: c.check.domain,
		Path: c.check.path, Query: c.check.query, HasQuery: c.check.hasQuery,
	}
	if req.Authority == "" {
		if req.Authority = host.Hostname; req.Authority == "" {
			req.Authority = host.Address
		}
	}
	if _, secure := nc.(interface{ ConnectionState() tls.ConnectionState }); secure {
		req.Scheme = "https"
	}
	req.Header.Add("user-agent", "ottavo-health-check")
	if c.check.kind == grpcCall {
		c.check.call(req)
	}
	resp, err := client.Handle(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Close() }()
	if c.check.kind == grpcCall {
		return serving(resp)
	}
	if !c.check.wanted(resp.Status) {
		return fmt.Errorf("status %d", resp.Status)
	}
	return nil
}
