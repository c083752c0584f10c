package redis

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/go-redis/redis/v8"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/redisnode"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// Type is the name of this store in a configuration.
const Type = "redis"

// maxTTL keeps an expiry within what Redis can count; longer TTLs become this.
const maxTTL = 100 * 365 * 24 * time.Hour

// bulkOps is how many operations of a bulk call go in one pipeline.
const bulkOps = batchCommands / 2

// Store keeps items in Redis. Use New. It implements state.Store,
// state.BulkGetter, state.BulkWriter, state.Transactor and components.Checker.
type Store struct {
	settings *settings
	lanes    *lanes
	set      script
	write    script
	try      script
	trial    redisnode.Trial
	read     atomic.Bool // an item was read
}

// New connects to Redis. It fails, within the dial and read timeouts or when
// ctx ends, if the server does not answer; the error names its address.
func New(ctx context.Context, _ components.Env, cfg components.Config) (state.Store, error) {
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	settings, err := check(m, cfg.Path+".metadata")
	if err != nil {
		return nil, err
	}
	s := &Store{settings: settings, set: newScript(setScript), write: newScript(writeScript), try: newScript(tryScript)}
	s.lanes = newLanes(ctx, settings, s.set, s.write, s.try)
	if err := s.Check(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot connect: %w", err), s.Close())
	}
	return s, nil
}

// Features implements state.Store.
func (s *Store) Features() state.Features {
	return state.Features{ETag: true, TTL: true, Durable: true}
}

// healthKey is the key of checks until a key of the caller's is known. It is looked
// at, and never made.
const healthKey = "ottavo|||health"

// Check implements components.Checker: it fails where writes would, at a server that
// has become a replica, has no room or does not save what it is told, and without the
// right to write that there was before; and without the one to read.
func (s *Store) Check(ctx context.Context) error {
	key := s.trial.Key()
	c := &call{again: true, cmds: []goredis.Cmder{
		s.try.call(ctx, []string{cmp.Or(key, healthKey)}), goredis.NewSliceCmd(ctx, "hgetall", healthKey),
	}}
	if err := s.lanes.do(ctx, c); err != nil {
		return err
	}
	write, read := s.trial.Verdict(c.cmds[0].Err(), key, "trial"), c.cmds[1].Err()
	if redisnode.Denied(read) && !(s.read.Load() && strings.Contains(read.Error(), "'hgetall' command")) {
		read = nil // nobody reads, or it is about the key, which is none of the caller's
	}
	return s.explain(first(write, read), "")
}

// Close implements state.Store.
func (s *Store) Close() error { return s.lanes.close() }

// Get implements state.Store.
func (s *Store) Get(ctx context.Context, req state.Get) (*state.Item, error) {
	if err := req.Check(); err != nil {
		return nil, err
	}
	c := &call{cmds: make([]goredis.Cmder, 0, 2), again: true}
	c.addGet(ctx, req.Key)
	if err := s.lanes.do(ctx, c); err != nil {
		return nil, err
	}
	return s.item(req.Key, c.cmds)
}

// addGet adds the two commands that read key.
func (c *call) addGet(ctx context.Context, key string) {
	c.cmds = append(c.cmds, goredis.NewSliceCmd(ctx, "hgetall", key), goredis.NewIntCmd(ctx, "pttl", key))
}

// item makes an item from the two replies; nil when the key does not exist.
func (s *Store) item(key string, cmds []goredis.Cmder) (*state.Item, error) {
	hash, ttl := cmds[0].(*goredis.SliceCmd), cmds[1].(*goredis.IntCmd)
	if err := first(hash.Err(), ttl.Err()); err != nil {
		return nil, s.explain(err, key)
	}
	fields := hash.Val()
	if len(fields) == 0 || ttl.Val() == -2 { // -2: it went between the two
		return nil, nil
	}
	s.read.Store(true)
	item := &state.Item{Key: key}
	hasData := false
	for i := 0; i+1 < len(fields); i += 2 {
		name, _ := fields[i].(string)
		value, _ := fields[i+1].(string)
		switch name {
		case "data":
			item.Value, hasData = []byte(value), true
		case "version":
			item.ETag = value
		}
	}
	if !hasData || item.ETag == "" {
		return nil, s.foreign(key, "hash without data and version")
	}
	if ms := ttl.Val(); ms >= 0 {
		item.ExpiresAt = time.Now().Add(time.Duration(ms) * time.Millisecond)
	}
	return item, nil
}

