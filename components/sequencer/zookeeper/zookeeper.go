package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/go-zookeeper/zk"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/zknode"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this backend in a configuration.
const Type = "zookeeper"

// Metadata is the configuration.
type Metadata struct {
	zknode.Metadata
	sequencer.Common
}

// maxVersion is the version with which a node is made anew: the numbers are of 32
// bits, and -1 has a meaning of its own.
const maxVersion = 1 << 30

// New connects to ZooKeeper. It fails, within twice sessionTimeout or when ctx
// ends, if there is no session; the error names the servers.
func New(ctx context.Context, env components.Env, cfg components.Config) (sequencer.Sequencer, error) {
	var m Metadata
	decode.Defaults(&m)
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	client, err := zknode.Open(ctx, m.Metadata, cfg.SettingsPath(), env.Log, cfg.Warn)
	if err != nil {
		return nil, err
	}
	return sequencer.Count(ctx, counter{client}), nil
}

type counter struct {
	client *zknode.Client
}

// Add implements sequencer.Counter.
func (c counter) Add(ctx context.Context, key string, n int64) (int64, error) {
	var sum int64
	err := c.change(ctx, key, func(number int64) (int64, error) {
		if number > math.MaxInt64-n {
			return 0, sequencer.ErrExhausted
		}
		sum = number + n
		return sum, nil
	})
	if err != nil {
		return 0, err // the change may go on, and sum be its own
	}
	return sum, nil
}

// Raise implements sequencer.Counter.
func (c counter) Raise(ctx context.Context, key string, least int64) error {
	return c.change(ctx, key, func(number int64) (int64, error) { return max(number, least), nil })
}

// change replaces a number by what with makes of it: if nobody has changed the
// node meanwhile, else once more.
func (c counter) change(ctx context.Context, key string, with func(int64) (int64, error)) error {
	path := zknode.Path(key)
	err := c.client.Do(ctx, func(conn *zk.Conn) error {
		for ctx.Err() == nil {
			done, err := c.try(conn, path, with)
			if done || err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	switch {
	case errors.Is(err, zknode.ErrClosed):
		return sequencer.ErrClosed
	case errors.Is(err, sequencer.ErrExhausted):
		return sequencer.ErrExhausted
	}
	return err
}

// try is one try; done is false when the node was changed meanwhile.
func (c counter) try(conn *zk.Conn, path string, with func(int64) (int64, error)) (done bool, err error) {
	data, stat, err := conn.Get(path)
	missing := errors.Is(err, zk.ErrNoNode)
	number := int64(0)
	if err == nil {
		number, err = parse(path, data, stat)
	}
	if err != nil && !missing {
		return false, err
	}
	changed, err := with(number)
	if err != nil || changed == number {
		return true, err
	}
	text := strconv.AppendInt(nil, changed, 10)
	switch {
	case missing:
		_, err = conn.Create(path, text, 0, c.client.ACL)
	case stat.EphemeralOwner != 0 || stat.Version > maxVersion:
		_, err = conn.Multi(&zk.DeleteRequest{Path: path, Version: stat.Version}, &zk.CreateRequest{Path: path, Data: text, Acl: c.client.ACL})
	default:
		_, err = conn.Set(path, text, stat.Version)
	}
	switch {
	case errors.Is(err, zk.ErrBadVersion), errors.Is(err, zk.ErrNoNode), errors.Is(err, zk.ErrNodeExists):
		return false, nil
	}
	return err == nil, err
}

// parse returns the number of a node.
func parse(path string, data []byte, stat *zk.Stat) (int64, error) {
	if stat.EphemeralOwner != 0 { // Layotto's
		return int64(max(stat.Version, 0)), nil
	}
	number, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil || number < 0 {
		return 0, fmt.Errorf("the node %s holds %q, which is no number of a sequence: use another key or keyPrefix", path, data)
	}
	return number, nil
}

// Check implements sequencer.Counter.
func (c counter) Check(ctx context.Context) error { return c.client.Check(ctx) }

// Close implements sequencer.Counter.
func (c counter) Close() error { return c.client.Close() }
