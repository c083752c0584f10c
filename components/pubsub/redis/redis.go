package redis

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/go-redis/redis/v8"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/redisnode"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this broker in a configuration.
const Type = "redis"

// Metadata is the configuration, under the names that Dapr and Layotto use. A
// duration is a Go duration, or a bare number of milliseconds.
type Metadata struct {
	redisnode.Metadata
	// ConsumerID is the consumer group; by default the application's id, and
	// without one the component's name.
	ConsumerID string `json:"consumerID"`
	// Concurrency is how many messages of a subscription are handled at once.
	Concurrency int `json:"concurrency" default:"10" min:"1" max:"10000"`
	// QueueDepth is how many messages a subscription holds at most, being handled
	// or waiting for it.
	QueueDepth int `json:"queueDepth" default:"100" min:"1" max:"100000"`
	// ProcessingTimeout is how long a message of a process that has died waits
	// until another one takes it; 0: nobody does.
	ProcessingTimeout time.Duration `json:"processingTimeout" unit:"ms" default:"15s" min:"0s"`
	// RedeliverInterval is how often messages of the dead are looked for, 0: never,
	// and the longest pause before a message that failed comes again, 0: 15 s.
	RedeliverInterval time.Duration `json:"redeliverInterval" unit:"ms" default:"15s" min:"0s"`
	// MaxLenApprox is about how many entries a stream keeps; 0: all.
	MaxLenApprox int64 `json:"maxLenApprox" min:"0"`
	// StreamTTL is about how long a stream keeps an entry; 0: for ever. It needs
	// Redis 6.2 and excludes MaxLenApprox.
	StreamTTL time.Duration `json:"streamTTL" unit:"ms" min:"0s"`
}

// Defaults returns the settings of a component without any.
func Defaults() Metadata {
	var m Metadata
	decode.Defaults(&m)
	return m
}

// readerConnections is how many subscriptions there may be: each has a connection
// of its own that waits for messages.
const readerConnections = 10_000

// Broker is a broker. Use New. It implements pubsub.Broker, pubsub.Delayer and
// components.Checker.
type Broker struct {
	cfg   Metadata
	group string
	log   *slog.Logger
	// client is for everything that returns at once, reader for the rest.
	client, reader *redisnode.Client
	// published and subscribed know topics of which that was done.
	published, subscribed redisnode.Trial
	delayed               string        // key of the messages for later
	sooner                chan struct{} // there may be one earlier than the mover knows; capacity 1

	mu      sync.Mutex
	closed  bool
	gone    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup
}

// New connects to Redis. It fails, within the time limits or when ctx ends, if the
// server does not answer; the error names its address.
func New(ctx context.Context, env components.Env, cfg components.Config) (pubsub.Broker, error) {
	m := Defaults()
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	problem := func(key, message, remedy string) error {
		return decode.Problems{{Path: decode.Join(cfg.SettingsPath(), key), Message: message, Remedy: remedy}}
	}
	if m.Type == "cluster" {
		return nil, problem("redisType", "this broker does not work on a Redis cluster", "give one server, or sentinels (failover); ottavo-full has the type redis.cluster")
	}
	if m.MaxLenApprox > 0 && m.StreamTTL > 0 {
		return nil, problem("streamTTL", "excludes maxLenApprox: Redis trims a stream by one of them", "leave one out")
	}
	group := m.ConsumerID
	for _, other := range []string{env.AppID, cfg.Name} {
		if group == "" {
			group = other
		}
	}
	client, err := redisnode.Open(ctx, m.Metadata, cfg.SettingsPath())
	if err != nil {
		return nil, err
	}
	readers := m.Metadata
	readers.PoolSize = readerConnections
	reader, err := redisnode.Open(ctx, readers, cfg.SettingsPath())
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	b := &Broker{cfg: m, group: group, log: env.Log, client: client, reader: reader, delayed: "ottavo:delayed", sooner: make(chan struct{}, 1)}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.gone, b.end = context.WithCancel(context.WithoutCancel(ctx))
	b.running.Go(func() { b.moveDelayed(b.gone) })
	return b, nil
}

