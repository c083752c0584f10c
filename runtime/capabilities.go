package runtime

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/secret"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// capabilities makes all components and the capabilities over them, in an order
// in which each finds what it refers to: secrets first. RPC comes later, as it
// needs the proxy core.
func (r *Runtime) capabilities(ctx context.Context) (layotto.Config, error) {
	var api layotto.Config
	rc := r.opts.Config.Runtime
	if rc == nil {
		return api, nil
	}
	b, t := &builder{r: r, rc: rc}, r.opts.Tables
	r.secrets = make(map[string]secret.Store)
	makeInto(ctx, b, r.secrets, config.SecretStores, "secret", t.Secrets)
	api.Secret = capability.NewSecret(r.secrets)
	r.configurations = make(map[string]configuration.Store)
	makeInto(ctx, b, r.configurations, config.ConfigStores, "configuration", t.Configurations)
	api.Configuration = capability.NewConfiguration(rc.AppID, r.configurations)
	r.background = append(r.background, api.Configuration.Run)
	r.customs(ctx, b)
	api.Hello = capability.NewHello(makeAll(ctx, b, config.Hellos, "hello", t.Hellos))
	api.State = b.state(ctx, t)
	api.Binding = capability.NewBinding(makeAll(ctx, b, config.Bindings, "binding", t.Bindings))
	api.PubSub = b.pubSub(ctx, t)
	api.File = capability.NewFile(makeAll(ctx, b, config.Files, "file", t.Files))
	api.Objects = capability.NewObjects(makeAll(ctx, b, config.ObjectStores, "objectstore", t.ObjectStores))
	api.Lock = b.lock(ctx, t)
	api.Sequencer = b.sequencer(ctx, t)
	api.Cryption = capability.NewCryption(makeAll(ctx, b, config.Ciphers, "cryption", t.Ciphers))
	api.Email = capability.NewEmail(makeAll(ctx, b, config.EmailSenders, "email", t.EmailSenders))
	api.Phone = capability.NewPhone(makeAll(ctx, b, config.PhoneCallers, "phone", t.PhoneCallers))
	api.SMS = capability.NewSMS(makeAll(ctx, b, config.SMSSenders, "sms", t.SMSSenders))
	api.Lifecycle = capability.NewLifecycle(r.dynamic())
	return api, b.err()
}

func (b *builder) state(ctx context.Context, t Tables) *capability.State {
	prefixes := b.keyPrefixes(config.States, capability.PrefixNone)
	stores := make(map[string]capability.StateStore)
	for name, s := range makeAll(ctx, b, config.States, "state", t.States) {
		stores[name] = capability.StateStore{Store: s, Type: b.typeOf(config.States, name), Prefix: prefixes[name]}
	}
	return capability.NewState(stores)
}

// pubSub makes the brokers, and the connection to the application if it has one.
// Its subscriptions run from Run to the beginning of the stop.
func (b *builder) pubSub(ctx context.Context, t Tables) *capability.PubSub {
	opts := capability.PubSubOptions{
		Brokers: makeAll(ctx, b, config.PubSubs, "pubsub", t.Brokers), Log: b.r.log,
		Grace: max(b.rc.GracefulStopTimeout, time.Millisecond),
	}
	if app := b.rc.App; app.GRPCCallbackPort != 0 && len(opts.Brokers) > 0 {
		host := app.GRPCCallbackHost
		if host == "" {
			host = "127.0.0.1"
		}
		callback, err := layotto.NewApp(net.JoinHostPort(host, strconv.Itoa(app.GRPCCallbackPort)))
		if err != nil {
			b.errs = append(b.errs, err)
			return nil
		}
		b.r.app, opts.App = callback, callback
	}
	p := capability.NewPubSub(opts)
	b.r.background = append(b.r.background, p.Run)
	return p
}

func (b *builder) lock(ctx context.Context, t Tables) *capability.Lock {
	prefixes := b.keyPrefixes(config.Locks, capability.PrefixAppID)
	stores := make(map[string]capability.LockStore)
	for name, l := range makeAll(ctx, b, config.Locks, "lock", t.Locks) {
		stores[name] = capability.LockStore{Locker: l, Prefix: prefixes[name]}
	}
	return capability.NewLock(stores)
}

func (b *builder) sequencer(ctx context.Context, t Tables) *capability.Sequencer {
	prefixes := b.keyPrefixes(config.Sequencers, capability.PrefixAppID)
	stores := make(map[string]capability.SequencerStore)
	for name, s := range makeAll(ctx, b, config.Sequencers, "sequencer", t.Sequencers) {
		stores[name] = capability.SequencerStore{Sequencer: s, Prefix: prefixes[name]}
	}
	for _, c := range b.rc.Components[config.Sequencers] {
		if s, made := stores[c.Name]; made {
			s.BiggerThan, _ = c.Rest["biggerThan"].(map[string]int64)
			s.Segments = b.segments(c)
			stores[c.Name] = s
		}
	}
	capable := capability.NewSequencer(stores)
	if err := capable.Raise(ctx); err != nil {
		b.errs = append(b.errs, err)
	}
	return capable
}

// segments reads the settings of a sequencer that are ours, not the backend's;
// unknown ones are the backend's.
func (b *builder) segments(c config.Component) capability.Segments {
	var common sequencer.Common
	decode.Defaults(&common)
	if _, err := decode.Into(&common, c.Metadata, decode.Join(c.Path, c.Section)); err != nil {
		b.errs = append(b.errs, err)
	}
	return capability.Segments{Off: !common.SegmentCacheEnable, Size: common.SegmentStep}
}

// customs makes the components of a user's own kinds.
func (r *Runtime) customs(ctx context.Context, b *builder) {
	for section := range b.rc.Components {
		kind, ok := strings.CutPrefix(section, config.CustomComponents+".")
		if !ok {
			continue
		}
		rows, known := b.r.opts.Tables.customRows(kind, b.rc.Components[section])
		if !known {
			// As in Layotto, which passes over a kind that nobody has brought.
			r.log.Warn("no component of this kind is made: the program brings none", "kind", kind, "path", b.rc.Path+"."+section)
			continue
		}
		makeAll(ctx, b, section, kind, rows)
	}
}

// dynamic returns the components that take a new configuration while they run.
func (r *Runtime) dynamic() map[capability.ComponentID]components.Reconfigurer {
	found := make(map[capability.ComponentID]components.Reconfigurer)
	for _, p := range r.parts {
		if c, ok := p.value.(components.Reconfigurer); ok {
			found[capability.ComponentID{Kind: p.section, Name: p.name}] = c
		}
	}
	return found
}
