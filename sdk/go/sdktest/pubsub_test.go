package sdktest_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

// collector is a handler that passes on what came; its answers are from answer.
type collector struct {
	events chan ottavo.Event
	answer func(*ottavo.Event) error
}

func newCollector(answer func(*ottavo.Event) error) *collector {
	return &collector{make(chan ottavo.Event, 100), answer}
}

func (c *collector) handle(_ context.Context, e *ottavo.Event) error {
	c.events <- *e
	if c.answer != nil {
		return c.answer(e)
	}
	return nil
}

// want waits for events with these data, in this order.
func (c *collector) want(t *testing.T, wants ...string) (last ottavo.Event) {
	t.Helper()
	ctx := timeout(t)
	for _, want := range wants {
		select {
		case last = <-c.events:
			if string(last.Data) != want {
				t.Fatalf("got %q, want %q of %q", last.Data, want, wants)
			}
		case <-ctx.Done():
			t.Fatalf("nothing came, want %q of %q", want, wants)
		}
	}
	return last
}

// subscribe runs Subscribe until the function that it returns is called, which
// returns Subscribe's error.
func subscribe(t *testing.T, p *ottavo.PubSub, topic string, h ottavo.Handler, o ottavo.Subscription) (end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(timeout(t))
	stands, ended := make(chan struct{}, 10), make(chan error, 1)
	told := o.Stands
	o.Stands = func() {
		stands <- struct{}{}
		if told != nil {
			told()
		}
	}
	go func() { ended <- p.Subscribe(ctx, topic, h, o) }()
	select {
	case <-stands:
	case err := <-ended:
		t.Fatalf("Subscribe: %v", err)
	}
	return func() error {
		cancel()
		return <-ended
	}
}

func TestSubscribe(t *testing.T) {
	_, client := startReal(t, 0)
	ctx, events := timeout(t), client.PubSub("events")
	c := newCollector(nil)
	end := subscribe(t, events, "orders", c.handle, ottavo.Subscription{})
	if err := events.Publish(ctx, "orders", []byte(`{"id":1}`), ottavo.Publication{ContentType: "application/json", TTL: time.Minute}); err != nil {
		t.Fatal(err)
	}
	e := c.want(t, `{"id":1}`)
	if e.ID == "" || e.Topic != "orders" || e.PubSub != "events" || e.ContentType != "application/json" || e.SpecVersion != "1.0" || e.Source == "" || e.Type == "" {
		t.Errorf("%+v", e)
	}
	if err := events.Publish(ctx, "orders", []byte("text")); err != nil {
		t.Fatal(err)
	}
	if e := c.want(t, "text"); e.ContentType != "text/plain" {
		t.Errorf("%+v", e)
	}
	if err := end(); err != nil {
		t.Errorf("Subscribe: %v", err)
	}
	// The group is known: what is published now waits for the next subscriber.
	if err := events.Publish(ctx, "orders", []byte("later")); err != nil {
		t.Fatal(err)
	}
	end = subscribe(t, events, "orders", c.handle, ottavo.Subscription{})
	c.want(t, "later")
	if err := end(); err != nil {
		t.Errorf("Subscribe: %v", err)
	}
}

// What a handler returns decides what becomes of an event.
func TestVerdicts(t *testing.T) {
	_, client := startReal(t, 0)
	ctx, events := timeout(t), client.PubSub("events")
	tries := 0
	c := newCollector(func(e *ottavo.Event) error {
		switch tries++; {
		case string(e.Data) == "bad":
			return errors.Join(ottavo.ErrDrop, errors.New("it makes no sense"))
		case tries < 3:
			return errors.New("not now")
		}
		return nil
	})
	dead := newCollector(nil)
	end := subscribe(t, events, "orders", c.handle, ottavo.Subscription{DeadLetterTopic: "dead"})
	endDead := subscribe(t, events, "dead", dead.handle, ottavo.Subscription{})
	for _, data := range []string{"good", "bad"} {
		if err := events.Publish(ctx, "orders", []byte(data)); err != nil {
			t.Fatal(err)
		}
		if data == "good" {
			first, second := c.want(t, "good"), c.want(t, "good")
			third := c.want(t, "good")
			if first.ID != second.ID || second.ID != third.ID {
				t.Errorf("the ids are %s, %s, %s, want the same", first.ID, second.ID, third.ID)
			}
		}
	}
	c.want(t, "bad")
	dead.want(t, "bad")
	for _, end := range []func() error{end, endDead} {
		if err := end(); err != nil {
			t.Error(err)
		}
	}
	select {
	case e := <-c.events:
		t.Errorf("%+v came once more", e)
	default:
	}
}

