package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/ottavo-runtime/ottavo/components/state"
)

const (
	// queueSize is how many requests may wait; further callers wait outside.
	queueSize = 256
	// batchOps and batchBytes end the collecting of a commit.
	batchOps   = 1024
	batchBytes = 8 << 20
	// sweepOps is how many expired items one commit removes at most.
	sweepOps = 256
	// sweepPause is the shortest time between two commits that only sweep;
	// backlogPause is it while expired items are left over.
	sweepPause   = time.Second
	backlogPause = 50 * time.Millisecond
)

// write is one operation, ready for the writer: its value is copied already.
type write struct {
	op  state.Op // Value is not used
	buf []byte   // unsealed record; nil for a delete
	sum uint32   // checksum of the value
}

// prepare checks op and copies its value.
func (s *Store) prepare(op state.Op) (write, error) {
	if err := op.Check(); err != nil {
		return write{}, err
	}
	if len(op.Key) > maxKey {
		return write{}, fmt.Errorf("%w: the key has %d bytes, this store takes %d", state.ErrInvalid, len(op.Key), maxKey)
	}
	if op.HasETag {
		if _, err := strconv.ParseUint(op.ETag, 10, 64); err != nil {
			return write{}, fmt.Errorf("%w: %q of key %q is not a decimal number", state.ErrETagInvalid, op.ETag, op.Key)
		}
	}
	w := write{op: op}
	w.op.Value = nil
	if op.Delete {
		return w, nil
	}
	if len(op.Value) > bolt.MaxValueSize-headerSize {
		return write{}, fmt.Errorf("%w: the value of key %q has %d bytes, this store takes %d", state.ErrInvalid, op.Key, len(op.Value), bolt.MaxValueSize-headerSize)
	}
	w.buf, w.sum = newRecord(op.Value)
	return w, nil
}

// request is what one caller waits for.
type request struct {
	ctx    context.Context
	writes []write
	// atomic: all writes or none; errs has one error at most then.
	atomic bool
	// taken is set by whoever comes first: the writer, right before it applies
	// the request, or the caller, who gave up on it.
	taken atomic.Bool
	// errs (one per write) and err (of the commit) are valid once done is closed.
	errs []error
	err  error
	done chan struct{}
}

// writer is the one goroutine that changes the file.
type writer struct {
	db     *bolt.DB
	path   string
	queue  chan *request
	quit   chan struct{} // closed by stop
	ended  chan struct{} // closed when the goroutine has ended
	once   sync.Once
	failed atomic.Bool // the last commit failed

	// Of the goroutine only:
	floor uint64    // as in bucket meta
	next  time.Time // when the first item expires; zero: none does
}

func newWriter(db *bolt.DB, path string) (*writer, error) {
	w := &writer{
		db: db, path: path,
		queue: make(chan *request, queueSize),
		quit:  make(chan struct{}),
		ended: make(chan struct{}),
	}
	err := db.View(func(tx *bolt.Tx) error {
		if b := tx.Bucket(bucketMeta).Get(keyFloor); b != nil {
			if len(b) != 8 {
				return fmt.Errorf("%w: floor has %d bytes", errDamaged, len(b))
			}
			w.floor = binary.BigEndian.Uint64(b)
		}
		var err error
		w.next, err = firstExpiry(tx)
		return err
	})
	if err != nil {
		return nil, openError(path, 0, err)
	}
	go w.run()
	return w, nil
}

// stop ends the goroutine and waits for it.
func (w *writer) stop() {
	w.once.Do(func() { close(w.quit) })
	<-w.ended
}

// submit has writes applied and waits until they are on disk. errs has one
// error per write; err means that none was applied, or, when it is ctx's, that
// nobody waited for the outcome: a request that was not begun when ctx ended is
// not applied.
func (w *writer) submit(ctx context.Context, writes []write, atomically bool) (errs []error, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-w.quit: // select chooses at random, and the queue may have room
		return nil, state.ErrClosed
	default:
	}
	req := &request{ctx: ctx, writes: writes, atomic: atomically, done: make(chan struct{})}
	select {
	case w.queue <- req:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.quit:
		return nil, state.ErrClosed
	}
	select {
	case <-req.done:
		return req.errs, req.err
	case <-ctx.Done():
		req.taken.Store(true)
		return nil, ctx.Err()
	case <-w.ended:
		// A taken request was answered before the goroutine ended.
		if req.taken.CompareAndSwap(false, true) {
			return nil, state.ErrClosed
		}
		<-req.done
		return req.errs, req.err
	}
}

