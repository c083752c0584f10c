package decode

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// maxDepth bounds how deep a tree may be.
const maxDepth = 200

// Into fills *dst, normally a struct that holds the defaults, from src, a tree
// of untyped values. path is where src stands in the configuration and starts
// the path of every problem. Keys that src does not have, or has with the value
// null, leave dst as it is.
//
// The error is nil or of type Problems and holds every mistake; dst is filled as
// far as possible then. Warnings are what has no effect: unknown keys, keys that
// nothing is behind yet, and keys that differ from the known one in case only
// (those are obeyed). Both lists are in the order of the paths.
//
// Fields of type any receive the values of src themselves, not copies.
func Into(dst, src any, path string) (warnings Problems, err error) {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return nil, Problems{{Path: path, Message: fmt.Sprintf("cannot be decoded into %T", dst), Remedy: "a mistake in the program: a pointer is needed"}}
	}
	w := &walker{}
	w.value(v.Elem(), reflect.ValueOf(src), place{path: path})
	return w.warnings, w.errs.Err()
}

// Defaults fills the fields of *dst, a struct, that have a tag default, and
// those of the structs inside it.
func Defaults(dst any) {
	v := reflect.ValueOf(dst)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		defaults(v.Elem(), 0)
	}
}

func defaults(v reflect.Value, depth int) {
	if v.Kind() != reflect.Struct || depth > 20 {
		return
	}
	for _, f := range Fields(v.Type()) {
		field := v.FieldByIndex(f.Index)
		if text, ok := f.Tag.Lookup("default"); ok {
			(&walker{}).value(field, reflect.ValueOf(text), place{tag: f.Tag})
			continue
		}
		defaults(field, depth+1)
	}
}

// walker goes through a target and a tree side by side and collects problems.
type walker struct {
	warnings, errs Problems
}

// place is where the walker stands.
type place struct {
	path  string
	tag   reflect.StructTag // of the field that is being filled; "" in maps
	hide  bool              // below a secret key: show no values
	depth int
}

func (p place) key(name string, tag reflect.StructTag) place {
	return place{path: Join(p.path, name), tag: tag, hide: p.hide || Secret(name), depth: p.depth + 1}
}

// at is element i of a list; the list's tags hold for its elements.
func (p place) at(i int) place {
	return place{path: At(p.path, i), tag: p.tag, hide: p.hide, depth: p.depth + 1}
}

