package memory

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

// item is one message in one queue.
type item struct {
	message  *pubsub.Message
	expires  time.Time // zero: never
	failures int       // how often a handler has failed
}

func (it *item) expired() bool { return !it.expires.IsZero() && !time.Now().Before(it.expires) }

// queue holds what one group has to get of one topic.
type queue struct {
	cfg Metadata
	log *slog.Logger

	mu      sync.Mutex
	changed *sync.Cond // room, an item, a context that ended, or the end
	ready   []*item
	// count and bytes are everything outstanding: ready, being handled, or
	// waiting for its redelivery.
	count, bytes int
	pauses       map[*time.Timer]struct{} // of items that wait for their redelivery
	readers      int
	dropped      int // since the last reader went
	closed       bool
}

func newQueue(cfg Metadata, log *slog.Logger) *queue {
	q := &queue{cfg: cfg, log: log, pauses: make(map[*time.Timer]struct{})}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// attach counts the subscriptions.
func (q *queue) attach(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.readers += n
	if q.dropped > 0 && n > 0 {
		q.log.Warn("messages were dropped while nobody subscribed: the queue was full", "dropped", q.dropped, "queueDepth", q.cfg.QueueDepth, "queueBytes", q.cfg.QueueBytes)
		q.dropped = 0
	}
	q.changed.Broadcast() // publishers that wait may drop now
}

// push adds an item, waiting for room at most wait.
func (q *queue) push(ctx context.Context, it *item, wait time.Duration) error {
	size := len(it.message.Data)
	if size > q.cfg.QueueBytes {
		return fmt.Errorf("%w: a message of %d bytes is larger than queueBytes, %d", pubsub.ErrFull, size, q.cfg.QueueBytes)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.full(size) {
		return q.add(it)
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	defer context.AfterFunc(limited, q.wake)()
	for q.full(size) && !q.closed {
		if q.readers == 0 && len(q.ready) > 0 {
			q.release(q.take())
			q.dropped++
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if limited.Err() != nil {
			return fmt.Errorf("%w: %d messages (%d bytes) of topic %q are outstanding, and there was no room for %s: subscribers are too slow, or raise queueDepth or queueBytes",
				pubsub.ErrFull, q.count, q.bytes, it.message.Topic, wait)
		}
		q.changed.Wait()
	}
	return q.add(it)
}

func (q *queue) full(size int) bool {
	return q.count >= q.cfg.QueueDepth || q.bytes+size > q.cfg.QueueBytes
}

// add puts an item in; q.mu is held.
func (q *queue) add(it *item) error {
	if q.closed {
		return pubsub.ErrClosed
	}
	q.count++
	q.bytes += len(it.message.Data)
	q.ready = append(q.ready, it)
	q.changed.Broadcast()
	return nil
}

// take removes the first item; q.mu is held and there is one.
func (q *queue) take() *item {
	it := q.ready[0]
	q.ready[0] = nil
	q.ready = q.ready[1:]
	return it
}

// release gives the room of an item back; q.mu is held.
func (q *queue) release(it *item) {
	q.count--
	q.bytes -= len(it.message.Data)
	q.changed.Broadcast()
}

// pop waits for the next item; nil when ctx has ended or the queue is closed.
func (q *queue) pop(ctx context.Context) *item {
	defer context.AfterFunc(ctx, q.wake)()
	q.mu.Lock()
	defer q.mu.Unlock()
	for ctx.Err() == nil && !q.closed {
		if len(q.ready) == 0 {
			q.changed.Wait()
			continue
		}
		it := q.take()
		if it.expired() {
			q.release(it)
			continue
		}
		return it
	}
	return nil
}

func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.changed.Broadcast()
}

// ack forgets an item that was handled.
func (q *queue) ack(it *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.release(it)
}

// back puts an item back to the front: its subscription ended, it did not fail.
func (q *queue) back(it *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ready = append([]*item{it}, q.ready...)
	q.changed.Broadcast()
}

// retry puts an item back after a pause.
func (q *queue) retry(it *item) {
	pause := q.cfg.RedeliverInterval
	for range it.failures {
		if pause *= 2; pause >= q.cfg.MaxRedeliverInterval {
			break
		}
	}
	it.failures++
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(min(pause, q.cfg.MaxRedeliverInterval), func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.pauses, timer)
		if !q.closed {
			q.ready = append(q.ready, it)
			q.changed.Broadcast()
		}
	})
	q.pauses[timer] = struct{}{}
}

// close ends it: nothing comes in or out any more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.ready = nil
	for timer := range q.pauses {
		timer.Stop()
	}
	clear(q.pauses)
	q.changed.Broadcast()
}
