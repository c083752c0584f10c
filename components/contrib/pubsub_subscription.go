package contrib

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	contribpubsub "github.com/dapr/components-contrib/pubsub"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

// errEnding is what a backend is told of messages that come when the subscription
// ends: they are not handled, and so not lost.
var errEnding = errors.New("the subscription is ending")

// pubSubSubscription stands between a backend and a handler.
type pubSubSubscription struct {
	p       *pubSub
	handle  pubsub.Handler
	backend contribpubsub.PubSub
	own     bool // the backend is this subscription's alone
	topic   string

	// taking ends when no more messages are wanted; life, which is the backend's,
	// when the handlers have finished, or their grace has passed.
	taking, life context.Context
	kill         context.CancelFunc
	stopWatching func() bool

	mu    sync.Mutex
	calls int
	ended bool          // no call begins any more
	idle  chan struct{} // made by drain when calls run; closed with the last one
}

// take is the backend's handler.
func (s *pubSubSubscription) take(ctx context.Context, m *contribpubsub.NewMessage) error {
	// Not every backend gives a context that ends with the subscription's.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)() //nolint:contextcheck // so that it does
	err := errEnding
	if s.enter() {
		err = s.hold(ctx, m)
		s.leave()
		if err == nil {
			return nil
		}
	}
	if s.taking.Err() != nil {
		// Told now that it failed, a backend would hand it over again, or worse.
		<-ctx.Done()
	}
	return err
}

// hold calls the handler, again while it fails and the broker is not to know.
func (s *pubSubSubscription) hold(ctx context.Context, m *contribpubsub.NewMessage) error {
	deadline := time.Now().Add(min(s.p.traits.Hold, 1<<62))
	for wait := firstHold; ; wait = min(2*wait, lastHold) {
		err := s.call(ctx, m)
		if err == nil || s.p.traits.Hold == 0 || time.Now().Add(wait).After(deadline) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			continue
		case <-s.taking.Done():
		case <-ctx.Done():
		}
		timer.Stop()
		return err
	}
}

func (s *pubSubSubscription) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.taking.Err() != nil {
		return false
	}
	s.calls++
	return true
}

func (s *pubSubSubscription) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls--; s.calls == 0 && s.idle != nil {
		close(s.idle)
	}
}

// call calls the handler with a copy. One that panics has failed.
func (s *pubSubSubscription) call(ctx context.Context, m *contribpubsub.NewMessage) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v", p)
		}
	}()
	out := &pubsub.Message{Topic: m.Topic, Data: append([]byte{}, m.Data...)}
	if s.p.traits.Renames {
		out.Topic = s.topic
	}
	if m.ContentType != nil {
		out.ContentType = *m.ContentType
	}
	if m.Metadata != nil {
		out.Metadata = make(map[string]string, len(m.Metadata))
		for k, v := range m.Metadata {
			out.Metadata[k] = v
		}
	}
	return s.handle(ctx, out)
}

// drain waits for the end of the subscription, and then for the handlers that run,
// at most grace.
func (s *pubSubSubscription) drain(grace time.Duration) {
	<-s.taking.Done()
	s.pause()
	s.mu.Lock()
	s.ended = true
	idle := make(chan struct{})
	if s.calls == 0 {
		close(idle)
	} else {
		s.idle = idle
	}
	s.mu.Unlock()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	case <-s.p.gone.Done():
	}
	select {
	case <-idle:
		// The backend has its answers, and now acknowledges them.
		settle := time.NewTimer(settleTime)
		<-settle.C
	default:
	}
	s.kill()
	<-idle // handlers heed their context
	s.finish()
}

// pause lets the backend fetch nothing more, where it can, before it is told of the
// end: Kafka's removes a handler from a map which it reads, unlocked, for each message.
func (s *pubSubSubscription) pause() {
	backend, ok := s.backend.(contribpubsub.PausableSubscriber)
	if !ok || !s.own {
		return
	}
	within(drainTimeout, func() {
		if err := backend.Pause(s.life); err != nil {
			s.p.log.Debug("the client of a subscription that ends goes on to fetch", "error", hideSecrets(err, s.p.base.Properties))
		}
	})
}

// finish lets the backend go.
func (s *pubSubSubscription) finish() {
	s.stopWatching()
	s.kill()
	if s.own {
		if err := closeWithin(drainTimeout, s.backend); err != nil {
			s.p.log.Warn("the client of a subscription did not close properly", "error", hideSecrets(err, s.p.base.Properties))
		}
	}
}

// reach returns nil when one of the addresses accepts a connection.
func reach(ctx context.Context, addresses []string) error {
	var errs []error
	for _, addr := range addresses {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
