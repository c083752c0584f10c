package builtin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	component "github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/pubsubtest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// realKafka is a broker of Kafka as a server whose faults are tried; its only
// component is configured as a user would.
func realKafka(s *testserver.KafkaServer) faultRow {
	return faultRow{
		server: "kafka",
		start:  func(*testing.T) (faultServer, string) { return s, s.Addr },
		components: []faultComponent{{
			kind: "pubsub", typ: "kafka", blind: true, cause: "refused",
			config: func(addr, password string) string {
				if password == "" {
					return fmt.Sprintf("metadata: {brokers: %q, authType: none, initialOffset: oldest}", addr)
				}
				return fmt.Sprintf("metadata: {brokers: %q, authType: password, saslUsername: %s, saslPassword: %q, disableTls: true, initialOffset: oldest}",
					addr, testserver.KafkaUser, password)
			},
		}},
		lock: func(*testing.T, string) (string, func(t *testing.T)) {
			return s.Guarded, func(t *testing.T) {
				t.Helper()
				s.Stop()
				s.Password = "another"
				s.Start()
			}
		},
		denied: []string{"uthentication failed"},
	}
}

// TestRealKafka puts pubsub of the type kafka to a real broker: to the suite, to what
// only Kafka has, and to faults. The embedded one is in TestPubSubKafka.
func TestRealKafka(t *testing.T) {
	matrix.Backend(t, "pubsub", "kafka")
	s := testserver.Kafka(t, rightPassword)
	row := realKafka(s)
	t.Run("Suite", func(t *testing.T) {
		pubsubtest.Run(t, pubsubtest.Options{
			MaxMessage: 900 << 10, // its limit is 1 MiB
			Redelivery: 10 * time.Second,
			Connect:    func(t *testing.T, group string) pubsub.Broker { return kafkaBroker(t, s.Addr, group) },
		})
	})
	t.Run("Keys", func(t *testing.T) { testKafkaKeys(t, s) })
	t.Run("Headers", func(t *testing.T) { testKafkaHeaders(t, s) })
	t.Run("TooLarge", func(t *testing.T) { testKafkaTooLarge(t, s) })
	t.Run("DeadLetters", func(t *testing.T) { testKafkaDeadLetters(t, row, s) })
	t.Run("AwayAtStart", func(t *testing.T) {
		c := row.components[0]
		refused(t, []failedStart{{c: c, cfg: runtimetest.Load(t, faultFile(nobody, "", c), builtin.Tables()), want: []string{nobody, c.cause}}})
	})
	t.Run("Later", row.later)
	t.Run("Killed", func(t *testing.T) {
		soak(t, s, fmt.Sprintf("{type: kafka, metadata: {brokers: %q, authType: none, initialOffset: oldest}}", s.Addr))
	})
	t.Run("WrongPassword", row.wrongPassword) // the last one: it changes the password
}