// run is the goroutine.
func (w *writer) run() {
	defer close(w.ended)
	debug.SetPanicOnFault(true) // see Store.guard
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var expiry <-chan time.Time
		if !w.next.IsZero() {
			pause := time.Until(w.next)
			if pause > 0 {
				pause = max(pause, sweepPause)
			}
			timer.Reset(max(pause, backlogPause))
			expiry = timer.C
		}
		select {
		case <-w.quit:
			return
		case req := <-w.queue:
			w.commit(w.collect(req))
		case <-expiry:
			w.commit(nil)
		}
	}
}

// collect takes what waits in the queue, first included, up to the limits.
func (w *writer) collect(first *request) []*request {
	var batch []*request
	ops, size := 0, 0
	for req := first; ; {
		batch = append(batch, req)
		ops += len(req.writes)
		for i := range req.writes {
			size += len(req.writes[i].buf)
		}
		if ops >= batchOps || size >= batchBytes {
			return batch
		}
		select {
		case req = <-w.queue:
		default:
			return batch
		}
	}
}

// commit applies batch, removes some of what has expired, commits, and answers.
func (w *writer) commit(batch []*request) {
	floor := w.floor
	err := w.try(batch)
	if err != nil {
		w.floor = floor
		err = fmt.Errorf("state file %s: the commit failed: %w", w.path, err)
		if !w.next.IsZero() { // do not sweep again at once
			w.next = time.Now().Add(sweepPause)
		}
	}
	w.failed.Store(err != nil)
	for _, req := range batch {
		if req.err == nil {
			req.err = err
		}
		close(req.done)
	}
}

// try is commit without the answers.
func (w *writer) try(batch []*request) (err error) {
	var tx *bolt.Tx
	defer func() {
		if p := recover(); p != nil {
			err = damagedFile(w.path, p)
		}
		if err != nil && tx != nil {
			err = errors.Join(err, rollback(tx))
		}
	}()
	tx, err = w.db.Begin(true)
	if err != nil {
		return err
	}
	now := time.Now()
	c := changes{
		items: tx.Bucket(bucketItems), expiry: tx.Bucket(bucketExpiry),
		now: now, floor: w.floor, slots: make(map[string]*slot),
	}
	for _, req := range batch {
		if req.taken.Swap(true) {
			continue // its caller gave up
		}
		if req.err = req.ctx.Err(); req.err == nil {
			req.errs = make([]error, len(req.writes))
			c.apply(req)
		}
	}
	if err := c.sweep(); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	meta := tx.Bucket(bucketMeta)
	if c.floor != w.floor {
		if err := meta.Put(keyFloor, binary.BigEndian.AppendUint64(nil, c.floor)); err != nil {
			return err
		}
	}
	if len(c.slots) == 0 && w.failed.Load() {
		// Nothing to write, but Check wants to know whether writing works again.
		if err := meta.Put(keyProbe, binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano()))); err != nil {
			return err
		}
	}
	next, err := firstExpiry(tx)
	if err != nil {
		return err
	}
	if c.dirty || c.floor != w.floor || w.failed.Load() {
		err = tx.Commit()
	} else {
		err = tx.Rollback()
	}
	if err == nil {
		w.floor, w.next = c.floor, next
	}
	return err
}

// rollback ends a transaction that failed; a failed Commit has ended it already.
func rollback(tx *bolt.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	if err := tx.Rollback(); err != nil && !errors.Is(err, bolterrors.ErrTxClosed) {
		return err
	}
	return nil
}

// firstExpiry returns when the first item ends; zero when none does.
func firstExpiry(tx *bolt.Tx) (time.Time, error) {
	k, _ := tx.Bucket(bucketExpiry).Cursor().First()
	if k == nil {
		return time.Time{}, nil
	}
	expires, _, err := splitExpiryKey(k)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(0, expires), nil
}