// first returns the first of two errors that is one.
func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// BulkGet implements state.BulkGetter.
func (s *Store) BulkGet(ctx context.Context, reqs []state.Get) ([]state.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	results := make([]state.Result, len(reqs))
	for from := 0; from < len(reqs); from += bulkOps {
		chunk := reqs[from:min(from+bulkOps, len(reqs))]
		c := &call{cmds: make([]goredis.Cmder, 0, 2*len(chunk)), again: true}
		for i, req := range chunk {
			if results[from+i].Err = req.Check(); results[from+i].Err == nil {
				c.addGet(ctx, req.Key)
			}
		}
		if len(c.cmds) == 0 {
			continue
		}
		if err := s.lanes.do(ctx, c); err != nil {
			return nil, err
		}
		for i, req := range chunk {
			if r := &results[from+i]; r.Err == nil {
				r.Item, r.Err = s.item(req.Key, c.cmds[:2])
				c.cmds = c.cmds[2:]
			}
		}
	}
	return results, nil
}

// Write implements state.Store.
func (s *Store) Write(ctx context.Context, op state.Op) error {
	if err := checkOp(op); err != nil {
		return err
	}
	c := &call{size: len(op.Value), again: !op.Conditional()}
	plain := !op.Delete && !op.Conditional() && op.Options.Concurrency != state.FirstWrite
	if plain {
		c.cmds = []goredis.Cmder{s.set.call(ctx, []string{op.Key}, bytes.Clone(op.Value), s.ttl(op))}
	} else {
		c.cmds = []goredis.Cmder{s.writeCall(ctx, op)}
	}
	if err := s.lanes.do(ctx, c); err != nil {
		return err
	}
	return s.outcome(c.cmds[0], op)
}

// BulkWrite implements state.BulkWriter. The operations reach each Redis node
// in their order.
func (s *Store) BulkWrite(ctx context.Context, ops []state.Op) []error {
	errs := make([]error, len(ops))
	for from := 0; from < len(ops); {
		// A chunk is conditional or not as a whole, since it is sent again as one.
		c := &call{again: !ops[from].Conditional()}
		to := from
		for ; to < len(ops) && to < from+bulkOps && (to == from || c.size+len(ops[to].Value) <= batchBytes); to++ {
			if ops[to].Conditional() == c.again {
				break
			}
			if errs[to] = first(ctx.Err(), checkOp(ops[to])); errs[to] == nil {
				c.cmds = append(c.cmds, s.writeCall(ctx, ops[to]))
				c.size += len(ops[to].Value)
			}
		}
		var err error
		if len(c.cmds) > 0 {
			err = s.lanes.do(ctx, c)
		}
		for i := from; i < to; i++ {
			switch {
			case errs[i] != nil:
			case err != nil:
				errs[i] = err
			default:
				errs[i] = s.outcome(c.cmds[0], ops[i])
				c.cmds = c.cmds[1:]
			}
		}
		from = to
	}
	return errs
}

// Transact implements state.Transactor.
func (s *Store) Transact(ctx context.Context, ops []state.Op) error {
	c := &call{again: true}
	for _, op := range ops {
		if err := checkOp(op); err != nil {
			return err
		}
		c.size += len(op.Value)
		c.again = c.again && !op.Conditional()
	}
	if len(ops) == 0 {
		return ctx.Err()
	}
	c.cmds = []goredis.Cmder{s.writeCall(ctx, ops...)}
	if err := s.lanes.do(ctx, c); err != nil {
		return err
	}
	return s.outcome(c.cmds[0], ops...)
}

// checkOp says what is wrong with op before it is sent.
func checkOp(op state.Op) error {
	if err := op.Check(); err != nil {
		return err
	}
	if op.HasETag {
		if _, err := strconv.ParseUint(op.ETag, 10, 64); err != nil {
			return fmt.Errorf("%w: %q of key %q is not a decimal number", state.ErrETagInvalid, op.ETag, op.Key)
		}
	}
	return nil
}

// ttl returns op's time to live in milliseconds, as Redis wants it; 0: none.
func (s *Store) ttl(op state.Op) int64 {
	d := op.TTL
	if d == 0 && s.settings.defaultTTL > 0 && !forEver(op.Metadata) {
		d = s.settings.defaultTTL
	}
	if d <= 0 {
		return 0
	}
	return int64((min(d, maxTTL) + time.Millisecond - 1) / time.Millisecond)
}

