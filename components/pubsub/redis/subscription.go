package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	goredis "github.com/go-redis/redis/v8"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

const (
	// blockTime is how long a read waits for a message, and so how long the end of
	// a subscription may take.
	blockTime = 500 * time.Millisecond
	// leastPause is the shortest between two looks at what others hold.
	leastPause = 100 * time.Millisecond
	// longestPause is that before a redelivery, where the settings name none.
	longestPause = 15 * time.Second
	// firstPause is the one before the first redelivery, and after an error.
	firstPause = 100 * time.Millisecond
	// callTime bounds what is done when a subscription's own context has ended.
	callTime = 5 * time.Second
)

// subscription delivers the messages of one stream to one handler.
type subscription struct {
	b      *Broker
	s      pubsub.Subscription
	handle pubsub.Handler
	log    *slog.Logger

	slots chan struct{} // one for each message that is held
	ready chan *entry   // as many

	mu   sync.Mutex
	held map[string]*entry // by id
}

// entry is a message that this process holds.
type entry struct {
	id       string
	message  *pubsub.Message
	failures int
}

func newSubscription(b *Broker, s pubsub.Subscription, handle pubsub.Handler) *subscription {
	return &subscription{
		b: b, s: s, handle: handle, log: b.log.With("topic", s.Topic, "group", b.group),
		slots: make(chan struct{}, b.cfg.QueueDepth), ready: make(chan *entry, b.cfg.QueueDepth), held: make(map[string]*entry),
	}
}

// run delivers until ctx ends or the broker is closed, lets the handlers finish,
// and gives back what is left.
func (s *subscription) run(ctx context.Context) {
	taking, stopTaking := context.WithCancel(ctx)
	defer stopTaking()
	defer context.AfterFunc(s.b.gone, stopTaking)() //nolint:contextcheck // it ends with the broker, too
	handling, stopHandling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHandling()
	defer context.AfterFunc(s.b.gone, stopHandling)() //nolint:contextcheck // as above

	var readers, workers, keeper sync.WaitGroup
	readers.Go(func() { s.read(taking) })
	keeping, stopKeeping := context.WithCancel(handling)
	defer stopKeeping()
	if s.inherits() {
		readers.Go(func() { s.adopt(taking) })
		keeper.Go(func() { s.keep(keeping) })
	}
	for range s.b.cfg.Concurrency {
		workers.Go(func() { s.work(taking, handling) })
	}
	<-taking.Done()
	timer := time.AfterFunc(s.s.Grace, stopHandling)
	workers.Wait()
	timer.Stop()
	readers.Wait()
	stopKeeping()
	keeper.Wait()
	s.giveBack(context.WithoutCancel(ctx))
}

// inherits tells whether messages of processes that have died are taken over.
func (s *subscription) inherits() bool {
	return s.b.cfg.ProcessingTimeout > 0 && s.b.cfg.RedeliverInterval > 0
}

// read takes new messages, as many as there is room for.
func (s *subscription) read(ctx context.Context) {
	failures := 0
	for {
		n := s.room(ctx)
		if n == 0 {
			return
		}
		var streams []goredis.XStream
		err := s.b.reader.Do(ctx, false, func(ctx context.Context, r goredis.UniversalClient) (err error) {
			streams, err = r.XReadGroup(ctx, &goredis.XReadGroupArgs{
				Group: s.b.group, Consumer: s.b.group, Streams: []string{s.s.Topic, ">"}, Count: int64(n), Block: blockTime,
			}).Result()
			return err
		})
		got := 0
		for _, stream := range streams {
			for _, m := range stream.Messages {
				if s.hold(m) {
					got++
				}
			}
		}
		s.giveRoom(n - got)
		if err == nil || errors.Is(err, goredis.Nil) {
			s.b.subscribed.Wrote(s.s.Topic)
			failures = 0
			continue
		}
		if !s.recover(ctx, err, &failures) {
			return
		}
	}
}

// recover sees to a failed read: the group is made again when it is gone, else it
// waits. false: ctx has ended.
func (s *subscription) recover(ctx context.Context, err error, failures *int) bool {
	if ctx.Err() != nil {
		return false
	}
	if strings.Contains(err.Error(), "NOGROUP") {
		s.log.Warn("the consumer group is gone, as if the server had lost its data; it is made again")
		if err = s.b.makeGroup(ctx, s.s.Topic); err == nil {
			return true
		}
	}
	if *failures == 0 {
		s.log.Warn("messages cannot be read; it is tried again", "error", err)
	}
	*failures++
	return pause(ctx, backoff(*failures, 2*time.Second))
}

// room takes what is free of the slots, waiting for one; 0 when ctx has ended.
func (s *subscription) room(ctx context.Context) int {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	// No more than the handlers need soon: others of the group want some, too.
	n := 1
	for n < max(1, min(s.b.cfg.Concurrency, s.b.cfg.QueueDepth)) {
		select {
		case s.slots <- struct{}{}:
			n++
			continue
		default:
		}
		break
	}
	if ctx.Err() != nil {
		s.giveRoom(n)
		return 0
	}
	return n
}

func (s *subscription) giveRoom(n int) {
	for range n {
		<-s.slots
	}
}

