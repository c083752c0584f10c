package capability

import (
	"context"
	"errors"
	"maps"
	"time"
)

// Application is the other end of the callback connection: it says what it wants
// to get, and gets it.
type Application interface {
	Target
	// Session waits for the application. The context that it returns ends when the
	// connection breaks, or ctx ends; then the application may want something else.
	Session(ctx context.Context) (context.Context, error)
	// Subscriptions asks what the application wants; the list is complete.
	// ErrNotHandled: it has no such method, and so wants nothing.
	Subscriptions(ctx context.Context) ([]TopicSubscription, error)
}

// How long the application may take to say what it wants, and the pauses between
// tries.
const (
	listTimeout = 10 * time.Second
	minPause    = 100 * time.Millisecond
	maxPause    = 5 * time.Second
)

// Run keeps the application's subscriptions as the application wants them, until
// ctx ends; then it ends all subscriptions, see Stop. It may be called once.
func (p *PubSub) Run(ctx context.Context) {
	if p == nil {
		return
	}
	if p.app != nil {
		// Subscriptions outlive sessions: while the application restarts, its events
		// wait, and brokers that forget groups without subscribers do not forget it.
		life, end := context.WithCancel(context.WithoutCancel(ctx))
		defer end()
		own := &appSubscriptions{p: p, life: life, running: make(map[topicKey]*TopicStream)}
		for ctx.Err() == nil {
			session, err := p.app.Session(ctx)
			if err != nil {
				break // ctx has ended
			}
			own.serve(session)
			<-session.Done()
		}
	}
	<-ctx.Done()
	if len(p.brokers) > 0 {
		p.log.Info("subscriptions end; deliveries that run may finish", "grace", p.grace)
	}
	p.Stop()
}

// appSubscriptions are the subscriptions that the application has listed.
type appSubscriptions struct {
	p       *PubSub
	life    context.Context
	running map[topicKey]*TopicStream
}

// serve asks the application for its list and brings it about. It returns when
// everything stands that can, or the session has ended.
func (a *appSubscriptions) serve(session context.Context) {
	pause := minPause
	for {
		list, err := a.ask(session)
		if err == nil {
			a.reconcile(session, list)
			return
		}
		if session.Err() != nil {
			return
		}
		a.p.log.Warn("the application did not say which topics it wants; it is asked again", "error", err, "pause", pause)
		if !sleep(session, pause) {
			return
		}
		pause = min(2*pause, maxPause)
	}
}

func (a *appSubscriptions) ask(session context.Context) ([]TopicSubscription, error) {
	ctx, cancel := context.WithTimeout(session, listTimeout)
	defer cancel()
	list, err := a.p.app.Subscriptions(ctx)
	if errors.Is(err, ErrNotHandled) {
		return nil, nil
	}
	return list, err
}

// reconcile ends what is not wanted any more, and begins what is new; what fails
// is tried again.
func (a *appSubscriptions) reconcile(session context.Context, list []TopicSubscription) {
	wanted := make(map[topicKey]TopicSubscription, len(list))
	for _, t := range list {
		key := topicKey{t.PubSub, t.Topic}
		if _, twice := wanted[key]; twice {
			a.p.log.Warn("the application wants a topic twice; the first time counts", "pubsub", t.PubSub, "topic", t.Topic)
			continue
		}
		wanted[key] = t
	}
	for key, running := range a.running {
		select {
		case <-running.Ending(): // the broker ended it
		default:
			if t, ok := wanted[key]; ok && same(t, running.wanted) {
				delete(wanted, key)
				continue
			}
			a.p.log.Info("a subscription ends: the application does not want it any more", "pubsub", key.pubsub, "topic", key.topic)
			running.End()
		}
		delete(a.running, key)
		select { // a new one of the same topic needs its place
		case <-running.Done():
		case <-session.Done():
		}
	}
	for pause := minPause; len(wanted) > 0; pause = min(2*pause, maxPause) {
		for key, t := range wanted {
			if a.begin(key, t, pause) {
				delete(wanted, key)
			}
		}
		if len(wanted) == 0 || !sleep(session, pause) {
			return
		}
	}
}

// begin begins one subscription; false: it is worth another try.
func (a *appSubscriptions) begin(key topicKey, t TopicSubscription, pause time.Duration) bool {
	s, err := a.p.Subscribe(a.life, t, a.p.app)
	if err == nil {
		a.running[key] = s
		a.p.log.Info("the application is subscribed", "pubsub", key.pubsub, "topic", key.topic)
		return true
	}
	if e, ok := AsError(err); ok {
		switch e.Kind {
		case NotConfigured, UnknownComponent, InvalidArgument:
			a.p.log.Error("the application cannot be subscribed", "pubsub", key.pubsub, "topic", key.topic, "error", err, "configured", e.Known)
			return true
		}
	}
	a.p.log.Warn("the application could not be subscribed; it is tried again", "pubsub", key.pubsub, "topic", key.topic, "error", err, "pause", pause)
	return false
}

// same tells whether what is wanted is what runs.
func same(wanted, running TopicSubscription) bool {
	return maps.Equal(wanted.Metadata, running.Metadata) && wanted.deadLetters() == running.deadLetters()
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
