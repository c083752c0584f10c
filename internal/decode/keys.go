package decode

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// A Key is one key of a section that has no struct: of a backend that takes its
// settings as texts and reads them itself.
type Key struct {
	// Name is the key. One that begins with "*" stands for all keys with this end.
	Name string
	// Kind says what the value is; a text when "".
	Kind ValueKind
	// Aliases are other names of it.
	Aliases []string
	// AnyCase says that Name is not the only usual way to write it, for a schema, which
	// tells case apart.
	AnyCase bool
	// Unbuilt is not "" for a key that is known, but has nothing behind it in this
	// version: it says what does not happen.
	Unbuilt string
}

// ValueKind says in a word or two, for people, what a value is.
type ValueKind string

// The kinds of values that keys have.
const (
	TextValue     ValueKind = "text"
	NumberValue   ValueKind = "number"
	BooleanValue  ValueKind = "true or false"
	DurationValue ValueKind = "duration"
	SizeValue     ValueKind = "size"
	ListValue     ValueKind = "list"
)

// Names returns the key's names, the first one first.
func (k Key) Names() []string { return append([]string{k.Name}, k.Aliases...) }

// fits reports whether a key that is written so is this one. Case makes no difference.
func (k Key) fits(written string) bool {
	return slices.ContainsFunc(k.Names(), func(name string) bool {
		if end, ok := strings.CutPrefix(name, "*"); ok {
			return len(written) > len(end) && strings.EqualFold(written[len(written)-len(end):], end)
		}
		return strings.EqualFold(name, written)
	})
}

// UnknownKeys returns a problem for each key of the section at path that is none of
// keys, in the words that Into has for them, and for each that has nothing behind it,
// in the order of their names. Case makes no difference, but a key that is there
// twice, in different case, is a problem too: nobody can tell which one counts.
func UnknownKeys(section map[string]any, keys []Key, path string) Problems {
	w := &walker{}
	names := make([]string, 0, len(keys))
	for _, k := range keys {
		if k.Unbuilt == "" {
			names = append(names, k.Names()...)
		}
	}
	seen := make(map[string]string, len(section))
	for _, written := range slices.Sorted(maps.Keys(section)) {
		at := place{path: path}
		if before, twice := seen[strings.ToLower(written)]; twice {
			w.warn(at.key(written, ""), fmt.Sprintf("remove %q or %q", written, before), "the key is there twice: as %q too", before)
			continue
		}
		seen[strings.ToLower(written)] = written
		i := slices.IndexFunc(keys, func(k Key) bool { return k.fits(written) })
		switch {
		case i < 0:
			w.unknown(at, written, names)
		case keys[i].Unbuilt != "" && !blank(reflect.ValueOf(section[written])):
			w.unbuilt(at.key(written, ""), written, ": "+keys[i].Unbuilt)
		}
	}
	return w.warnings
}