// hold takes a message in, for which a slot is taken; false when it is held already.
func (s *subscription) hold(m goredis.XMessage) bool {
	e := &entry{id: m.ID, message: message(s.s.Topic, m.Values)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[m.ID] != nil {
		return false
	}
	s.held[m.ID] = e
	s.ready <- e // it has as much room as there are slots
	return true
}

// letGo ends the holding of a message.
func (s *subscription) letGo(e *entry) {
	s.mu.Lock()
	delete(s.held, e.id)
	s.mu.Unlock()
	<-s.slots
}

// work handles one message after the other until taking ends.
func (s *subscription) work(taking, handling context.Context) {
	for {
		select {
		case <-taking.Done():
			return
		case e := <-s.ready:
			if taking.Err() != nil {
				return // it is still held, and given back
			}
			s.deliver(taking, handling, e)
		}
	}
}

func (s *subscription) deliver(taking, handling context.Context, e *entry) {
	err := s.call(handling, e)
	if err == nil {
		s.ack(handling, e.id)
		s.letGo(e)
		return
	}
	if taking.Err() != nil {
		return
	}
	e.failures++
	longest := s.b.cfg.RedeliverInterval
	if longest == 0 {
		longest = longestPause
	}
	wait := backoff(e.failures, longest)
	s.log.Debug("a message was not handled; it comes again", "id", e.id, "failures", e.failures, "pause", wait, "error", err)
	time.AfterFunc(wait, func() {
		if taking.Err() == nil {
			s.ready <- e // it holds its slot, so there is room
		}
	})
}

// call calls the handler with a copy. One that panics has failed.
func (s *subscription) call(ctx context.Context, e *entry) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v", p)
		}
	}()
	m := *e.message
	m.Data = append([]byte{}, m.Data...)
	if m.Metadata != nil {
		m.Metadata = make(map[string]string, len(e.message.Metadata))
		for k, v := range e.message.Metadata {
			m.Metadata[k] = v
		}
	}
	return s.handle(ctx, &m)
}

// ack acknowledges, until it is done or hopeless. A message whose acknowledgement
// is lost comes again.
func (s *subscription) ack(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer cancel()
	err := s.b.client.Do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error {
		return r.XAck(ctx, s.s.Topic, s.b.group, id).Err()
	})
	if err != nil {
		s.log.Warn("a message was handled, but not acknowledged; it will come again", "id", id, "error", err)
	}
}

// adopt takes messages over that others, or an earlier life of this process, have
// left behind.
func (s *subscription) adopt(ctx context.Context) {
	interval := max(leastPause, min(s.b.cfg.RedeliverInterval, s.b.cfg.ProcessingTimeout))
	for {
		if err := s.adoptOnce(ctx); err != nil && ctx.Err() == nil && !strings.Contains(err.Error(), "NOGROUP") {
			s.log.Warn("messages left behind cannot be looked for; it is tried again", "error", err)
		}
		if !pause(ctx, interval) {
			return
		}
	}
}

func (s *subscription) adoptOnce(ctx context.Context) error {
	start := "-"
	for {
		var pending []goredis.XPendingExt
		err := s.b.client.Do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) (err error) {
			pending, err = r.XPendingExt(ctx, &goredis.XPendingExtArgs{Stream: s.s.Topic, Group: s.b.group, Start: start, End: "+", Count: 100}).Result()
			return err
		})
		if err != nil || len(pending) == 0 || start == pending[len(pending)-1].ID {
			return err
		}
		for _, p := range pending {
			if p.Idle < s.b.cfg.ProcessingTimeout || s.holds(p.ID) {
				continue
			}
			if err := s.claim(ctx, p.ID); err != nil {
				return err
			}
		}
		start = pending[len(pending)-1].ID // seen twice, which is no harm
	}
}

func (s *subscription) holds(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[id] != nil
}

// claim takes one message over, when there is room.
func (s *subscription) claim(ctx context.Context, id string) error {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	var claimed []goredis.XMessage
	err := s.b.client.Do(ctx, false, func(ctx context.Context, r goredis.UniversalClient) (err error) {
		claimed, err = r.XClaim(ctx, &goredis.XClaimArgs{
			Stream: s.s.Topic, Group: s.b.group, Consumer: s.b.group, MinIdle: s.b.cfg.ProcessingTimeout, Messages: []string{id},
		}).Result()
		return err
	})
	switch {
	case err == nil && len(claimed) == 1 && claimed[0].Values != nil:
		if s.hold(claimed[0]) {
			return nil
		}
	case errors.Is(err, goredis.Nil):
		// The entry was trimmed away: nothing is left to deliver.
		s.ack(ctx, id)
		err = nil
	}
	<-s.slots
	return err
}

// keep renews the claim on what is held, so that nobody else takes it.
func (s *subscription) keep(ctx context.Context) {
	for pause(ctx, max(leastPause/3, s.b.cfg.ProcessingTimeout/3)) {
		if err := s.touch(ctx, 0); err != nil && ctx.Err() == nil {
			s.log.Warn("the claim on messages could not be renewed: another process may handle them, too", "error", err)
		}
	}
}

// giveBack lets others have what is held, now.
func (s *subscription) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if err := s.touch(ctx, s.b.cfg.ProcessingTimeout); err != nil {
		s.log.Warn("messages could not be given back; they come again later", "error", err, "after", s.b.cfg.ProcessingTimeout)
	}
}

// touch sets how long ago the held messages were delivered.
func (s *subscription) touch(ctx context.Context, idle time.Duration) error {
	s.mu.Lock()
	ids := make([]any, 0, len(s.held))
	for id := range s.held {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	args := append([]any{"XCLAIM", s.s.Topic, s.b.group, s.b.group, 0}, ids...)
	args = append(args, "IDLE", idle.Milliseconds(), "JUSTID")
	return s.b.client.Do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error { return r.Do(ctx, args...).Err() })
}

// backoff is the pause after so many failures in a row.
func backoff(failures int, most time.Duration) time.Duration {
	return min(firstPause<<min(failures-1, 16), most)
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func isBusyGroup(err error) bool { return strings.HasPrefix(err.Error(), "BUSYGROUP") }
