package later

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// The settings that it adds to a broker's.
const (
	storeKey    = "delayStore"
	pathKey     = "delayPath"
	messagesKey = "delayMaxMessages"
	bytesKey    = "delayMaxBytes"
)

// Metadata is what it adds to a broker's configuration.
type Metadata struct {
	// DelayStore says where messages for later wait: embedded is a file of this
	// process; without it the broker has no delays.
	DelayStore string `json:"delayStore" enum:"embedded|"`
	// DelayPath is the file; by default one in the data folder. It and its folder are
	// made when needed.
	DelayPath string `json:"delayPath"`
	// DelayMaxMessages and DelayMaxBytes are how many messages may wait, and how many
	// bytes; what is more is refused.
	DelayMaxMessages int64 `json:"delayMaxMessages" default:"1000000" min:"1"`
	DelayMaxBytes    int64 `json:"delayMaxBytes" default:"1073741824" min:"1"`
}

// Keys are the settings that it adds, for brokers whose settings have no struct.
func Keys() []decode.Key {
	return []decode.Key{
		{Name: storeKey},
		{Name: pathKey},
		{Name: messagesKey, Kind: decode.NumberValue},
		{Name: bytesKey, Kind: decode.NumberValue},
	}
}

const (
	// publishTime bounds one try to publish what is due.
	publishTime = 10 * time.Second
	// endTime is how long a publish may go on after Close: cut off, the broker may have
	// the message, and gets it again with the next start.
	endTime = 2 * time.Second
	// firstPause is the pause after a publish that failed, before others are tried;
	// for the message itself it doubles up to lastPause.
	firstPause = time.Second
	lastPause  = time.Minute
	// recheck is how often the clock is looked at that says what is due: it may have
	// been set meanwhile.
	recheck = time.Minute
	// batch is how many messages are read at a time.
	batch = 100
	// nearlyFull and roomAgain are parts of a limit, in per cent: at the one it is
	// warned that the file fills up, and below the other it may be warned again.
	nearlyFull = 80
	roomAgain  = 70
)

// Broker is a broker with delays. Use Over. It implements pubsub.Broker, pubsub.Delayer,
// components.Checker and components.Teller.
type Broker struct {
	pubsub.Broker

	file   *file
	log    *slog.Logger
	sooner chan struct{} // there is one earlier than the publisher knows; capacity 1
	gone   context.Context
	end    context.CancelFunc
	work   sync.WaitGroup
	warned atomic.Bool // that the file is nearly full
	// had are the keys of what the broker has and the file could not be rid of, so that
	// a full disk does not have them published over and over. For publish alone.
	had map[string]bool
}

// Over makes a constructor of brokers that have delays where the settings ask for them,
// and are as make has made them where not.
func Over(make components.Factory[pubsub.Broker]) components.Factory[pubsub.Broker] {
	return func(ctx context.Context, env components.Env, cfg components.Config) (pubsub.Broker, error) {
		m, rest, err := split(cfg)
		if err != nil {
			return nil, err
		}
		cfg.Metadata = rest
		if m.DelayStore == "" {
			return make(ctx, env, cfg)
		}
		path := m.DelayPath
		if path == "" {
			if env.DataDir == "" {
				return nil, problem(cfg, pathKey, "no file is given, and there is no data folder to put one into", "set delayPath, or the runtime's data folder")
			}
			path = filepath.Join(env.DataDir, "later", url.PathEscape(cfg.Name)+".db")
		}
		inner, err := make(ctx, env, cfg)
		if err != nil {
			return nil, err
		}
		if _, ok := inner.(pubsub.Delayer); ok {
			return nil, errors.Join(problem(cfg, storeKey, "the broker has delays of its own", "leave it out"), inner.Close())
		}
		f, err := open(path, fill{m.DelayMaxMessages, m.DelayMaxBytes})
		if err != nil {
			return nil, errors.Join(err, inner.Close())
		}
		b := &Broker{Broker: inner, file: f, log: env.Log, sooner: newSignal(), had: map[string]bool{}}
		if b.log == nil {
			b.log = slog.New(slog.DiscardHandler)
		}
		b.watch()
		b.gone, b.end = context.WithCancel(context.WithoutCancel(ctx))
		b.work.Go(func() { b.publish(b.gone) })
		return b, nil
	}
}

func newSignal() chan struct{} { return make(chan struct{}, 1) }

func problem(cfg components.Config, key, message, remedy string) error {
	return decode.Problems{{Path: decode.Join(cfg.SettingsPath(), key), Message: message, Remedy: remedy}}
}

// split takes our settings out of a broker's.
func split(cfg components.Config) (m Metadata, rest map[string]any, err error) {
	own := cfg
	own.Metadata, rest = map[string]any{}, maps.Clone(cfg.Metadata)
	var alone string // the one of our settings that says nothing without delayStore
	for _, key := range []string{pathKey, messagesKey, bytesKey, storeKey} {
		for written, value := range cfg.Metadata {
			if !strings.EqualFold(written, key) {
				continue
			}
			own.Metadata[written] = value
			delete(rest, written)
			if key != storeKey && value != nil && value != "" {
				alone = key
			}
		}
	}
	decode.Defaults(&m)
	if err := own.Decode(&m); err != nil {
		return m, nil, err
	}
	if alone != "" && m.DelayStore == "" {
		return m, nil, problem(cfg, alone, "is given without delayStore", "set delayStore to embedded, or leave it out")
	}
	return m, rest, nil
}

