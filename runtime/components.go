package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/runtime/actuator"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// makeTimeout is how long a component may take to be ready: a server that hangs
// must not keep the start waiting for ever.
const makeTimeout = 30 * time.Second

// builder makes the components of a configuration and collects what failed, so
// that all mistakes are told at once.
type builder struct {
	r    *Runtime
	rc   *config.Runtime
	errs []error
}

// makeAll makes the components of a section, by their names.
func makeAll[T any](ctx context.Context, b *builder, section, name string, rows []components.Row[T]) map[string]T {
	made := make(map[string]T)
	makeInto(ctx, b, made, section, name, rows)
	return made
}

// makeInto does that, and each can have those before it from made.
func makeInto[T any](ctx context.Context, b *builder, made map[string]T, section, name string, rows []components.Row[T]) {
	table, err := components.NewTable(name, rows...)
	if err != nil {
		b.errs = append(b.errs, err)
		return
	}
	for _, c := range b.rc.InOrder(section) {
		value, err := makeOne(ctx, b, table, kind(b.r.opts.Tables, section, rows), c)
		if err != nil {
			b.errs = append(b.errs, err)
			continue
		}
		made[c.Name] = value
	}
}

// makeOne makes a component, keeps it, and notes its health.
func makeOne[T any](ctx context.Context, b *builder, table *components.Table[T], kind config.Kind, c config.Component) (T, error) {
	var none T
	limited, cancel := context.WithTimeout(ctx, makeTimeout)
	defer cancel()
	c, secrets, err := b.r.inject(limited, kind, c)
	if err != nil {
		return none, err
	}
	env, cfg := b.r.surroundings(table.Kind(), c)
	value, err := table.New(limited, env, cfg)
	if err != nil {
		if limited.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("not ready within %s: %w", makeTimeout, err)
		}
		return none, secrets.in(err)
	}
	b.r.keep(part{section: kind.Section, kind: table.Kind(), name: c.Name, typ: c.Type, value: value, secrets: secrets})
	return value, nil
}

// inject returns the component with its secrets filled into its settings, and what
// nobody may see of these.
func (r *Runtime) inject(ctx context.Context, kind config.Kind, c config.Component) (config.Component, hidden, error) {
	var values hidden
	for i, ref := range c.SecretRefs {
		at := decode.At(decode.Join(c.Path, "secret_ref"), i)
		name, value, err := r.secret(ctx, ref)
		if err != nil {
			return c, nil, decode.Problems{{Path: at, Message: err.Error(), Remedy: "check store_name, key and sub_key, or write the setting into metadata, as ${VARIABLE}"}}
		}
		if value == "" {
			// As of a variable that is not set: local.env cannot tell, and Layotto goes on.
			problem := decode.Problem{Path: at, Message: fmt.Sprintf("secret %q of the store %q is empty, and so is the setting that it becomes", ref.Key, ref.StoreName), Remedy: "set it, or remove the reference"}
			r.log.Warn("a mistake in the configuration", "problem", problem.String())
		}
		if c.Metadata, err = c.Inject(i, name, value); err != nil {
			return c, nil, decode.Problems{{Path: decode.Join(at, "inject_as"), Message: fmt.Sprintf("%q leads nowhere: %v", ref.InjectAs, err)}}
		}
		if ref.Place == nil {
			// The loader did not know what it would be called.
			for _, p := range kind.Unknown(c.Type, name, decode.Join(c.Path, c.Section)) {
				r.log.Warn("a mistake in the configuration", "problem", decode.Problem{Path: at, Message: p.Path + ": " + p.Message, Remedy: p.Remedy}.String())
			}
		}
		values = values.with(value)
	}
	return c, append(values, secretsIn(c.Metadata)...), nil
}

// secret returns the value that ref stands for, and its name in the store.
func (r *Runtime) secret(ctx context.Context, ref config.SecretRef) (name, value string, err error) {
	store, ok := r.secrets[ref.StoreName]
	if !ok {
		return "", "", fmt.Errorf("the secret store %q could not be made", ref.StoreName)
	}
	found, err := store.Get(ctx, ref.Key, nil)
	if err != nil {
		return "", "", fmt.Errorf("secret %q of the store %q: %w", ref.Key, ref.StoreName, err)
	}
	sub := ref.SubKey
	if sub == "" {
		sub = ref.Key
		if len(found) == 1 {
			for only := range found {
				sub = only
			}
		}
	}
	value, ok = found[sub]
	if !ok {
		return "", "", fmt.Errorf("secret %q of the store %q has no value %q; it has: %s", ref.Key, ref.StoreName, sub, strings.Join(slices.Sorted(maps.Keys(found)), ", "))
	}
	return sub, value, nil
}

// keyPrefixKey is the setting that says how keys are prefixed.
const keyPrefixKey = "keyPrefix"

// keyPrefix reads that setting; without it, fallback counts.
func (b *builder) keyPrefix(c config.Component, fallback string) capability.KeyPrefix {
	value := ""
	for k, v := range c.Metadata {
		if strings.EqualFold(k, keyPrefixKey) {
			value = fmt.Sprint(v)
		}
	}
	p, err := capability.ParseKeyPrefix(value, fallback, b.rc.AppID, c.Name)
	if err != nil {
		b.errs = append(b.errs, decode.Problems{{Path: c.Path + "." + c.Section + "." + keyPrefixKey, Message: err.Error()}})
	}
	return p
}

// keyPrefixes reads it for all components of a section, which are checked before
// any is made: the prefix is ours, not the backend's, and a wrong one opens nothing.
func (b *builder) keyPrefixes(section, fallback string) map[string]capability.KeyPrefix {
	prefixes := make(map[string]capability.KeyPrefix)
	for _, c := range b.rc.Components[section] {
		prefixes[c.Name] = b.keyPrefix(c, fallback)
	}
	return prefixes
}

// typeOf returns the type that a component was configured with.
func (b *builder) typeOf(section, name string) string {
	for _, c := range b.rc.Components[section] {
		if c.Name == name {
			return c.Type
		}
	}
	return ""
}

func (r *Runtime) keep(p part) {
	r.parts = append(r.parts, p)
	r.health.Set(p.key(), actuator.Indicator{Status: actuator.Up})
}

func (r *Runtime) surroundings(kind string, c config.Component) (components.Env, components.Config) {
	rc := r.opts.Config.Runtime
	log := r.log.With("kind", kind, "component", c.Name, "type", c.Type)
	env := components.Env{AppID: rc.AppID, DataDir: rc.DataDir, Log: log}
	if s, ok := r.secrets[c.ComponentRef.SecretStore]; ok {
		env.Secrets = s
	}
	if s, ok := r.configurations[c.ComponentRef.ConfigStore]; ok {
		env.Configuration = s
	}
	refs := components.Refs{SecretStore: c.ComponentRef.SecretStore, ConfigStore: c.ComponentRef.ConfigStore}
	for _, ref := range c.SecretRefs {
		refs.Secrets = append(refs.Secrets, components.SecretRef{StoreName: ref.StoreName, Key: ref.Key, SubKey: ref.SubKey, InjectAs: ref.InjectAs})
	}
	return env, components.Config{
		Name: c.Name, Type: c.Type, Path: c.Path, Section: c.Section, Metadata: c.Metadata, Rest: c.Rest, Refs: refs,
		Warn: func(p decode.Problem) { log.Warn("a mistake in the configuration", "problem", p.String()) }, Checked: true,
	}
}

// err returns everything that failed, or nil.
func (b *builder) err() error { return errors.Join(b.errs...) }