// A subscription stands again after its connection was lost; an event under way
// then comes again.
func TestSubscribeAgain(t *testing.T) {
	r, client := startReal(t, 0)
	direct, err := ottavo.Dial(r.Runtime.Addr(t, r.Config.Runtime.Listener))
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close() //nolint:errcheck // nothing hangs on it
	stands, lost := make(chan struct{}, 10), make(chan error, 10)
	c := newCollector(nil)
	end := subscribe(t, client.PubSub("events"), "orders", c.handle, ottavo.Subscription{
		Stands: func() { stands <- struct{}{} }, Lost: func(err error) { lost <- err },
	})
	<-stands
	r.Cut()
	if err := <-lost; status.Code(err) != codes.Unavailable {
		t.Errorf("%v, want Unavailable", err)
	}
	if err := direct.PubSub("events").Publish(timeout(t), "orders", []byte("meanwhile")); err != nil {
		t.Fatal(err)
	}
	r.Mend()
	<-stands
	c.want(t, "meanwhile")
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestSubscribeRefused(t *testing.T) {
	_, client := startReal(t, 0)
	err := client.PubSub("nowhere").Subscribe(timeout(t), "orders", newCollector(nil).handle)
	if status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("%v", err)
	}
	err = client.PubSub("nowhere").Publish(timeout(t), "orders", nil)
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
	if err := client.PubSub("events").Publish(timeout(t), "orders", nil, ottavo.Publication{TTL: -1}); err == nil {
		t.Error("an event that has expired before it was there")
	}
}

func TestPublishLater(t *testing.T) {
	_, client := startReal(t, 0)
	ctx, events := timeout(t), client.PubSub("events")
	c := newCollector(nil)
	end := subscribe(t, events, "orders", c.handle, ottavo.Subscription{})
	begin := time.Now()
	if _, err := events.PublishLater(ctx, "orders", []byte("late"), 600*time.Millisecond); err != nil { // rounded up to 1 s
		t.Fatal(err)
	}
	c.want(t, "late")
	if took := time.Since(begin); took < time.Second {
		t.Errorf("it came after %s", took)
	}
	if _, err := events.PublishLater(ctx, "orders", nil, -time.Second); err == nil {
		t.Error("a delay that is negative")
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// An application with a server of its own gets its events, and those that came
// while it was away; its end waits for handlers.
func TestCallbacks(t *testing.T) {
	address := testserver.Addr(t) // there is a second one later
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_, client := startReal(t, l.Addr().(*net.TCPAddr).Port)
	events := client.PubSub("events")
	var once sync.Once
	handling, finish := make(chan struct{}), make(chan struct{})
	c := newCollector(func(e *ottavo.Event) error {
		if string(e.Data) == "slow" {
			once.Do(func() { close(handling) })
			<-finish
		}
		return nil
	})
	serve := func(l net.Listener) (end func() error) {
		t.Helper()
		var callbacks ottavo.Callbacks
		if err := callbacks.On("events", "orders", c.handle); err != nil {
			t.Fatal(err)
		}
		if err := callbacks.On("events", "orders", c.handle); err == nil {
			t.Error("two handlers for one topic")
		}
		ctx, cancel := context.WithCancel(timeout(t))
		ended := make(chan error, 1)
		go func() { ended <- callbacks.Serve(ctx, l) }()
		return func() error {
			cancel()
			return <-ended
		}
	}
	publish := func(data string) {
		t.Helper()
		if err := events.Publish(timeout(t), "orders", []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	end := serve(l)
	ctx := timeout(t)
	for seen := false; !seen; { // until the runtime has the list
		publish("try")
		select {
		case <-c.events:
			seen = true
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("no event came")
		}
	}
	publish("slow")
	for string(waitEvent(t, c).Data) != "slow" {
	}
	<-handling
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	select {
	case err := <-ended:
		t.Errorf("Serve ended with %v while a handler ran", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(finish)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	publish("while it was away")
	again, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	end = serve(again)
	got := waitEvent(t, c)
	for string(got.Data) == "try" || string(got.Data) == "slow" { // what was not acknowledged comes again
		got = waitEvent(t, c)
	}
	if string(got.Data) != "while it was away" {
		t.Errorf("%+v", got)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func waitEvent(t *testing.T, c *collector) ottavo.Event {
	t.Helper()
	select {
	case e := <-c.events:
		return e
	case <-timeout(t).Done():
		t.Fatal("no event came")
		return ottavo.Event{}
	}
}

func TestCallbacksWithoutAPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing hangs on it
	var callbacks ottavo.Callbacks
	if err := callbacks.ListenAndServe(timeout(t), l.Addr().String()); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("%v, want the address in an error", err)
	}
}
