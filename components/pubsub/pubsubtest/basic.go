package pubsubtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func testDeliver(s *suite) {
	b := s.connect(s.group)
	in := newInbox()
	s.subscribe(b, s.topic, 0, in.take)
	bytes := "bytes \x00\xff\xfe\r\n"
	if s.opts.Texts {
		if err := b.Publish(s.Context(), &pubsub.Message{Topic: s.topic, Data: []byte(bytes)}); !errors.Is(err, pubsub.ErrInvalid) {
			s.Errorf("Publish of bytes that are no text: %v, want ErrInvalid", err)
		}
		bytes = "no bytes \r\n"
	}
	for _, data := range []string{"plain", `{"id":"1","data":{"a":1}}`, bytes, "ünïcödé"} {
		s.publish(b, s.topic, data)
	}
	got := s.distinct(in, 4)
	for _, m := range got {
		if m.Topic != s.topic {
			s.Errorf("%s arrived with the topic %q, want %q", short(string(m.Data)), m.Topic, s.topic)
		}
	}
	if _, count := in.snapshot(); count[bytes] == 0 {
		s.Errorf("bytes that are no text did not arrive as they were sent: %q", names(count))
	}
}

func testTopics(s *suite) {
	b := s.connect(s.group)
	one, two := newInbox(), newInbox()
	s.subscribe(b, s.topic+"one", 0, one.take)
	s.subscribe(b, s.topic+"two", 0, two.take)
	s.publish(b, s.topic+"two", "for two")
	s.publish(b, s.topic+"one", "for one")
	if m := s.distinct(one, 1); string(m[0].Data) != "for one" {
		s.Errorf("topic one got %q", m[0].Data)
	}
	if m := s.distinct(two, 1); string(m[0].Data) != "for two" {
		s.Errorf("topic two got %q", m[0].Data)
	}
}

func testInvalid(s *suite) {
	b := s.connect(s.group)
	if err := b.Publish(s.Context(), &pubsub.Message{Data: []byte("x")}); !errors.Is(err, pubsub.ErrInvalid) {
		s.Errorf("Publish without a topic: %v, want ErrInvalid", err)
	}
	if _, err := b.Subscribe(s.Context(), pubsub.Subscription{}, newInbox().take); !errors.Is(err, pubsub.ErrInvalid) {
		s.Errorf("Subscribe without a topic: %v, want ErrInvalid", err)
	}
	for _, ttl := range []string{"soon", "-3", "0", "1.5", "99999999999999999999"} {
		m := &pubsub.Message{Topic: s.topic, Data: []byte("x"), Metadata: map[string]string{pubsub.TTLKey: ttl}}
		if err := b.Publish(s.Context(), m); !errors.Is(err, pubsub.ErrInvalid) {
			s.Errorf("Publish with %s %q: %v, want ErrInvalid", pubsub.TTLKey, ttl, err)
		}
	}
}

func testCopies(s *suite) {
	b := s.connect(s.group)
	in := newInbox()
	s.subscribe(b, s.topic, 0, func(ctx context.Context, m *pubsub.Message) error {
		got := *m
		got.Data = bytes.Clone(m.Data)
		for i := range m.Data {
			m.Data[i] = '!'
		}
		if m.Metadata != nil {
			clear(m.Metadata)
		}
		return in.take(ctx, &got)
	})
	data := []byte("as it was")
	s.send(b, &pubsub.Message{Topic: s.topic, Data: data})
	copy(data, "CHANGED!!")
	if m := s.distinct(in, 1); string(m[0].Data) != "as it was" {
		s.Errorf("got %q: the broker kept the publisher's slice", m[0].Data)
	}
}

func testFanOut(s *suite) {
	const messages = 50
	one, two := s.connect(s.group+"1"), s.connect(s.group+"2")
	in := []*inbox{newInbox(), newInbox()}
	s.subscribe(one, s.topic, 0, in[0].take)
	s.subscribe(two, s.topic, 0, in[1].take)
	for i := range messages {
		s.publish(one, s.topic, fmt.Sprint("message ", i))
	}
	for i := range in {
		s.distinct(in[i], messages)
	}
}

func testCompeting(s *suite) {
	const messages = 100
	one, two := s.connect(s.group), s.connect(s.group)
	testserver.OnceOf(s, func(try int) error { // what is not acknowledged in time may come again
		in, topic := newInbox(), fmt.Sprint(s.topic, try)
		defer s.subscribe(one, topic, 0, in.take).stop()
		defer s.subscribe(two, topic, 0, in.take).stop()
		for i := range messages {
			s.publish(one, topic, fmt.Sprint("message ", i))
		}
		s.distinct(in, messages)
		s.nothing(in, messages, quiet)
		if all, _ := in.snapshot(); len(all) > messages+messages/5 {
			return fmt.Errorf("%d deliveries of %d messages: a group must not get everything once per member", len(all), messages)
		}
		return nil
	})
}

func testRedelivery(s *suite) {
	b := s.connect(s.group)
	testserver.OnceOf(s, func(try int) error { return s.redelivery(b, fmt.Sprint(s.topic, try)) })
}

