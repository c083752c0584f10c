package runtime

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/router"
	"github.com/ottavo-runtime/ottavo/runtime/actuator"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// ConfigOptions returns what the loader has to know of the tables to check a
// file against them, and to make its schema. What is wrong with the tables
// themselves is said by New.
func (t Tables) ConfigOptions() config.Options {
	protocols, _ := protocol.NewTable(t.Protocols...)
	var balancers *lb.Table
	if len(t.Balancers) > 0 {
		balancers, _ = lb.NewTable(t.Balancers...)
	}
	// The actuator's own filter is made by New; this one answers nothing.
	filters, _ := filter.NewTable(append([]filter.Spec{new(actuator.Actuator).Spec()}, t.Filters...)...)
	known := proxy.Known(protocols, balancers, filters, nil)
	if choosers, err := router.NewChoosers(t.Choosers...); err == nil {
		known.Choosers = choosers.Names()
	}
	known.NetworkFilters = append(known.NetworkFilters, config.GRPCFilterType)
	customs := func(kind string, list []config.Component) bool { _, brings := t.customRows(kind, list); return brings }
	return config.Options{Known: known, Customs: customs, Kinds: []config.Kind{
		kind(t, config.SecretStores, t.Secrets), kind(t, config.ConfigStores, t.Configurations), kind(t, config.Hellos, t.Hellos),
		kind(t, config.States, t.States), t.invokerKind(), kind(t, config.Bindings, t.Bindings), kind(t, config.PubSubs, t.Brokers),
		kind(t, config.Files, t.Files), kind(t, config.ObjectStores, t.ObjectStores), kind(t, config.Locks, t.Locks),
		kind(t, config.Sequencers, t.Sequencers), kind(t, config.Ciphers, t.Ciphers), kind(t, config.EmailSenders, t.EmailSenders),
		kind(t, config.PhoneCallers, t.PhoneCallers), kind(t, config.SMSSenders, t.SMSSenders),
	}}
}

// invokerKind is what there is to know of invokers.
func (t Tables) invokerKind() config.Kind {
	kind := config.Kind{Section: config.RPCs}
	for _, i := range t.Invokers {
		row := config.Type{Name: i.Type, Doc: i.Doc, Metadata: i.Metadata}
		if i.Check != nil {
			row.Check = func(c config.Component, warn func(decode.Problem)) error {
				if len(c.SecretRefs) > 0 {
					return nil // settings are missing that New will have, and check
				}
				return i.Check(components.Config{Name: c.Name, Type: c.Type, Path: c.Path, Section: c.Section, Metadata: c.Metadata, Rest: c.Rest, Warn: warn, Checked: true})
			}
		}
		kind.Types = append(kind.Types, row)
	}
	return kind
}

func kind[T any](t Tables, section string, rows []components.Row[T]) config.Kind {
	k := config.Kind{Section: section, Keys: commonKeys(section), Elsewhere: t.pluggables.elsewhere}
	for _, r := range rows {
		k.Types = append(k.Types, config.Type{Name: r.Type, Doc: r.Doc, Metadata: r.Metadata, Keys: r.Keys, Stores: r.Stores, Beside: r.Beside, Check: t.pluggables.check(section, r.Type)})
	}
	return k
}

// commonKeys are the settings that are the runtime's, not the backend's: those that it
// reads itself, and those that Dapr's runtime reads and this one has nothing for yet.
func commonKeys(section string) []decode.Key {
	prefix := decode.Key{Name: keyPrefixKey}
	switch section {
	case config.Locks, config.Sequencers:
		return []decode.Key{prefix}
	case config.States:
		const outbox, encryption = "a transaction publishes no events", "values are stored as they are, not encrypted"
		return []decode.Key{
			prefix,
			{Name: "actorStateStore", Kind: decode.BooleanValue, Unbuilt: "there are no actors"},
			{Name: "outboxPublishPubsub", Unbuilt: outbox},
			{Name: "outboxPublishTopic", Unbuilt: outbox},
			{Name: "outboxPubsub", Unbuilt: outbox},
			{Name: "outboxDiscardWhenMissingState", Kind: decode.BooleanValue, Unbuilt: outbox},
			{Name: "primaryEncryptionKey", Unbuilt: encryption},
			{Name: "secondaryEncryptionKey", Unbuilt: encryption},
		}
	case config.Bindings:
		return []decode.Key{{Name: "route", Unbuilt: "events of a binding come to the application under the binding's name"}}
	case config.PubSubs:
		const scopes = "every topic may be published to and subscribed to"
		return []decode.Key{
			{Name: "publishingScopes", Unbuilt: scopes},
			{Name: "subscriptionScopes", Unbuilt: scopes},
			{Name: "allowedTopics", Unbuilt: scopes},
			{Name: "protectedTopics", Unbuilt: scopes},
		}
	}
	return nil
}
