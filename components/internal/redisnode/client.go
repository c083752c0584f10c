package redisnode

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	goredis "github.com/go-redis/redis/v8"

	"github.com/ottavo-runtime/ottavo/components"
)

// Client is a client of one server, of the master behind sentinels, or of a cluster.
// It is safe for concurrent use.
type Client struct {
	// Where names it in messages: its address, or those of the sentinels.
	Where string

	redis    goredis.UniversalClient
	retries  int
	minPause time.Duration
	maxPause time.Duration
	closed   context.Context
	end      context.CancelFunc
}

// ErrClosed is returned after Close.
var ErrClosed = goredis.ErrClosed

// Open connects to one server, or to the master behind sentinels; a cluster is an
// error. It fails, within the time limits of m or when ctx ends, if the server does
// not answer. path is where m stands in the configuration.
func Open(ctx context.Context, m Metadata, path string) (*Client, error) {
	return open(ctx, m, path, false)
}

// OpenAny is Open for what works with a cluster, too.
func OpenAny(ctx context.Context, m Metadata, path string) (*Client, error) {
	return open(ctx, m, path, true)
}

func open(ctx context.Context, m Metadata, path string, clusters bool) (*Client, error) {
	addrs, err := m.check(path, clusters)
	if err != nil {
		return nil, err
	}
	secure, err := m.tls(path)
	if err != nil {
		return nil, err
	}
	c := m.client(ctx, strings.Join(addrs, ","))
	switch {
	case m.Type == "cluster":
		c.redis = m.cluster(addrs, secure)
	case m.Failover:
		c.redis = goredis.NewFailoverClient(&goredis.FailoverOptions{
			MasterName: m.SentinelMasterName, SentinelAddrs: addrs, SentinelUsername: m.SentinelUsername, SentinelPassword: m.SentinelPassword,
			Dialer: m.dialer(secure), Username: m.Username, Password: m.Password, DB: m.database(), MaxRetries: -1,
			ReadTimeout: m.ReadTimeout, WriteTimeout: m.WriteTimeout, PoolSize: m.PoolSize, PoolTimeout: m.PoolTimeout,
			MinIdleConns: m.MinIdleConns, MaxConnAge: m.MaxConnAge, IdleTimeout: m.IdleTimeout, IdleCheckFrequency: m.IdleCheckFrequency,
		})
	default:
		c.redis = m.open(addrs[0], secure)
	}
	if err := c.Check(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot connect: %w", err), c.Close())
	}
	return c, nil
}

// cluster makes a client of a cluster. go-redis itself follows slots that move.
func (c Connection) cluster(seeds []string, secure *tls.Config) *goredis.ClusterClient {
	dial := c.dialer(secure)
	nodes := &Topology{Seeds: seeds, Options: goredis.Options{
		Dialer: dial, Username: c.Username, Password: c.Password, MaxRetries: -1, PoolSize: 1, ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout,
	}}
	return goredis.NewClusterClient(&goredis.ClusterOptions{
		Addrs: seeds, ClusterSlots: nodes.Slots, NewClient: NewNode, Dialer: dial, Username: c.Username, Password: c.Password, MaxRetries: -1,
		ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout, PoolSize: c.PoolSize, PoolTimeout: c.PoolTimeout,
		MinIdleConns: c.MinIdleConns, MaxConnAge: c.MaxConnAge, IdleTimeout: c.IdleTimeout, IdleCheckFrequency: c.IdleCheckFrequency,
	})
}

// OpenEach makes a client for each of several servers that know nothing of each
// other. It connects to none: any of them may be away.
func OpenEach(ctx context.Context, c Connection, addrs []string, path string) ([]*Client, error) {
	if err := c.CheckLogin(path).Err(); err != nil {
		return nil, err
	}
	secure, err := c.tls(path)
	if err != nil {
		return nil, err
	}
	all := make([]*Client, len(addrs))
	for i, addr := range addrs {
		all[i] = c.client(ctx, addr)
		all[i].redis = c.open(addr, secure)
	}
	return all, nil
}

func (c Connection) client(ctx context.Context, where string) *Client {
	n := &Client{Where: where}
	n.retries, n.minPause, n.maxPause = c.retries()
	n.closed, n.end = context.WithCancel(context.WithoutCancel(ctx))
	return n
}

func (c Connection) open(addr string, secure *tls.Config) *goredis.Client {
	return goredis.NewClient(&goredis.Options{
		Addr: addr, Dialer: c.dialer(secure), Username: c.Username, Password: c.Password, DB: c.database(), MaxRetries: -1,
		ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout, PoolSize: c.PoolSize, PoolTimeout: c.PoolTimeout,
		MinIdleConns: c.MinIdleConns, MaxConnAge: c.MaxConnAge, IdleTimeout: c.IdleTimeout, IdleCheckFrequency: c.IdleCheckFrequency,
	})
}

// A Command is carried out with a client of go-redis; its error is the command's.
type Command func(ctx context.Context, r goredis.UniversalClient) error

