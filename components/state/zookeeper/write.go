package zookeeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/ottavo-runtime/ottavo/components/state"
)

const (
	// tries is how often a write is begun anew when others come in between.
	tries = 50
	// anyVersion lets a write happen whatever is stored.
	anyVersion = -1
)

// Write implements state.Store.
func (s *Store) Write(ctx context.Context, op state.Op) error { return s.Transact(ctx, []state.Op{op}) }

// Transact implements state.Transactor.
func (s *Store) Transact(ctx context.Context, ops []state.Op) error {
	for _, op := range ops {
		if err := checkOp(op); err != nil {
			return err
		}
	}
	if _, err := call(ctx, s, func() (struct{}, error) { return struct{}{}, nil }); err != nil || len(ops) == 0 {
		return err
	}
	plans, err := state.Plans(ops)
	if err != nil {
		return err
	}
	for i := range tries {
		requests, err := s.requests(ctx, plans)
		if err != nil || len(requests) == 0 {
			return err
		}
		_, err = call(ctx, s, func() ([]zk.MultiResponse, error) { return s.conn.Multi(requests...) })
		switch {
		case errors.Is(err, zk.ErrBadVersion), errors.Is(err, zk.ErrNoNode), errors.Is(err, zk.ErrNodeExists):
			// Somebody came in between: look again.
			if err := pause(ctx, time.Duration(i)*time.Millisecond); err != nil {
				return err
			}
		case errors.Is(err, zk.ErrNotEmpty):
			return fmt.Errorf("a key of %d cannot be deleted: its node has nodes below it, which are not ours", len(plans))
		default:
			return err
		}
	}
	return fmt.Errorf("others changed the same keys %d times while this was tried", tries)
}

func checkOp(op state.Op) error {
	if err := op.Check(); err != nil {
		return err
	}
	if op.HasETag {
		if n, err := strconv.ParseInt(op.ETag, 10, 64); err != nil || n < 0 {
			return fmt.Errorf("%w %q (key %q): it is a number", state.ErrETagInvalid, op.ETag, op.Key)
		}
	}
	if op.TTL > 0 && !op.Delete {
		return fmt.Errorf("%w: a time to live (key %q)", state.ErrNotSupported, op.Key)
	}
	return nil
}

// requests makes the writes for what is stored now. They fail when that changes,
// where it matters.
func (s *Store) requests(ctx context.Context, plans []state.Plan) ([]any, error) {
	requests := make([]any, 0, len(plans))
	for _, p := range plans {
		path := s.path(p.Key)
		stat, err := call(ctx, s, func() (*zk.Stat, error) {
			there, stat, err := s.conn.Exists(path)
			if !there {
				return nil, err
			}
			return stat, err
		})
		if err != nil {
			return nil, err
		}
		found, version := "", int32(anyVersion)
		if stat != nil {
			found = etag(stat)
			if p.First.Conditional() {
				version = stat.Version
			}
		}
		if err := p.First.Precondition(stat != nil, found); err != nil {
			return nil, err
		}
		// The driver may still hold it when the caller has gone.
		value := bytes.Clone(p.Last.Value)
		switch {
		case p.Last.Delete && stat != nil:
			requests = append(requests, &zk.DeleteRequest{Path: path, Version: version})
		case p.Last.Delete:
		case stat != nil:
			requests = append(requests, &zk.SetDataRequest{Path: path, Data: value, Version: version})
		default:
			requests = append(requests, &zk.CreateRequest{Path: path, Data: value, Acl: zk.WorldACL(zk.PermAll)})
		}
	}
	return requests, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