// kafkaBroker makes a broker of a group.
func kafkaBroker(t *testing.T, addr, group string) pubsub.Broker {
	t.Helper()
	table, err := component.NewTable("pubsub", builtin.Tables().Brokers...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b, err := table.New(ctx, component.Env{AppID: group}, component.Config{
		Name: "events", Type: "kafka", Path: "pub_subs.events",
		Metadata: map[string]any{"brokers": addr, "authType": "none", "initialOffset": "oldest"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A kafkaReader collects what one subscription gets.
type kafkaReader struct {
	mu  sync.Mutex
	got []*pubsub.Message
}

// read subscribes until the test ends, and closes the broker then.
func read(t *testing.T, b pubsub.Broker, topic string) *kafkaReader {
	t.Helper()
	r := &kafkaReader{}
	ctx, cancel := context.WithCancel(t.Context())
	done, err := b.Subscribe(ctx, pubsub.Subscription{Topic: topic}, func(_ context.Context, m *pubsub.Message) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, m)
		return nil
	})
	t.Cleanup(func() {
		cancel()
		if err == nil {
			<-done
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *kafkaReader) messages() []*pubsub.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// testKafkaKeys: two members of a group share the partitions of a topic, and what has
// the same key comes to one of them, in the order in which it was published.
func testKafkaKeys(t *testing.T, s *testserver.KafkaServer) {
	const keys, each = 12, 25
	s.CreateTopic("keys", 4)
	one, two := kafkaBroker(t, s.Addr, "keys"), kafkaBroker(t, s.Addr, "keys")
	readers := []*kafkaReader{read(t, one, "keys"), read(t, two, "keys")}
	send := func(key, data string) {
		t.Helper()
		err := one.Publish(t.Context(), &pubsub.Message{Topic: "keys", Data: []byte(data), Metadata: map[string]string{"partitionKey": key}})
		if err != nil {
			t.Fatal(err)
		}
	}
	// The partitions are shared when both get something.
	probe := 0
	eventually(t, 60*time.Second, "both members get messages", func(context.Context) error {
		for range 8 {
			probe++
			send(fmt.Sprint("probe", probe), "probe")
		}
		for i, r := range readers {
			if len(r.messages()) == 0 {
				return fmt.Errorf("member %d of the group has got nothing", i)
			}
		}
		return nil
	})
	for i := range each {
		for k := range keys {
			send(fmt.Sprint("key", k), fmt.Sprint(i))
		}
	}
	eventually(t, 30*time.Second, "everything arrives", func(context.Context) error {
		seen := map[string]bool{}
		for _, r := range readers {
			for _, m := range r.messages() {
				if key := m.Metadata["__key"]; string(m.Data) != "probe" {
					seen[key+"/"+string(m.Data)] = true
				}
			}
		}
		if len(seen) != keys*each {
			return fmt.Errorf("%d different messages, want %d", len(seen), keys*each)
		}
		return nil
	})
	members := map[string]map[int]bool{}
	for i, r := range readers {
		next := map[string]int{}
		for _, m := range r.messages() {
			key := m.Metadata["__key"]
			if string(m.Data) == "probe" {
				continue
			}
			if members[key] == nil {
				members[key] = map[int]bool{}
			}
			members[key][i] = true
			if want := fmt.Sprint(next[key]); string(m.Data) != want {
				t.Fatalf("member %d got %s of %s, want %s", i, m.Data, key, want)
			}
			next[key]++
		}
	}
	for key, who := range members {
		if len(who) != 1 {
			t.Errorf("%s came to %d members of the group", key, len(who))
		}
	}
}

// testKafkaHeaders: metadata are the headers of Kafka, and where a message lies is told.
func testKafkaHeaders(t *testing.T, s *testserver.KafkaServer) {
	b := kafkaBroker(t, s.Addr, "headers")
	r := read(t, b, "headers")
	sent := map[string]string{"partitionKey": "k", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "name": "ünïcödé", "none": ""}
	if err := b.Publish(t.Context(), &pubsub.Message{Topic: "headers", Data: []byte("x"), Metadata: sent}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the message arrives", func(context.Context) error {
		if len(r.messages()) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	m := r.messages()[0]
	for key, want := range sent {
		if got, ok := m.Metadata[key]; !ok || got != want {
			t.Errorf("header %s: %q, want %q", key, got, want)
		}
	}
	for key, want := range map[string]string{"__key": "k", "__topic": "headers", "__partition": "0", "__offset": "0"} {
		if m.Metadata[key] != want {
			t.Errorf("%s: %q, want %q", key, m.Metadata[key], want)
		}
	}
}

// testKafkaTooLarge: what is more than the broker or its client takes is an error that
// says so, soon, and disturbs nobody.
func testKafkaTooLarge(t *testing.T, s *testserver.KafkaServer) {
	b := kafkaBroker(t, s.Addr, "large")
	r := read(t, b, "large")
	begin := time.Now()
	err := b.Publish(t.Context(), &pubsub.Message{Topic: "large", Data: make([]byte, 2<<20)})
	if took := time.Since(begin); err == nil || !strings.Contains(err.Error(), "large") || took > 5*time.Second {
		t.Errorf("2 MiB, after %s: %v", took, err)
	}
	if err := b.Publish(t.Context(), &pubsub.Message{Topic: "large", Data: []byte("small")}); err != nil {
		t.Error(err)
	}
	eventually(t, 30*time.Second, "the small message arrives", func(context.Context) error {
		if all := r.messages(); len(all) != 1 || string(all[0].Data) != "small" {
			return fmt.Errorf("%d messages", len(all))
		}
		return nil
	})
}

// testKafkaDeadLetters: an event that the application drops goes to the topic for
// dead letters, through the API.
func testKafkaDeadLetters(t *testing.T, row faultRow, s *testserver.KafkaServer) {
	p := newPatient(t, faultFile(s.Addr, "", row.components...))
	dead := answerTopic(t, p.cc, "dead", "", runtimev1.TopicEventResponse_SUCCESS)
	live := answerTopic(t, p.cc, "wanted", "dead", runtimev1.TopicEventResponse_DROP)
	eventually(t, 20*time.Second, "publishing", func(ctx context.Context) error {
		_, err := runtimev1.NewRuntimeClient(p.cc).PublishEvent(ctx, &runtimev1.PublishEventRequest{PubsubName: "one", Topic: "wanted", Data: []byte("unwanted")})
		return err
	})
	for what, l := range map[string]*listener{"the event": live, "the dead letter": dead} {
		eventually(t, 30*time.Second, what+" arrives", func(context.Context) error { return l.missing([]string{"unwanted"}) })
	}
}

// answerTopic subscribes to a topic on a stream, and says the same to every event.
func answerTopic(t *testing.T, cc grpc.ClientConnInterface, topic, dead string, status runtimev1.TopicEventResponse_TopicEventResponseStatus) *listener {
	t.Helper()
	first := &runtimev1.SubscribeTopicEventsRequestInitial{PubsubName: "one", Topic: topic, DeadLetterTopic: &dead}
	return subscribeAnswering(t.Context(), t, cc, first, status)
}