// Features implements pubsub.Broker.
func (b *Broker) Features() pubsub.Features {
	return pubsub.Features{Durable: true, Ordered: b.cfg.Concurrency == 1}
}

// badID is no id of a message: with it Redis refuses what it would have done.
const (
	badID   = "health-check"
	badIDIs = "Invalid stream ID"
)

// Check implements components.Checker: it fails where publishing would, at a server
// that has become a replica, has no room or does not save what it is told; and
// without the right to publish or to subscribe where that was done before.
func (b *Broker) Check(ctx context.Context) error {
	topic := b.published.Key()
	err := b.client.Do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error {
		return r.XAdd(ctx, &goredis.XAddArgs{Stream: cmp.Or(topic, b.delayed+":health"), ID: badID, Values: []any{"data", ""}}).Err()
	})
	if err = b.published.Verdict(err, topic, badIDIs); err != nil {
		return b.explain(err)
	}
	topic = b.subscribed.Key()
	if topic == "" {
		return nil
	}
	for _, command := range [][]any{
		{"xreadgroup", "group", b.group, b.group, "count", 1, "streams", topic, badID},
		{"xack", topic, b.group, badID},
	} {
		err := b.client.Do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error { return r.Do(ctx, command...).Err() })
		if err != nil && strings.Contains(err.Error(), "NOGROUP") {
			continue // as after a loss of data: the reader makes it again
		}
		if err = b.subscribed.Verdict(err, topic, badIDIs); err != nil {
			return b.explain(err)
		}
	}
	return nil
}

// Publish implements pubsub.Broker.
func (b *Broker) Publish(ctx context.Context, m *pubsub.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.Check(); err != nil {
		return err
	}
	values, err := fields(m)
	if err != nil {
		return err
	}
	args := &goredis.XAddArgs{Stream: m.Topic, Values: values}
	switch {
	case b.cfg.MaxLenApprox > 0:
		args.MaxLen, args.Approx = b.cfg.MaxLenApprox, true
	case b.cfg.StreamTTL > 0:
		args.MinID, args.Approx = strconv.FormatInt(time.Now().Add(-b.cfg.StreamTTL).UnixMilli(), 10), true
	}
	err = b.client.Do(ctx, false, func(ctx context.Context, r goredis.UniversalClient) error { return r.XAdd(ctx, args).Err() })
	if err == nil {
		b.published.Wrote(m.Topic)
	}
	return b.explain(err)
}

// fields returns a message as a stream's entry.
func fields(m *pubsub.Message) ([]any, error) {
	values := []any{"data", m.Data}
	metadata, err := metadataField(m)
	if err == nil && metadata != nil {
		values = append(values, "metadata", metadata)
	}
	return values, err
}

func metadataField(m *pubsub.Message) ([]byte, error) {
	if len(m.Metadata) == 0 {
		return nil, nil
	}
	out, err := json.Marshal(m.Metadata)
	if err != nil {
		return nil, fmt.Errorf("%w: metadata: %w", pubsub.ErrInvalid, err)
	}
	return out, nil
}

// message is the other direction; what cannot be read of the metadata is left out.
func message(topic string, values map[string]any) *pubsub.Message {
	m := &pubsub.Message{Topic: topic}
	if data, ok := values["data"].(string); ok {
		m.Data = []byte(data)
	}
	if text, ok := values["metadata"].(string); ok {
		_ = json.Unmarshal([]byte(text), &m.Metadata) // what it could read stays
	}
	return m
}

// explain makes the kind's error of a closed client.
func (b *Broker) explain(err error) error {
	if err != nil && b.gone.Err() != nil {
		return pubsub.ErrClosed
	}
	return err
}