func (w *walker) fail(p place, remedy, format string, args ...any) {
	w.errs = append(w.errs, Problem{Path: p.path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (w *walker) warn(p place, remedy, format string, args ...any) {
	w.warnings = append(w.warnings, Problem{Path: p.path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

var durationType = reflect.TypeFor[time.Duration]()

// value fills dst, which can be set, from src.
func (w *walker) value(dst, src reflect.Value, p place) {
	if p.depth > maxDepth {
		w.fail(p, "", "is nested too deeply")
		return
	}
	for src.Kind() == reflect.Interface || src.Kind() == reflect.Pointer {
		if src.IsNil() || p.depth > maxDepth {
			return
		}
		src, p.depth = src.Elem(), p.depth+1
	}
	if !src.IsValid() {
		return // null: as if it were not there
	}
	if dst.Type() == durationType {
		w.duration(dst, src, p)
		return
	}
	switch dst.Kind() {
	case reflect.Pointer:
		// A new value, so that a default that others point to stays as it is.
		fresh := reflect.New(dst.Type().Elem())
		if dst.IsNil() {
			defaults(fresh.Elem(), 0)
		} else {
			fresh.Elem().Set(dst.Elem())
		}
		w.value(fresh.Elem(), src, p)
		dst.Set(fresh)
	case reflect.Interface:
		if !src.Type().AssignableTo(dst.Type()) {
			w.unsupported(dst, p)
			return
		}
		dst.Set(src)
	case reflect.Struct:
		w.structure(dst, src, p)
	case reflect.Map:
		w.mapping(dst, src, p)
	case reflect.Slice:
		w.list(dst, src, p)
	case reflect.String:
		w.text(dst, src, p)
	case reflect.Bool:
		w.boolean(dst, src, p)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		w.number(dst, src, p)
	default:
		w.unsupported(dst, p)
	}
}

func (w *walker) unsupported(dst reflect.Value, p place) {
	w.fail(p, "a mistake in the program", "cannot be configured: no text form of a %s", dst.Type())
}

// sectionKeys returns the keys of src, sorted, or reports that it is no section.
func (w *walker) sectionKeys(src reflect.Value, p place) ([]string, bool) {
	if src.Kind() != reflect.Map || src.Type().Key().Kind() != reflect.String {
		w.fail(p, "", "must be a section (key: value), not %s", show(src, p.hide))
		return nil, false
	}
	keys := make([]string, 0, src.Len())
	for _, k := range src.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	return keys, true
}

func entry(src reflect.Value, key string) reflect.Value {
	return src.MapIndex(reflect.ValueOf(key).Convert(src.Type().Key()))
}

func (w *walker) structure(dst, src reflect.Value, p place) {
	keys, ok := w.sectionKeys(src, p)
	if !ok {
		return
	}
	fields := Fields(dst.Type())
	known := make(map[string]Field, len(fields))
	folded := make(map[string]string, len(fields)) // lower case → key
	var rest *Field
	names := make([]string, 0, len(fields))
	for i, f := range fields {
		if f.Rest {
			rest = &fields[i]
			continue
		}
		known[f.Key] = f
		folded[strings.ToLower(f.Key)] = f.Key
		names = append(names, f.Key)
	}
	others := map[string]any{}
	seen := map[string]string{} // known key → key in src
	for _, key := range keys {
		if _, ok := known[key]; ok {
			seen[key] = key
		}
	}
	for _, key := range keys {
		value := entry(src, key)
		name := key
		f, ok := known[key]
		if !ok {
			name, ok = folded[strings.ToLower(key)]
			f = known[name]
		}
		switch {
		case ok && name == key:
		case ok:
			at := p.key(key, f.Tag)
			if before, twice := seen[name]; twice {
				w.fail(at, fmt.Sprintf("remove %q", key), "the key is there twice: as %q too", before)
				continue
			}
			seen[name] = key
			w.warn(at, fmt.Sprintf("write %q", name), "keys distinguish capital letters; taken as %q", name)
		case rest != nil:
			others[key] = value.Interface()
			continue
		default:
			w.unknown(p, key, names)
			continue
		}
		w.field(dst.FieldByIndex(f.Index), value, p.key(key, f.Tag), name)
	}
	if rest != nil && len(others) > 0 {
		target := dst.FieldByIndex(rest.Index)
		if target.Type() != reflect.TypeFor[map[string]any]() {
			w.unsupported(target, p)
			return
		}
		if !target.IsNil() {
			merged := maps.Clone(target.Interface().(map[string]any))
			maps.Copy(merged, others)
			others = merged
		}
		target.Set(reflect.ValueOf(others))
	}
}

// field fills one field of a struct, with regard to whether it is built.
func (w *walker) field(dst, src reflect.Value, p place, name string) {
	mode, why, _ := strings.Cut(p.tag.Get("unbuilt"), ": ")
	if mode == "" || blank(src) {
		w.value(dst, src, p)
		return
	}
	if why != "" {
		why = ": " + why
	}
	if mode == "refuse" {
		if why == "" {
			why = ", and leaving it out would change what happens"
		}
		w.fail(p, fmt.Sprintf("remove %q", name), "this version knows the key but has no code behind it yet%s", why)
		return
	}
	w.unbuilt(p, name, why)
	// What is inside has no effect either, so warnings about it would be noise.
	inner := &walker{}
	inner.value(dst, src, p)
	w.errs = append(w.errs, inner.errs...)
}

// unbuilt warns of a key that nothing is behind; why is "" or begins with a colon.
func (w *walker) unbuilt(p place, name, why string) {
	w.warn(p, fmt.Sprintf("remove %q to silence this", name), "this version knows the key but has no code behind it yet; it has no effect%s", why)
}

func (w *walker) unknown(p place, key string, known []string) {
	remedy := ""
	if near := Nearest(key, known); near != "" {
		remedy = fmt.Sprintf("did you mean %q?", near)
	} else if n := len(known); n > 0 && n <= 15 {
		remedy = "known keys: " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
	}
	w.warn(p.key(key, ""), remedy, "unknown key; it has no effect")
}

func (w *walker) mapping(dst, src reflect.Value, p place) {
	if dst.Type().Key().Kind() != reflect.String {
		w.unsupported(dst, p)
		return
	}
	keys, ok := w.sectionKeys(src, p)
	if !ok {
		return
	}
	out := reflect.MakeMapWithSize(dst.Type(), len(keys)+dst.Len())
	for it := dst.MapRange(); it.Next(); {
		out.SetMapIndex(it.Key(), it.Value())
	}
	for _, key := range keys {
		element := reflect.New(dst.Type().Elem()).Elem()
		defaults(element, 0)
		w.value(element, entry(src, key), p.key(key, ""))
		out.SetMapIndex(reflect.ValueOf(key).Convert(dst.Type().Key()), element)
	}
	dst.Set(out)
}

func (w *walker) list(dst, src reflect.Value, p place) {
	separator := p.tag.Get("split")
	if src.Kind() == reflect.String && separator != "" && dst.Type().Elem().Kind() == reflect.String {
		var parts []any
		for part := range strings.SplitSeq(src.String(), separator) {
			if part = strings.TrimSpace(part); part != "" {
				parts = append(parts, part)
			}
		}
		src = reflect.ValueOf(parts)
	}
	if src.Kind() == reflect.Map && p.tag.Get("single") == "true" {
		src = reflect.ValueOf([]any{src.Interface()})
	}
	if src.Kind() != reflect.Slice && src.Kind() != reflect.Array {
		w.fail(p, "put it in [ ]", "must be a list, not %s", show(src, p.hide))
		return
	}
	out := reflect.MakeSlice(dst.Type(), src.Len(), src.Len())
	for i := range src.Len() {
		defaults(out.Index(i), 0)
		w.value(out.Index(i), src.Index(i), p.at(i))
	}
	dst.Set(out)
}

// blank reports whether a value says nothing: null, false, 0, empty.
func blank(v reflect.Value) bool {
	for depth := 0; v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer; depth++ {
		if v.IsNil() || depth > maxDepth {
			return true
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Map, reflect.Slice, reflect.Array, reflect.String:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}
