package capability_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// application is an application that a test starts and stops.
type application struct {
	target

	mu      sync.Mutex
	up      chan struct{} // closed while it is up
	session context.CancelFunc
	list    []capability.TopicSubscription
	err     error
	asked   int
}

func newApplication() *application {
	a := &application{up: make(chan struct{})}
	a.ready = func(ctx context.Context) error {
		a.mu.Lock()
		up := a.up
		a.mu.Unlock()
		select {
		case <-up:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return a
}

func (a *application) Session(ctx context.Context) (context.Context, error) {
	if err := a.Ready(ctx); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	ctx, a.session = context.WithCancel(ctx)
	return ctx, nil
}

func (a *application) Subscriptions(context.Context) ([]capability.TopicSubscription, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	return a.list, a.err
}

func (a *application) start(topics ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(topics) > 0 { // else what the test has set
		a.list = nil
	}
	for _, topic := range topics {
		a.list = append(a.list, capability.TopicSubscription{PubSub: "p", Topic: topic})
	}
	close(a.up)
}

func (a *application) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.up = make(chan struct{})
	a.session()
}

func withApplication(t *testing.T, f func(w *world, app *application)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		app := newApplication()
		p := capability.NewPubSub(capability.PubSubOptions{Brokers: map[string]pubsub.Broker{"p": newMemoryBroker(t)}, App: app})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.Run(ctx)
		}()
		f(&world{t, p}, app)
		cancel()
		<-done
	})
}

// An application that comes late is subscribed; one that comes back may want
// something else, and finds what was published meanwhile.
func TestApplicationComesAndGoes(t *testing.T) {
	withApplication(t, func(w *world, app *application) {
		time.Sleep(time.Hour)
		app.start("a", "b")
		synctest.Wait()
		w.publish("a", "1", nil)
		w.publish("c", "nobody wants it", nil)
		synctest.Wait()
		if got := fmt.Sprint(app.received()); got != "[1]" {
			t.Errorf("got %s", got)
		}
		app.stop()
		synctest.Wait()
		w.publish("a", "2", nil)
		w.publish("b", "3", nil)
		time.Sleep(time.Hour)
		app.start("a", "c")
		time.Sleep(time.Minute)
		w.publish("c", "4", nil)
		w.publish("b", "not wanted any more", nil)
		synctest.Wait()
		got := map[string]int{}
		for _, data := range app.received() {
			got[data]++
		}
		if got["1"] != 1 || got["2"] != 1 || got["4"] != 1 || got["not wanted any more"] != 0 || got["nobody wants it"] != 0 {
			t.Errorf("got %v", got)
		}
	})
}

// It is asked until it answers.
func TestApplicationThatFails(t *testing.T) {
	withApplication(t, func(w *world, app *application) {
		app.err = errors.New("still starting")
		app.start("a")
		time.Sleep(10 * time.Second)
		app.mu.Lock()
		asked := app.asked
		app.err = nil
		app.mu.Unlock()
		if asked < 4 || asked > 20 {
			t.Errorf("asked %d times in 10 s", asked)
		}
		time.Sleep(5 * time.Second)
		w.publish("a", "1", nil)
		synctest.Wait()
		if n := len(app.received()); n != 1 {
			t.Errorf("%d delivered", n)
		}
	})
}

func TestApplicationWithoutList(t *testing.T) {
	withApplication(t, func(_ *world, app *application) {
		app.err = capability.ErrNotHandled
		app.start("a")
		time.Sleep(time.Minute)
		app.mu.Lock()
		defer app.mu.Unlock()
		if app.asked != 1 {
			t.Errorf("asked %d times", app.asked)
		}
	})
}

// A broker that is down is tried again; a wrong entry does not stop the others.
func TestApplicationAndBrokerThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, b := newApplication(), &brokerStub{err: errors.New("down")}
		p := capability.NewPubSub(capability.PubSubOptions{Brokers: map[string]pubsub.Broker{"p": b}, App: app})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.Run(ctx)
		}()
		app.list = []capability.TopicSubscription{
			{PubSub: "p", Topic: "a"}, {PubSub: "p"}, {PubSub: "p", Topic: "a"}, {PubSub: "no such", Topic: "t"},
		}
		app.start()
		time.Sleep(10 * time.Second)
		b.fail(nil)
		time.Sleep(6 * time.Second)
		b.mu.Lock()
		handle, subs := b.handle, b.subs
		b.mu.Unlock()
		if handle == nil || subs < 3 || subs > 20 {
			t.Fatalf("%d tries, subscribed: %v", subs, handle != nil)
		}
		if err := handle(t.Context(), &pubsub.Message{Topic: "a", Data: []byte(`{"id":"1","data":"x"}`)}); err != nil || len(app.received()) != 1 {
			t.Errorf("delivery: %v", err)
		}
		cancel()
		<-done
	})
}
