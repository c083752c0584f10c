package etcd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/etcdnode"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this backend in a configuration.
const Type = "etcd"

// Metadata is the configuration.
type Metadata struct {
	etcdnode.Metadata
	sequencer.Common
}

// New connects to etcd. It fails, within dialTimeout or when ctx ends, if etcd
// does not answer; the error names its address.
func New(ctx context.Context, _ components.Env, cfg components.Config) (sequencer.Sequencer, error) {
	var m Metadata
	decode.Defaults(&m)
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	client, err := etcdnode.Open(ctx, m.Metadata, cfg.SettingsPath())
	if err != nil {
		return nil, err
	}
	return sequencer.Count(ctx, counter{client}), nil
}

type counter struct {
	client *etcdnode.Client
}

// Add implements sequencer.Counter.
func (c counter) Add(ctx context.Context, key string, n int64) (int64, error) {
	return c.change(ctx, key, func(number int64) (int64, error) {
		if number > math.MaxInt64-n {
			return 0, sequencer.ErrExhausted
		}
		return number + n, nil
	})
}

// Raise implements sequencer.Counter.
func (c counter) Raise(ctx context.Context, key string, least int64) error {
	_, err := c.change(ctx, key, func(number int64) (int64, error) { return max(number, least), nil })
	return err
}

// change replaces a number by what with makes of it: if nobody has written
// meanwhile, else once more. Callers of one process come one at a time (see
// sequencer.Count), so that it is other processes only that can be in the way.
func (c counter) change(ctx context.Context, key string, with func(int64) (int64, error)) (number int64, err error) {
	var own error
	err = c.client.Call(ctx, func(ctx context.Context) error {
		stored := c.client.Key(key)
		found, err := c.client.Get(ctx, stored)
		if err != nil {
			return err
		}
		kvs := found.Kvs
		for {
			var version, revision, value int64
			if len(kvs) > 0 {
				version, revision = kvs[0].Version, kvs[0].ModRevision
				if value, own = parse(kvs[0]); own != nil {
					return nil
				}
			}
			before := value + version
			if number, own = with(before); own != nil || number == before {
				return nil
			}
			// The write itself counts as one.
			text := strconv.FormatInt(number-version-1, 10)
			resp, err := c.client.Txn(ctx).
				If(clientv3.Compare(clientv3.ModRevision(stored), "=", revision)).
				Then(clientv3.OpPut(stored, text)).
				Else(clientv3.OpGet(stored)).
				Commit()
			if err != nil || resp.Succeeded {
				return err
			}
			kvs = resp.Responses[0].GetResponseRange().Kvs
		}
	})
	if errors.Is(err, etcdnode.ErrClosed) {
		err = sequencer.ErrClosed
	}
	return number, errors.Join(err, own)
}

// parse returns the number that is added to the version.
func parse(kv *mvccpb.KeyValue) (int64, error) {
	if len(kv.Value) == 0 {
		return 0, nil
	}
	value, err := strconv.ParseInt(string(kv.Value), 10, 64)
	if err != nil || value < 0 || value > math.MaxInt64-kv.Version {
		return 0, fmt.Errorf("the key %q in etcd holds %q, which is no number of a sequence: use another key or keyPrefixPath", kv.Key, kv.Value)
	}
	return value, nil
}

// Check implements sequencer.Counter.
func (c counter) Check(ctx context.Context) error { return c.client.Check(ctx) }

// Close implements sequencer.Counter.
func (c counter) Close() error { return c.client.Close() }
