package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-zookeeper/zk"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// bulkParallel is how many keys are read at the same time.
const bulkParallel = 32

// Store keeps items in ZooKeeper. Use New. It implements state.Store,
// state.BulkGetter, state.Transactor and components.Checker.
type Store struct {
	settings *settings
	conn     *zk.Conn
	closed   atomic.Bool
	work     sync.WaitGroup // who reads the session's events
}

// New connects to ZooKeeper. It fails when no member gives it a session, within the
// timeout or when ctx ends.
func New(ctx context.Context, env components.Env, cfg components.Config) (state.Store, error) {
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	settings, err := check(m, cfg.SettingsPath())
	if err != nil {
		return nil, err
	}
	conn, events, err := zk.Connect(settings.servers, settings.session, zk.WithLogger(logger{env.Log}), zk.WithLogInfo(false),
		zk.WithMaxBufferSize(settings.maxBuffer), zk.WithMaxConnBufferSize(settings.connBuffer))
	if err != nil {
		return nil, fmt.Errorf("cannot connect: %w", err)
	}
	s := &Store{settings: settings, conn: conn}
	s.work.Go(func() {
		for range events { // nobody waits for them, but they have to go somewhere
		}
	})
	if err := s.makeRoot(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot connect: %w", err), s.Close())
	}
	return s, nil
}

// logger writes what the driver says about its connections.
type logger struct{ log *slog.Logger }

// Printf implements zk.Logger.
func (l logger) Printf(format string, args ...any) {
	if l.log != nil {
		l.log.Debug("ZooKeeper's driver", "message", fmt.Sprintf(format, args...))
	}
}

// makeRoot makes the node below which the keys are.
func (s *Store) makeRoot(ctx context.Context) error {
	if s.settings.root == "" {
		return s.Check(ctx)
	}
	for i := 1; i <= len(s.settings.root); i++ {
		if i < len(s.settings.root) && s.settings.root[i] != '/' {
			continue
		}
		_, err := call(ctx, s, func() (string, error) {
			return s.conn.Create(s.settings.root[:i], nil, 0, zk.WorldACL(zk.PermAll))
		})
		if err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
	}
	return nil
}

// Features implements state.Store.
func (s *Store) Features() state.Features { return state.Features{ETag: true, Durable: true} }

// Check implements components.Checker: it looks for the node below which the keys are.
func (s *Store) Check(ctx context.Context) error {
	_, err := call(ctx, s, func() (bool, error) {
		there, _, err := s.conn.Exists("/" + strings.TrimPrefix(s.settings.root, "/"))
		return there, err
	})
	return err
}

// Close implements state.Store.
func (s *Store) Close() error {
	if !s.closed.Swap(true) {
		s.conn.Close()
	}
	s.work.Wait()
	return nil
}

// call calls the driver, which knows no contexts, for as long as an operation may
// take. A call that is left behind ends with the connection.
func call[T any](ctx context.Context, s *Store, f func() (T, error)) (T, error) {
	var none T
	if s.closed.Load() {
		return none, state.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	limited, cancel := context.WithTimeout(ctx, s.settings.timeout)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		value, err := f()
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		if a.err != nil && s.closed.Load() {
			return none, state.ErrClosed
		}
		if errors.Is(a.err, zk.ErrNoServer) || errors.Is(a.err, zk.ErrConnectionClosed) {
			return none, fmt.Errorf("ZooKeeper at %s: %w", strings.Join(s.settings.servers, ","), a.err)
		}
		return a.value, a.err
	case <-limited.Done():
		if err := ctx.Err(); err != nil {
			return none, err
		}
		return none, fmt.Errorf("ZooKeeper at %s does not answer within %s", strings.Join(s.settings.servers, ","), s.settings.timeout)
	}
}

// path is where a key's node is.
func (s *Store) path(key string) string { return s.settings.root + "/" + nodeName(key) }

// Get implements state.Store.
func (s *Store) Get(ctx context.Context, req state.Get) (*state.Item, error) {
	if err := req.Check(); err != nil {
		return nil, err
	}
	path := s.path(req.Key)
	item, err := call(ctx, s, func() (*state.Item, error) {
		if req.Consistency == state.Strong {
			// A member may lag behind; it answers after it has caught up.
			if _, err := s.conn.Sync(path); err != nil && !errors.Is(err, zk.ErrNoNode) {
				return nil, err
			}
		}
		value, stat, err := s.conn.Get(path)
		if err != nil {
			return nil, err
		}
		return &state.Item{Key: req.Key, Value: value, ETag: etag(stat)}, nil
	})
	if errors.Is(err, zk.ErrNoNode) {
		return nil, nil
	}
	return item, err
}

// etag is the number of the change that made the node what it is: no other change
// of the whole tree has it.
func etag(stat *zk.Stat) string { return strconv.FormatInt(stat.Mzxid, 10) }

// BulkGet implements state.BulkGetter: many at a time over one connection.
func (s *Store) BulkGet(ctx context.Context, reqs []state.Get) ([]state.Result, error) {
	if _, err := call(ctx, s, func() (struct{}, error) { return struct{}{}, nil }); err != nil {
		return nil, err
	}
	results := make([]state.Result, len(reqs))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(len(reqs), bulkParallel) {
		workers.Go(func() {
			for i := range next {
				results[i].Item, results[i].Err = s.Get(ctx, reqs[i])
			}
		})
	}
	for i := range reqs {
		next <- i
	}
	close(next)
	workers.Wait()
	return results, ctx.Err()
}