// forEver tells whether an operation's metadata say that there is no end.
func forEver(metadata map[string]string) bool {
	for key, value := range metadata {
		if strings.EqualFold(key, "ttlInSeconds") && strings.HasPrefix(value, "-") {
			return true
		}
	}
	return false
}

// writeCall returns the command that carries out ops together. Their values
// are copied.
func (s *Store) writeCall(ctx context.Context, ops ...state.Op) *goredis.Cmd {
	keys := make([]string, len(ops))
	args := make([]any, 0, 4*len(ops))
	for i, op := range ops {
		keys[i] = op.Key
		flags := []byte("s--")
		if op.Delete {
			flags[0] = 'd'
		} else if op.Options.Concurrency == state.FirstWrite {
			flags[2] = 'f'
		}
		switch {
		case op.HasETag:
			flags[1] = '='
		case op.CreateOnly():
			flags[1] = '+'
		}
		if op.Delete {
			args = append(args, flags, op.ETag, 0, "")
		} else {
			args = append(args, flags, op.ETag, s.ttl(op), bytes.Clone(op.Value))
		}
	}
	return s.write.call(ctx, keys, args...)
}

// outcome reads the reply to a script that carried out ops.
func (s *Store) outcome(cmder goredis.Cmder, ops ...state.Op) error {
	cmd := cmder.(*goredis.Cmd)
	if err := cmd.Err(); err != nil {
		key := ""
		if len(ops) == 1 {
			key = ops[0].Key
		}
		return s.explain(err, key)
	}
	switch v := cmd.Val().(type) {
	case int64:
		s.trial.Wrote(ops[0].Key)
		return nil
	case string:
		return s.foreign(ops[0].Key, v)
	case []any:
		if len(v) == 1 {
			s.trial.Wrote(ops[0].Key)
			return nil
		}
		if len(v) == 3 {
			n, _ := v[1].(int64)
			why, _ := v[2].(string)
			if n >= 1 && int(n) <= len(ops) {
				return s.refused(ops[n-1], why)
			}
		}
	}
	return fmt.Errorf("redis %s: unexpected reply %v", s.settings.where, cmd.Val())
}

func (s *Store) refused(op state.Op, why string) error {
	switch why {
	case "changed", "exists":
		return first(op.Precondition(true, ""), state.ErrETagMismatch)
	case "missing":
		return op.Precondition(false, "")
	}
	return s.foreign(op.Key, why)
}

// foreign is the error for a key that holds something that is not an item.
func (s *Store) foreign(key, kind string) error {
	return fmt.Errorf("redis %s: key %q holds a %s, which is not a state item and was left alone: "+
		"use another key or prefix, or remove it with `redis-cli DEL`", s.settings.where, key, kind)
}

// explain puts err, of a command, into words; key may be "".
func (s *Store) explain(err error, key string) error {
	if err == nil {
		return nil
	}
	what := "redis " + s.settings.where
	if key != "" {
		what += fmt.Sprintf(": key %q", key)
	}
	text := err.Error()
	switch _, reply := errors.AsType[goredis.Error](err); {
	case s.lanes.quit.Err() != nil, errors.Is(err, goredis.ErrClosed):
		return state.ErrClosed
	case strings.Contains(text, "WRONGTYPE"):
		return s.foreign(key, "value of another type")
	case strings.Contains(text, "hash value is not an integer"), strings.Contains(text, "increment or decrement would overflow"):
		return s.foreign(key, "hash with another kind of version")
	case strings.Contains(text, "CROSSSLOT"):
		return fmt.Errorf("%s: the keys of a transaction lie in different hash slots of the cluster; give them a common {tag}: %w", what, err)
	case reply && strings.HasPrefix(text, "MOVED "):
		return fmt.Errorf("%s: the server is part of a cluster: set redisType to cluster: %w", what, err)
	case strings.Contains(text, "cluster support disabled"):
		return fmt.Errorf("%s: the server is not part of a cluster: set redisType to node: %w", what, err)
	case reply && failure(err) == notCarriedOut: // it passes by itself
		return components.Away(fmt.Errorf("%s: %w", what, err))
	case reply:
		return fmt.Errorf("%s: %w", what, err)
	case failure(err) == inDoubt:
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("%s: the connection was lost, a write may have been carried out: %w", what, err)
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return fmt.Errorf("%s: no answer in time: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
