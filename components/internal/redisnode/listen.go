package redisnode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	goredis "github.com/go-redis/redis/v8"
)

// quiet is how long a server that is listened to may say nothing until it is asked
// whether it is there, and then how long it may take to answer.
const quiet = 5 * time.Second

// Listen subscribes to channels, or to patterns of them, on a connection of its own,
// and calls on for each message with its channel; and once, with standing, when the
// subscription stands: what was published before that is not told. It returns when
// ctx ends, the client is closed or the connection is lost, with the reason. Nobody
// listens to a cluster, whose nodes tell of their own keys only.
//
// Calls of on come one after the other, and it must return soon.
func (c *Client) Listen(ctx context.Context, patterns bool, channels []string, on func(channel string, standing bool)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.closed, cancel)() //nolint:contextcheck // it ends with the client, too
	sub := c.redis.Subscribe(ctx)
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })() // it ends a read
	defer sub.Close()                                          //nolint:errcheck // it may be closed already
	subscribe := sub.Subscribe
	if patterns {
		subscribe = sub.PSubscribe
	}
	if err := subscribe(ctx, channels...); err != nil {
		return c.lost(ctx, err)
	}
	waiting, asked := len(channels), false
	for {
		message, err := sub.ReceiveTimeout(ctx, quiet)
		if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() && !asked && ctx.Err() == nil {
			asked = true
			err = sub.Ping(ctx)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return c.lost(ctx, err)
		}
		asked = false
		switch m := message.(type) {
		case *goredis.Subscription:
			if waiting--; waiting == 0 {
				on("", true)
			}
		case *goredis.Message:
			on(m.Channel, false)
		}
	}
}

// lost says why nobody listens any more.
func (c *Client) lost(ctx context.Context, err error) error {
	switch {
	case c.closed.Err() != nil:
		return ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("redis %s: %w", c.Where, err)
}
