package etcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// Store keeps items in etcd. Use V1 or V2. It implements state.Store,
// state.BulkGetter, state.Transactor and components.Checker.
type Store struct {
	settings *settings
	layout   layout
	client   *clientv3.Client
	closed   atomic.Bool
}

// V1 connects to etcd and returns a store in the first layout, which is what a
// configuration means by etcd. It fails when no member answers, within the timeout
// or when ctx ends.
func V1(ctx context.Context, _ components.Env, cfg components.Config) (state.Store, error) {
	return open(ctx, cfg, plain{})
}

// V2 is V1 for the second layout.
func V2(ctx context.Context, _ components.Env, cfg components.Config) (state.Store, error) {
	return open(ctx, cfg, envelope{})
}

func open(ctx context.Context, cfg components.Config, layout layout) (state.Store, error) {
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	settings, err := check(m, cfg.SettingsPath())
	if err != nil {
		return nil, err
	}
	s := &Store{settings: settings, layout: layout}
	// With a name and a password it logs in here, within the dial timeout.
	if s.client, err = clientv3.New(settings.client); err != nil {
		return nil, fmt.Errorf("cannot connect to etcd at %s: %w", settings.addresses, err)
	}
	if err := s.Check(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot connect: %w", err), s.Close())
	}
	return s, nil
}

// Features implements state.Store.
func (s *Store) Features() state.Features {
	return state.Features{ETag: true, TTL: true, Durable: true}
}

// Close implements state.Store.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.client.Close()
}

// Check implements components.Checker: it reads a key that is not there, from a
// majority.
func (s *Store) Check(ctx context.Context) error {
	return s.call(ctx, func(ctx context.Context) error {
		_, err := s.client.Get(ctx, s.settings.prefix+"ottavo-health", clientv3.WithCountOnly())
		return err
	})
}

// call calls the server, for as long as an operation may take, and explains its error.
func (s *Store) call(ctx context.Context, f func(context.Context) error) error {
	if s.closed.Load() {
		return state.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, s.settings.timeout)
	defer cancel()
	err := f(limited)
	switch {
	case err == nil:
		return nil
	case s.closed.Load():
		return state.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, state.ErrETagMismatch):
		return err
	case limited.Err() != nil:
		return fmt.Errorf("etcd at %s does not answer within %s", s.settings.addresses, s.settings.timeout)
	}
	return fmt.Errorf("etcd at %s: %w", s.settings.addresses, err)
}

// Get implements state.Store.
func (s *Store) Get(ctx context.Context, req state.Get) (*state.Item, error) {
	if err := req.Check(); err != nil {
		return nil, err
	}
	var opts []clientv3.OpOption
	if req.Consistency == state.Eventual {
		opts = append(opts, clientv3.WithSerializable())
	}
	var item *state.Item
	err := s.call(ctx, func(ctx context.Context) error {
		resp, err := s.client.Get(ctx, s.settings.prefix+req.Key, opts...)
		if err != nil || len(resp.Kvs) == 0 {
			return err
		}
		item, err = s.item(ctx, req.Key, resp.Kvs[0])
		return err
	})
	if err != nil {
		return nil, err
	}
	return item, nil
}

// item makes an item of what is stored. In the first layout only the lease knows
// when it ends.
func (s *Store) item(ctx context.Context, key string, kv *mvccpb.KeyValue) (*state.Item, error) {
	value, end, err := s.layout.decode(kv.Value)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", key, err)
	}
	if end.IsZero() && kv.Lease != 0 {
		lease, err := s.client.TimeToLive(ctx, clientv3.LeaseID(kv.Lease))
		if err != nil {
			return nil, err
		}
		if lease.TTL < 0 {
			return nil, nil // it ended meanwhile
		}
		end = time.Now().Add(time.Duration(lease.TTL) * time.Second)
	}
	return &state.Item{Key: key, Value: value, ETag: strconv.FormatInt(kv.ModRevision, 10), ExpiresAt: end}, nil
}

// BulkGet implements state.BulkGetter.
func (s *Store) BulkGet(ctx context.Context, reqs []state.Get) ([]state.Result, error) {
	results := make([]state.Result, len(reqs))
	if err := s.call(ctx, func(context.Context) error { return nil }); err != nil {
		return nil, err
	}
	for start := 0; start < len(reqs); start += s.settings.maxOps {
		end := min(start+s.settings.maxOps, len(reqs))
		if err := s.bulkGet(ctx, reqs[start:end], results[start:end]); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (s *Store) bulkGet(ctx context.Context, reqs []state.Get, results []state.Result) error {
	var ops []clientv3.Op
	var places []int
	for i, req := range reqs {
		if results[i].Err = req.Check(); results[i].Err == nil {
			ops, places = append(ops, clientv3.OpGet(s.settings.prefix+req.Key)), append(places, i)
		}
	}
	if len(ops) == 0 {
		return nil
	}
	return s.call(ctx, func(ctx context.Context) error {
		resp, err := s.client.Txn(ctx).Then(ops...).Commit()
		if err != nil {
			return err
		}
		for n, i := range places {
			if kvs := resp.Responses[n].GetResponseRange().Kvs; len(kvs) > 0 {
				if results[i].Item, err = s.item(ctx, reqs[i].Key, kvs[0]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