// Subscribe implements pubsub.Broker.
func (b *Broker) Subscribe(ctx context.Context, s pubsub.Subscription, handle pubsub.Handler) (<-chan struct{}, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	if err := b.makeGroup(ctx, s.Topic); err != nil {
		return nil, b.explain(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, pubsub.ErrClosed
	}
	done := make(chan struct{})
	sub := newSubscription(b, s, handle)
	b.running.Go(func() {
		defer close(done)
		sub.run(ctx)
	})
	return done, nil
}

// makeGroup makes the group, and the stream, if they do not exist.
func (b *Broker) makeGroup(ctx context.Context, topic string) error {
	err := b.client.Do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error {
		return r.XGroupCreateMkStream(ctx, topic, b.group, "0").Err()
	})
	if reply, ok := errors.AsType[goredis.Error](err); ok && isBusyGroup(reply) {
		return nil
	}
	return err
}

// closeTimeout is how long Close waits for handlers, whose contexts have ended.
const closeTimeout = 5 * time.Second

// Close implements pubsub.Broker.
func (b *Broker) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.end()
	ended := make(chan struct{})
	go func() {
		b.running.Wait()
		close(ended)
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	var err error
	// Readers wait in the server; their connections end that.
	readers := b.reader.Close()
	select {
	case <-ended:
	case <-timer.C:
		err = fmt.Errorf("a handler did not end within %s after its context had", closeTimeout)
	}
	return errors.Join(err, readers, b.client.Close())
}

// addDelayed keeps a message until it is due; moveDue moves at most ARGV[1]
// messages that are due to their streams, and returns in how many milliseconds the
// next one is, or -1, or 0 when there are more. Both go by the server's clock.
var (
	addDelayed = goredis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', KEYS[2], 'topic', ARGV[2], 'data', ARGV[3], 'metadata', ARGV[4])
return redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), KEYS[2])`)
	moveDue = goredis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, key in ipairs(due) do
  local m = redis.call('HMGET', key, 'topic', 'data', 'metadata')
  if m[1] then
    local entry = {'XADD', m[1]}
    if tonumber(ARGV[2]) > 0 then entry[3], entry[4], entry[5] = 'MAXLEN', '~', ARGV[2] end
    entry[#entry + 1] = '*'
    entry[#entry + 1] = 'data'
    entry[#entry + 1] = m[2]
    if m[3] ~= '' then
      entry[#entry + 1] = 'metadata'
      entry[#entry + 1] = m[3]
    end
    local moved = redis.pcall(unpack(entry))
    if type(moved) == 'table' and moved.err and not string.find(moved.err, 'WRONGTYPE') then return redis.error_reply(moved.err) end
  end
  redis.call('DEL', key)
  redis.call('ZREM', KEYS[1], key)
end
if #due == tonumber(ARGV[1]) then return 0 end
local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if #next == 0 then return -1 end
return math.max(1, tonumber(next[2]) - now)`)
)

const (
	moveBatch = 100
	// moveInterval is how often messages for later are looked for that others
	// have published.
	moveInterval = 5 * time.Second
)

// PublishDelayed implements pubsub.Delayer.
func (b *Broker) PublishDelayed(ctx context.Context, m *pubsub.Message, delay time.Duration) (string, error) {
	if delay <= 0 {
		return "", b.Publish(ctx, m)
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := m.Check(); err != nil {
		return "", err
	}
	metadata, err := metadataField(m)
	if err != nil {
		return "", err
	}
	id := rand.Text()
	_, err = b.client.Script(ctx, true, addDelayed, []string{b.delayed, b.delayed + ":" + id}, delay.Milliseconds(), m.Topic, m.Data, metadata)
	if err != nil {
		return "", b.explain(err)
	}
	select {
	case b.sooner <- struct{}{}:
	default:
	}
	return id, nil
}

// moveDelayed moves messages to their streams when they are due, until ctx ends.
func (b *Broker) moveDelayed(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.sooner:
		case <-timer.C:
		}
		wait := moveInterval
		reply, err := b.client.Script(ctx, true, moveDue, []string{b.delayed}, moveBatch, b.cfg.MaxLenApprox)
		switch next, _ := reply.(int64); {
		case err != nil && ctx.Err() == nil:
			b.log.Warn("messages for later could not be looked at; it is tried again", "error", err, "pause", wait)
		case next >= 0:
			wait = min(wait, time.Duration(next)*time.Millisecond)
		}
		timer.Reset(wait)
	}
}
