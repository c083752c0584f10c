package expression

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// mapKind says how the values of a map are found.
type mapKind struct {
	find func(req *stream.Request, key string) (string, bool)
	// all makes the whole map, for expressions that need it; nil if that cannot
	// be done. inspect sees to it that nobody asks for it then.
	all func(req *stream.Request) map[string]string
	// in finds a value in what all has made.
	in func(req *stream.Request, all map[string]string, key string) (string, bool)
}

var (
	headerMap   = &mapKind{findHeader, allHeaders, headerIn}
	queryMap    = &mapKind{findArg, allArgs, argIn}
	variableMap = &mapKind{find: findVariable}
)

func findVariable(r *stream.Request, name string) (string, bool) { return variable.Lookup(name)(r) }

func findArg(r *stream.Request, key string) (string, bool) { return variable.QueryArg(r.Query, key) }

func allArgs(r *stream.Request) map[string]string {
	all := make(map[string]string)
	for k, v := range variable.QueryArgs(r.Query) {
		if _, done := all[k]; !done {
			all[k] = v
		}
	}
	return all
}

func argIn(_ *stream.Request, all map[string]string, key string) (string, bool) {
	v, ok := all[key]
	return v, ok
}

// findHeader returns the values of a header field, joined. Host and HTTP/2's
// pseudo header fields are found too, though they are no fields here.
func findHeader(r *stream.Request, name string) (value string, ok bool) {
	var more []string
	for v := range r.Header.Values(name) {
		switch {
		case !ok:
			value, ok = v, true
		case more == nil:
			more = []string{value, v}
		default:
			more = append(more, v)
		}
	}
	switch {
	case more != nil:
		return strings.Join(more, separator(name)), true
	case ok:
		return value, true
	}
	return special(r, name)
}

// special returns what is like a header field for callers, but no field here.
func special(r *stream.Request, name string) (string, bool) {
	if stream.EqualName(name, "host") || stream.EqualName(name, "content-length") || strings.HasPrefix(name, ":") {
		return variable.Lookup("request_header_" + name)(r)
	}
	return "", false
}

// separator is what the values of a repeated field are joined by.
func separator(name string) string {
	if stream.EqualName(name, "cookie") {
		return "; "
	}
	return ","
}

// allHeaders returns the fields by their names in lower case.
func allHeaders(r *stream.Request) map[string]string {
	values := make(map[string][]string, r.Header.Len()+1)
	for name, value := range r.Header.All() {
		name = strings.ToLower(name)
		values[name] = append(values[name], value)
	}
	all := make(map[string]string, len(values)+1)
	if r.Authority != "" {
		all["host"] = r.Authority
	}
	for name, list := range values {
		all[name] = strings.Join(list, separator(name))
	}
	return all
}

func headerIn(r *stream.Request, all map[string]string, name string) (string, bool) {
	if v, ok := all[strings.ToLower(name)]; ok {
		return v, true
	}
	return special(r, name)
}

// lazyMap is a map of texts that reads its values from a request. It implements
// traits.Mapper, and is used by one evaluation only.
type lazyMap struct {
	*mapKind
	req *stream.Request
	// keep says that values are going to be asked for many times.
	keep  bool
	texts map[string]string // all of them, once made
	keys  traits.Lister     // their keys, sorted, once made
	found map[string]answer // what was asked for, where there is no all
}

type answer struct {
	value string
	ok    bool
}

func (m *lazyMap) lookup(key string) (string, bool) {
	switch {
	case !m.keep:
		return m.find(m.req, key)
	case m.all != nil:
		return m.in(m.req, m.whole(), key)
	}
	a, known := m.found[key]
	if !known {
		if m.found == nil {
			m.found = make(map[string]answer)
		}
		a.value, a.ok = m.find(m.req, key)
		m.found[key] = a
	}
	return a.value, a.ok
}

// whole returns all values.
func (m *lazyMap) whole() map[string]string {
	if m.texts == nil && m.all != nil {
		m.texts = m.all(m.req)
	}
	return m.texts
}

// mapper returns the map in the evaluator's own form.
func (m *lazyMap) mapper() traits.Mapper {
	return types.NewStringStringMap(types.DefaultTypeAdapter, m.whole())
}

// Find implements traits.Mapper.
func (m *lazyMap) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), false
	}
	v, ok := m.lookup(string(name))
	if !ok {
		return nil, false
	}
	return types.String(v), true
}

// Get implements traits.Indexer.
func (m *lazyMap) Get(key ref.Val) ref.Val {
	v, ok := m.Find(key)
	if !ok && v == nil {
		return types.NewErr("no such key: %v", key)
	}
	return v
}

// Contains implements traits.Container.
func (m *lazyMap) Contains(key ref.Val) ref.Val {
	v, ok := m.Find(key)
	if !ok && v != nil {
		return v
	}
	return types.Bool(ok)
}

// Iterator implements traits.Iterable. It goes by the order of the keys.
func (m *lazyMap) Iterator() traits.Iterator {
	if m.keys == nil {
		m.keys = types.NewStringList(types.DefaultTypeAdapter, slices.Sorted(maps.Keys(m.whole())))
	}
	return m.keys.Iterator()
}

// Size implements traits.Sizer.
func (m *lazyMap) Size() ref.Val { return types.Int(len(m.whole())) }

// Equal implements ref.Val.
func (m *lazyMap) Equal(other ref.Val) ref.Val {
	if o, ok := other.(*lazyMap); ok {
		other = o.mapper()
	}
	return m.mapper().Equal(other)
}

// ConvertToNative implements ref.Val.
func (m *lazyMap) ConvertToNative(to reflect.Type) (any, error) {
	return m.mapper().ConvertToNative(to)
}

// ConvertToType implements ref.Val.
func (m *lazyMap) ConvertToType(to ref.Type) ref.Val { return m.mapper().ConvertToType(to) }

// Type implements ref.Val.
func (m *lazyMap) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (m *lazyMap) Value() any { return m.whole() }