// redelivery returns an error when a message came more often than it failed, as it may
// when it was not acknowledged in time.
func (s *suite) redelivery(b pubsub.Broker, topic string) error {
	s.Helper()
	const fails = 2
	var mu sync.Mutex
	tries := map[string]int{}
	in := newInbox()
	s.subscribe(b, topic, 0, func(ctx context.Context, m *pubsub.Message) error {
		mu.Lock()
		tries[string(m.Data)]++
		n := tries[string(m.Data)]
		mu.Unlock()
		if string(m.Data) == "hard" && n <= fails {
			return errAgain
		}
		return in.take(ctx, m)
	})
	for _, data := range []string{"hard", "easy"} {
		s.publish(b, topic, data)
	}
	limit := time.Now().Add(fails*s.opts.Redelivery + patience)
	for {
		if _, count := in.snapshot(); len(count) == 2 {
			break
		}
		if time.Now().After(limit) {
			mu.Lock()
			defer mu.Unlock()
			s.Fatalf("not everything was handled in the end; tries: %v", tries)
		}
		timer := time.NewTimer(20 * time.Millisecond)
		<-timer.C
	}
	mu.Lock()
	defer mu.Unlock()
	if tries["hard"] != fails+1 {
		return fmt.Errorf("a message that failed %d times was delivered %d times, want %d", fails, tries["hard"], fails+1)
	}
	return nil
}

func testOrdered(s *suite) {
	b := s.connect(s.group)
	s.need(b.Features().Ordered, "order")
	const messages = 200
	in := newInbox()
	s.subscribe(b, s.topic, 0, in.take)
	var want []string
	for i := range messages {
		want = append(want, fmt.Sprint("message ", i))
		s.publish(b, s.topic, want[i])
	}
	var got []string
	for _, m := range s.distinct(in, messages) {
		got = append(got, string(m.Data))
	}
	if !slices.Equal(got, want) {
		s.Errorf("the order of arrival is not the order of publishing: %q", got)
	}
}

func testTTL(s *suite) {
	b := s.connect(s.group)
	s.need(b.Features().TTL, "TTL")
	in := newInbox()
	s.subscribe(b, s.topic, 0, in.take).stop() // the group exists
	ttl := func(data, seconds string) {
		s.send(b, &pubsub.Message{Topic: s.topic, Data: []byte(data), Metadata: map[string]string{pubsub.TTLKey: seconds}})
	}
	ttl("stale", "1")
	ttl("fresh", "600")
	timer := time.NewTimer(2100 * time.Millisecond)
	defer timer.Stop()
	<-timer.C
	s.subscribe(b, s.topic, 0, in.take)
	if m := s.distinct(in, 1); string(m[0].Data) != "fresh" {
		s.Errorf("got %q, whose time had passed", m[0].Data)
	}
	s.nothing(in, 1, quiet)
}

func testBigMessage(s *suite) {
	b := s.connect(s.group)
	in := newInbox()
	s.subscribe(b, s.topic, 0, in.take)
	big := strings.Repeat("0123456789abcdef", s.opts.MaxMessage/16)
	s.publish(b, s.topic, big)
	s.publish(b, s.topic, "")
	s.publish(b, s.topic, "after")
	s.distinct(in, 3)
	if _, count := in.snapshot(); count[big] == 0 || count[""] == 0 {
		s.Errorf("a big and an empty message did not arrive whole: %q", names(count))
	}
}

func testConcurrency(s *suite) {
	const publishers, each = 8, 50
	brokers := []pubsub.Broker{s.connect(s.group + "a"), s.connect(s.group + "b")}
	in := []*inbox{newInbox(), newInbox()}
	for i, b := range brokers {
		s.subscribe(b, s.topic, 0, in[i].take)
	}
	errs := make(chan error, publishers)
	for p := range publishers {
		go func() {
			var err error
			for i := range each {
				err = errors.Join(err, brokers[p%2].Publish(s.Context(), &pubsub.Message{Topic: s.topic, Data: fmt.Appendf(nil, "%d of %d", i, p)}))
			}
			errs <- err
		}()
	}
	// Others come and go meanwhile.
	for range 3 {
		s.subscribe(brokers[0], s.topic+"else", 0, newInbox().take).stop()
	}
	for range publishers {
		if err := <-errs; err != nil {
			s.Fatal(err)
		}
	}
	for i := range in {
		s.distinct(in[i], publishers*each)
	}
}

func testCancelled(s *suite) {
	b := s.connect(s.group)
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if err := b.Publish(ctx, &pubsub.Message{Topic: s.topic, Data: []byte("x")}); !errors.Is(err, context.Canceled) {
		s.Errorf("Publish with a cancelled context: %v", err)
	}
	if _, err := b.Subscribe(ctx, pubsub.Subscription{Topic: s.topic}, newInbox().take); !errors.Is(err, context.Canceled) {
		s.Errorf("Subscribe with a cancelled context: %v", err)
	}
}