// Do carries out a command. It is sent again when it is sure that it was not
// carried out, and, if harmless, also when nobody knows. The error names the
// server; goredis.Nil is returned as it is.
func (c *Client) Do(ctx context.Context, harmless bool, command Command) error {
	dead := 0
	for try := 0; ; {
		err := ctx.Err()
		if err == nil {
			err = command(ctx, c.redis)
		}
		switch {
		case err == nil || errors.Is(err, goredis.Nil):
			return err
		case c.closed.Err() != nil:
			return ErrClosed
		case ended(ctx) != nil:
			return ended(ctx)
		case errors.Is(err, errDead) && dead < 1000:
			dead++ // the next connection is as old, or new
			continue
		case try >= c.retries || !again(err, harmless):
			return c.explain(err)
		}
		if !c.pause(ctx, try) {
			return c.explain(err)
		}
		try++
	}
}

// Script runs a script as Do does, and returns its reply.
func (c *Client) Script(ctx context.Context, harmless bool, script *goredis.Script, keys []string, args ...any) (reply any, err error) {
	err = c.Do(ctx, harmless, func(ctx context.Context, r goredis.UniversalClient) error {
		reply, err = script.Run(ctx, r, keys, args...).Result()
		return err
	})
	return reply, err
}

// Check sends a PING, once.
func (c *Client) Check(ctx context.Context) error {
	return c.Do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error { return r.Ping(ctx).Err() })
}

// Close closes all connections; calls under way fail. It is safe twice.
func (c *Client) Close() error {
	c.end()
	err := c.redis.Close()
	if err == nil || errors.Is(err, goredis.ErrClosed) || errors.Is(err, errDead) || components.IsAway(err) {
		return nil // TLS would say goodbye, to a server that is gone
	}
	return err
}

// ended returns ctx's error, also when go-redis has kept its deadline a moment
// before ctx did.
func ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// notNow are the beginnings of answers that pass by themselves; nothing was done.
var notNow = []string{"LOADING ", "READONLY ", "MASTERDOWN ", "ERR max number of clients reached", "TRYAGAIN ", "CLUSTERDOWN "}

// passes tells Redis' answers that pass by themselves.
func passes(err error) bool {
	for _, prefix := range notNow {
		if strings.HasPrefix(err.Error(), prefix) {
			return true
		}
	}
	return false
}

// What go-redis says without a type of its own: all connections are in use, for as
// long as each call waits for its answer; and the sentinels know no master.
const (
	poolTimeout = "redis: connection pool timeout"
	noMaster    = "redis: all sentinels"
)

// again tells whether a command that failed with err may be sent again.
func again(err error, harmless bool) bool {
	if _, reply := errors.AsType[goredis.Error](err); reply {
		return passes(err)
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return false // the next would take as long
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	return harmless
}

// pause waits before another try; false when there is none.
func (c *Client) pause(ctx context.Context, try int) bool {
	d := min(c.minPause<<min(try, 20), c.maxPause)
	timer := time.NewTimer(d/2 + rand.N(d/2+1)) //nolint:gosec // spreads the tries of many clients
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-c.closed.Done():
	}
	return false
}

func (c *Client) explain(err error) error {
	_, reply := errors.AsType[goredis.Error](err)
	n, network := errors.AsType[net.Error](err)
	switch {
	case reply && strings.HasPrefix(err.Error(), "MOVED "):
		return fmt.Errorf("redis %s: the server is part of a cluster: give one that is not, or set redisType to cluster where the type has that: %w", c.Where, err)
	case reply && strings.Contains(err.Error(), "cluster support disabled"):
		return fmt.Errorf("redis %s: the server is not part of a cluster: set redisType to node: %w", c.Where, err)
	case reply && strings.HasPrefix(err.Error(), "WRONGTYPE "):
		return fmt.Errorf("redis %s: the key holds something else already: use another key or keyPrefix: %w", c.Where, err)
	case network && n.Timeout():
		return fmt.Errorf("redis %s: no answer in time: %w", c.Where, err)
	case !reply && err.Error() == poolTimeout:
		return components.Late(fmt.Errorf("redis %s: no connection was free in time (poolTimeout): %w", c.Where, err))
	case !reply && strings.HasPrefix(err.Error(), noMaster), reply && passes(err):
		return components.Away(fmt.Errorf("redis %s: %w", c.Where, err))
	case errors.Is(err, io.EOF):
		return fmt.Errorf("redis %s: the connection was lost, it may have been done or not: %w", c.Where, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("redis %s: %w", c.Where, err)
}

// dialer opens connections that notice their end before they are written to.
func (c Connection) dialer(secure *tls.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if c.DialTimeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, c.DialTimeout)
			defer cancel()
		}
		raw, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		watched := &conn{Conn: raw}
		if secure == nil {
			return watched, nil
		}
		conf := secure.Clone()
		if conf.ServerName, _, err = net.SplitHostPort(addr); err != nil {
			conf.ServerName = "localhost"
		}
		client := tls.Client(watched, conf)
		if err := client.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("TLS with %s: %w: give its authority as caCert (or, for tests only, set insecureSkipTLSVerify)", addr, err), raw.Close())
		}
		return client, nil
	}
}

// EachMaster calls each with a client of every master of a cluster, from several
// goroutines at once, or with r itself when that is no client of a cluster.
func EachMaster(ctx context.Context, r goredis.UniversalClient, each func(ctx context.Context, node goredis.Cmdable) error) error {
	if cluster, ok := r.(*goredis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, node *goredis.Client) error { return each(ctx, node) })
	}
	return each(ctx, r)
}
