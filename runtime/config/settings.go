package config

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// known finds what is wrong with a component's settings at path, as far as its type
// and its kind say what they may be. Warnings are keys without effect.
func known(kind Kind, t Type, settings map[string]any, path string) (warnings decode.Problems, err error) {
	target := copyOf(t.Metadata)
	switch {
	case target != nil:
		own, common := split(kind.Keys, reflect.TypeOf(target).Elem(), settings)
		warnings, err = decode.Into(target, own, path)
		return append(warnings, decode.UnknownKeys(common, kind.Keys, path)...), err
	case t.Keys != nil:
		return decode.UnknownKeys(settings, slices.Concat(t.Keys(), kind.Keys), path), nil
	}
	return nil, nil
}

// idle warns of what stands beside the settings and is nothing to the type. Of a type
// that says nothing of itself, nobody knows.
func (b *builder) idle(section string, t Type, c *Component) {
	if t.Metadata == nil && t.Keys == nil {
		return
	}
	if c.ComponentRef != (ComponentRef{}) && !t.Stores {
		b.warn(decode.Join(c.Path, "component_ref"), "remove it", "has no effect: the type %q asks for no other store", t.Name)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Rest)) {
		if section == ConfigStores && !slices.Contains(t.Beside, key) {
			b.warn(decode.Join(c.Path, key), "remove it", "has no effect with the type %q", t.Name)
		}
	}
}

// Unknown returns what there is to say of a setting with this key in a component of
// the kind: that the type does not know it. path is where the settings stand.
func (k Kind) Unknown(typ, key, path string) decode.Problems {
	i := slices.IndexFunc(k.Types, func(t Type) bool { return t.Name == typ })
	if i < 0 {
		return nil
	}
	warnings, _ := known(k, k.Types[i], map[string]any{key: ""}, path)
	return warnings
}

// split takes those settings apart that every component of the kind may have, and
// that the type's struct has no field for.
func split(keys []decode.Key, t reflect.Type, settings map[string]any) (own, common map[string]any) {
	own, common = make(map[string]any, len(settings)), make(map[string]any)
	fields := decode.Fields(t)
	for key, value := range settings {
		same := func(name string) bool { return strings.EqualFold(name, key) }
		if !slices.ContainsFunc(fields, func(f decode.Field) bool { return same(f.Key) }) &&
			slices.ContainsFunc(keys, func(k decode.Key) bool { return slices.ContainsFunc(k.Names(), same) }) {
			common[key] = value
		} else {
			own[key] = value
		}
	}
	return own, common
}

// places finds out where the component's references put their secrets, and what is
// wrong with that. t is nil when the type is not known.
func (b *builder) places(kind Kind, t *Type, c *Component) {
	refs := slices.Clone(c.SecretRefs)
	for i := range refs {
		r := &refs[i]
		key := "inject_as"
		if r.InjectAs == "" {
			key = "sub_key"
		}
		at := decode.Join(decode.At(decode.Join(c.Path, "secret_ref"), i), key)
		var err error
		if r.Place, err = placeOf(*c, t, *r); err != nil {
			b.fail(at, placeRemedy, "%q: %v", r.InjectAs, err)
			continue
		}
		if r.Place == nil || t == nil {
			continue // it is the name of what the store has
		}
		with, err := decode.Put(c.Metadata, r.Place, "")
		if err != nil {
			b.fail(at, placeRemedy, "%q leads nowhere: %v", r.InjectAs, err)
			continue
		}
		// Which value comes there is not known yet, only whether the type knows the place.
		path := decode.Join(c.Path, c.Section)
		before, _ := known(kind, *t, c.Metadata, path)
		after, _ := known(kind, *t, with, path)
		for _, w := range after {
			if !slices.ContainsFunc(before, func(p decode.Problem) bool { return p.Path == w.Path }) {
				b.warn(at, w.Remedy, "%s: %s", w.Path, w.Message)
			}
		}
	}
	c.SecretRefs = refs
}

// placeRemedy says how a place is written.
const placeRemedy = `write a key of the settings, or a path to one: "basic_config.accessKeySecret", "clients[0].accessKeySecret"`

// placeOf is where a reference puts its secret: below a path, when inject_as is one
// that begins with a section or a list of the settings, else at a key of that name,
// whatever is in it. nil: at the name of what the store has.
func placeOf(c Component, t *Type, r SecretRef) ([]decode.Step, error) {
	name := cmp.Or(r.InjectAs, r.SubKey)
	if _, there := c.Metadata[name]; there || r.InjectAs == "" || !strings.ContainsAny(name, ".[") {
		if name == "" {
			return nil, nil
		}
		return []decode.Step{{Key: name}}, nil
	}
	steps, err := decode.ParsePath(name)
	switch {
	case err == nil && c.listed && steps[0].Key == "":
		return append([]decode.Step{{Key: ClientsKey}}, steps...), nil
	case err == nil && (strings.Contains(name, "[") || deep(c, t, steps[0].Key)):
		return steps, nil
	case err != nil && strings.Contains(name, "["):
		return nil, err
	}
	return []decode.Step{{Key: name}}, nil
}

// deep tells whether a setting is a section or a list: as it is, or by its type.
func deep(c Component, t *Type, key string) bool {
	for have, value := range c.Metadata {
		if strings.EqualFold(have, key) {
			switch value.(type) {
			case map[string]any, []any:
				return true
			}
		}
	}
	if t == nil || copyOf(t.Metadata) == nil {
		return false
	}
	return slices.ContainsFunc(decode.Fields(reflect.TypeOf(t.Metadata).Elem()), func(f decode.Field) bool {
		kind := f.Type.Kind()
		return strings.EqualFold(f.Key, key) && (kind == reflect.Struct || kind == reflect.Map || kind == reflect.Slice || kind == reflect.Pointer)
	})
}

// Inject returns the component's settings with a secret at the place that its
// reference number i names; name is the secret's own, for a reference that names
// none. The settings that c has stay as they are. The error holds no value.
func (c Component) Inject(i int, name string, value any) (map[string]any, error) {
	place := c.SecretRefs[i].Place
	if place == nil {
		place = []decode.Step{{Key: name}}
	}
	return decode.Put(c.Metadata, place, value)
}

// copyOf returns a pointer to a copy of what p points to; nil if p is no pointer.
func copyOf(p any) any {
	v := reflect.ValueOf(p)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return nil
	}
	out := reflect.New(v.Type().Elem())
	out.Elem().Set(v.Elem())
	return out.Interface()
}