// PublishDelayed implements pubsub.Delayer: it returns when the message is on the disk.
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
	if b.gone.Err() != nil {
		return "", pubsub.ErrClosed
	}
	id, err := b.file.add(time.Now().Add(delay), entry{Topic: m.Topic, Data: m.Data, ContentType: m.ContentType, Metadata: m.Metadata})
	if err != nil {
		if b.gone.Err() != nil {
			return "", pubsub.ErrClosed
		}
		return "", err
	}
	b.watch()
	select {
	case b.sooner <- struct{}{}:
	default:
	}
	return id, nil
}

// publish publishes messages when they are due, until ctx ends.
func (b *Broker) publish(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var rest time.Time // until when nothing is tried, after a failure
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.sooner:
		case <-timer.C:
		}
		wait := time.Until(rest)
		if wait <= 0 {
			next, err := b.publishDue(ctx)
			wait = min(time.Until(next), recheck)
			if err != nil && ctx.Err() == nil {
				b.log.Warn("a message for later could not be published; it is tried again", "error", err)
				rest, wait = time.Now().Add(firstPause), firstPause
			}
		}
		timer.Reset(max(wait, 0))
	}
}

// publishDue publishes what is due, in its order, and returns when the next message is.
// It ends with the first that fails.
func (b *Broker) publishDue(ctx context.Context) (next time.Time, err error) {
	for {
		due, next, err := b.file.due(time.Now(), batch)
		if err != nil || len(due) == 0 {
			return next, err
		}
		var done [][]byte
		for _, d := range due {
			if b.had[string(d.key)] {
				done = append(done, d.key)
				continue
			}
			if err = ctx.Err(); err != nil {
				break
			}
			if err = b.publishOne(ctx, d.entry); errors.Is(err, pubsub.ErrInvalid) {
				b.log.Error("the broker refuses a message for later; it is dropped", "topic", d.Topic, "error", err)
				err = nil
			}
			if err != nil {
				// Not by this message alone: it may be the broker's way to refuse it.
				pause := min(firstPause<<min(d.Failures, 10), lastPause)
				d.Failures++
				if ctx.Err() == nil {
					err = errors.Join(err, b.file.move(d, time.Now().Add(pause)))
				}
				break
			}
			done = append(done, d.key)
		}
		if err = errors.Join(err, b.forget(done)); err != nil {
			return next, err
		}
	}
}

// forget removes messages that the broker has from the file.
func (b *Broker) forget(keys [][]byte) error {
	err := b.file.remove(keys)
	for _, key := range keys {
		if err != nil {
			b.had[string(key)] = true
		} else {
			delete(b.had, string(key))
		}
	}
	b.watch()
	return err
}

// watch warns, once, when the file is nearly full.
func (b *Broker) watch() {
	now, most := *b.file.now.Load(), b.file.most
	over := func(percent float64) bool {
		return float64(now.messages) >= percent/100*float64(most.messages) || float64(now.bytes) >= percent/100*float64(most.bytes)
	}
	switch {
	case !over(roomAgain):
		b.warned.Store(false)
	case over(nearlyFull) && b.warned.CompareAndSwap(false, true):
		b.log.Warn("the file of messages for later is nearly full; when it is, they are refused: publish fewer, or raise the limits",
			"messages", now.messages, messagesKey, most.messages, "bytes", now.bytes, bytesKey, most.bytes)
	}
}

// Tell implements components.Teller: how full the file is.
func (b *Broker) Tell() map[string]any {
	now := *b.file.now.Load()
	told := map[string]any{
		"delayed_messages": now.messages, messagesKey: b.file.most.messages,
		"delayed_bytes": now.bytes, bytesKey: b.file.most.bytes,
	}
	if inner, ok := b.Broker.(components.Teller); ok {
		maps.Copy(told, inner.Tell())
	}
	return told
}

func (b *Broker) publishOne(ctx context.Context, e entry) error {
	gone := ctx
	ctx, cancel := context.WithTimeout(context.WithoutCancel(gone), publishTime)
	defer cancel()
	defer context.AfterFunc(gone, func() { time.AfterFunc(endTime, cancel) })()
	if err := b.Publish(ctx, &pubsub.Message{Topic: e.Topic, Data: e.Data, ContentType: e.ContentType, Metadata: e.Metadata}); err != nil {
		return fmt.Errorf("topic %q: %w", e.Topic, err)
	}
	return nil
}

// Check implements components.Checker: the broker is well, and the file is there.
func (b *Broker) Check(ctx context.Context) error {
	if c, ok := b.Broker.(components.Checker); ok {
		if err := c.Check(ctx); err != nil {
			return err
		}
	}
	return b.file.check()
}

// Close implements pubsub.Broker. Messages that are not due yet stay in the file; one
// that is being published has endTime to get through.
func (b *Broker) Close() error {
	b.end()
	b.work.Wait()
	return errors.Join(b.Broker.Close(), b.file.close())
}
