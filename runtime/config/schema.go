package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	proxyconfig "github.com/ottavo-runtime/ottavo/proxy/config"
)

// Schema returns the JSON Schema (draft 2020-12) of a configuration file, for
// editors. It is made from the structs that Load decodes into, so it knows the
// same keys; opts says which names of components, filters, protocols and
// balancers it lists. It is somewhat stricter than Load: keys that Load warns of
// are errors here, so that an editor underlines them, and so are those of a
// struct that are written in another case.
func Schema(opts Options) []byte {
	g := &generator{opts: opts, defs: map[string]any{
		// Where a number is wanted, a text may stand that holds one, or a
		// variable that will.
		"variable":    object{"type": "string", "pattern": `\$\{`},
		"integerText": object{"type": "string", "pattern": `^\s*[-+]?[0-9]+\s*$`},
		"numberText":  object{"type": "string", "pattern": `^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$`},
		"booleanText": object{"type": "string", "pattern": `^\s*([tT][rR][uU][eE]|[fF][aA][lL][sS][eE])\s*$`},
		"duration":    object{"type": "string", "pattern": `^\s*[-+]?(0|([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+\s*$`, "examples": []any{"500ms", "30s", "5m", "1h30m"}},
	}}
	root := g.structure(reflect.TypeFor[File]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Configuration of ottavo"
	root["description"] = "A runtime, in the short form (runtime) or in Layotto's (servers), and a proxy."
	root["$defs"] = g.defs
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil // a tree of maps, texts and numbers always has a text
	}
	return append(out, '\n')
}

type object = map[string]any

type generator struct {
	opts Options
	defs map[string]any
}

func ref(name string) object { return object{"$ref": "#/$defs/" + name} }

// anyOf allows several forms.
func anyOf(forms ...any) object { return object{"anyOf": forms} }

// structure is the schema of a struct, written out.
func (g *generator) structure(t reflect.Type) object {
	properties := object{}
	out := object{"type": "object", "properties": properties, "additionalProperties": false}
	for _, f := range decode.Fields(t) {
		if f.Rest {
			delete(out, "additionalProperties")
			continue
		}
		s := g.field(t, f)
		if doc := f.Tag.Get("doc"); doc != "" {
			if s["description"] == nil {
				s["description"] = doc
			}
		}
		properties[f.Key] = s
	}
	g.refine(t, out, properties)
	return out
}

// named returns a reference to the schema of a struct type, which it puts into
// $defs; a type without a name is written out.
func (g *generator) named(t reflect.Type) object {
	name := t.Name()
	if name == "" {
		return g.structure(t)
	}
	if path := t.PkgPath(); !strings.HasSuffix(path, "/config") {
		// Settings of components: their types' own names say little.
		name = strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				return r
			}
			return '.'
		}, path+"."+name)
	}
	if _, done := g.defs[name]; !done {
		g.defs[name] = object{} // the type may contain itself
		g.defs[name] = g.structure(t)
	}
	return ref(name)
}

// field is the schema of one key of a struct.
func (g *generator) field(owner reflect.Type, f decode.Field) object {
	mode, why, _ := strings.Cut(f.Tag.Get("unbuilt"), ": ")
	doc := f.Tag.Get("doc")
	if mode != "" {
		doc = "Not built in this version"
		if why != "" {
			doc += " (" + why + ")"
		}
		doc += ". " + f.Tag.Get("doc")
	}
	switch {
	case mode == "warn":
		return object{"description": doc, "deprecated": true}
	case mode == "refuse":
		return object{"description": doc, "enum": []any{nil, false, 0, "", object{}, []any{}}}
	}
	s := g.value(f.Type, f.Tag)
	switch owner {
	case reflect.TypeFor[proxyconfig.Proxy]():
		switch f.Key {
		case "downstream_protocol":
			s = g.protocols(s, true, true)
		case "upstream_protocol":
			s = g.protocols(s, true, false)
		}
	case reflect.TypeFor[proxyconfig.RouteAction]():
		if f.Key == "upstream_protocol" {
			s = g.protocols(s, false, false)
		}
	case reflect.TypeFor[proxyconfig.Cluster]():
		if f.Key == "lb_type" && g.opts.Known.Balancers != nil {
			s = oneOfNames(append([]string{""}, g.opts.Known.Balancers...))
		}
	case reflect.TypeFor[proxyconfig.Listener]():
		switch f.Key {
		case "stream_filters":
			s = object{"type": "array", "items": g.extension(also(g.opts.Known.StreamFilters, watching), nil)}
		case "listener_filters":
			s = object{"type": "array", "items": g.extension(g.opts.Known.ListenerFilters, nil)}
		}
	case reflect.TypeFor[proxyconfig.FilterChain]():
		if f.Key == "filters" {
			s = object{"type": "array", "items": g.extension(also(g.opts.Known.NetworkFilters, sampling), map[string]reflect.Type{
				"proxy": reflect.TypeFor[proxyconfig.Proxy](), GRPCFilterType: reflect.TypeFor[GRPCFilter](),
				"tcp_proxy": reflect.TypeFor[proxyconfig.TCPProxy](), "udp_proxy": reflect.TypeFor[proxyconfig.UDPProxy](),
			})}
		}
	case reflect.TypeFor[Sections](), reflect.TypeFor[ShortForm]():
		if kind := g.kind(f.Key); kind != nil {
			s = g.componentsOf(*kind, f.Type.Elem())
		}
	}
	if text, ok := f.Tag.Lookup("default"); ok {
		s["default"] = defaultOf(f.Type, text)
	}
	return s
}

// refine adds what the struct alone does not say.
func (g *generator) refine(t reflect.Type, s, properties object) {
	if t == reflect.TypeFor[File]() {
		servers, _ := properties["servers"].(object)
		servers["maxItems"] = 1
		s["anyOf"] = []any{object{"required": []any{"runtime"}}, object{"required": []any{"servers"}}}
	}
	if t == reflect.TypeFor[proxyconfig.Listener]() {
		if chains, ok := properties["filter_chains"].(object); ok {
			chains["minItems"], chains["maxItems"] = 1, 1
		}
		s["required"] = []any{"filter_chains"}
	}
	if t == reflect.TypeFor[proxyconfig.Proxy]() {
		s["required"] = []any{"downstream_protocol", "router_config_name"}
	}
}

// protocols is the schema of a protocol's name; auto allows Auto, and list
// several names with commas.
func (g *generator) protocols(s object, auto, list bool) object {
	if g.opts.Known.Protocols == nil {
		return s
	}
	var names, patterns []string
	all := slices.AppendSeq(slices.Clone(g.opts.Known.Protocols), maps.Keys(g.opts.Known.ProtocolAliases))
	if auto && len(g.opts.Known.RPC) > 0 {
		all = append(all, proxyconfig.X)
	}
	slices.Sort(all)
	for _, p := range all {
		for _, form := range []string{p, strings.ToLower(p), strings.ToUpper(p), strings.ToUpper(p[:min(1, len(p))]) + p[min(1, len(p)):]} {
			if !slices.Contains(names, form) {
				names, patterns = append(names, form), append(patterns, regexp.QuoteMeta(form))
			}
		}
	}
	if auto {
		names = append(names, "Auto", "auto", "AUTO")
	}
	forms := oneOfNames(append([]string{""}, names...))
	if list && len(patterns) > 0 {
		one := `\s*(` + strings.Join(patterns, "|") + `)\s*`
		forms["anyOf"] = append(forms["anyOf"].([]any), object{"type": "string", "pattern": "^" + one + "(," + one + ")+$"})
	}
	return forms
}

// oneOfNames allows the names, or a variable that holds one.
func oneOfNames(names []string) object {
	list := make([]any, len(names))
	for i, n := range names {
		list[i] = n
	}
	return anyOf(object{"enum": list}, ref("variable"))
}

// also adds the names of filters that Load passes over to those that are known.
func also(names []string, passed map[string]string) []string {
	if names == nil {
		return nil
	}
	return slices.Concat(names, slices.Sorted(maps.Keys(passed)))
}

// extension is the schema of a filter, with the settings of those whose struct is known.
func (g *generator) extension(names []string, configs map[string]reflect.Type) object {
	s := object{
		"type": "object", "required": []any{"type"}, "additionalProperties": false,
		"properties": object{"type": object{"type": "string"}, "config": object{"type": "object"}},
	}
	if names != nil {
		s["properties"].(object)["type"] = oneOfNames(names)
	}
	var rules []any
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		rules = append(rules, when("type", name, object{"properties": object{"config": g.named(configs[name])}}))
	}
	if rules != nil {
		s["allOf"] = rules
	}
	return s
}

// when makes a rule for sections whose key has a certain value.
func when(key, value string, then object) object {
	return object{"if": object{"properties": object{key: object{"const": value}}, "required": []any{key}}, "then": then}
}

func (g *generator) kind(section string) *Kind {
	for i, k := range g.opts.Kinds {
		if k.Section == section {
			return &g.opts.Kinds[i]
		}
	}
	return nil
}

// componentsOf is the schema of a section that holds components by name.
func (g *generator) componentsOf(kind Kind, component reflect.Type) object {
	one := g.structure(component)
	properties := one["properties"].(object)
	settings := "metadata"
	if _, ok := properties[settings]; !ok {
		settings = "config"
	}
	types := oneOfNames(kind.names())
	types["description"] = "Which backend. " + describe(kind)
	properties["type"] = types
	byName := kind.Section == "rpcs" // the key is the type when there is no other
	if !byName {
		one["required"] = []any{"type"}
	}
	var rules []any
	section := object{"type": "object"}
	for _, t := range kind.Types {
		schema := g.settingsOf(kind, t)
		if schema == nil {
			continue
		}
		if kind.Section == Files {
			schema = orAccounts(schema)
		}
		rules = append(rules, when("type", t.Name, object{"properties": object{settings: schema}}))
		if byName {
			named, _ := section["properties"].(object)
			if named == nil {
				named = object{}
				section["properties"] = named
			}
			named[t.Name] = object{"allOf": []any{
				ref(kind.Section + "Component"),
				object{"if": object{"not": object{"required": []any{"type"}}}, "then": object{"properties": object{settings: schema}}},
			}}
		}
	}
	if rules != nil {
		one["allOf"] = rules
	}
	g.defs[kind.Section+"Component"] = one
	section["additionalProperties"] = ref(kind.Section + "Component")
	return section
}

// orAccounts allows a list of accounts in the place of a file store's settings.
func orAccounts(settings object) object {
	return anyOf(settings, object{"type": "array", "items": object{"type": "object"}})
}

func describe(kind Kind) string {
	lines := make([]string, len(kind.Types))
	for i, t := range kind.Types {
		lines[i] = t.Name + ": " + t.Doc
	}
	return strings.Join(lines, " ")
}

// value is the schema of a type, with the limits that the tags of its field set.
func (g *generator) value(t reflect.Type, tag reflect.StructTag) object {
	if t == reflect.TypeFor[time.Duration]() {
		if tag.Get("unit") != "" {
			return anyOf(ref("duration"), object{"type": "number"}, ref("numberText"), ref("variable"))
		}
		return anyOf(ref("duration"), object{"const": 0}, ref("variable"))
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.value(t.Elem(), tag)
	case reflect.Struct:
		return g.named(t)
	case reflect.Map:
		return object{"type": "object", "additionalProperties": g.value(t.Elem(), "")}
	case reflect.Slice:
		list := object{"type": "array", "items": g.value(t.Elem(), tag)}
		if tag.Get("split") != "" {
			return anyOf(list, object{"type": "string"})
		}
		if tag.Get("single") == "true" {
			return anyOf(list, g.value(t.Elem(), tag))
		}
		return list
	case reflect.String:
		if names, ok := tag.Lookup("enum"); ok {
			return oneOfNames(foldedNames(strings.Split(names, "|")))
		}
		return object{"type": "string"}
	case reflect.Bool:
		return anyOf(object{"type": "boolean"}, ref("booleanText"), ref("variable"))
	case reflect.Float32, reflect.Float64:
		return anyOf(limits(object{"type": "number"}, t, tag), ref("numberText"), ref("variable"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return anyOf(limits(object{"type": "integer"}, t, tag), ref("integerText"), ref("variable"))
	default:
		return object{}
	}
}

// foldedNames adds the names in small letters, which Load accepts too.
func foldedNames(names []string) []string {
	out := slices.Clone(names)
	for _, n := range names {
		if small := strings.ToLower(n); !slices.Contains(out, small) {
			out = append(out, small)
		}
	}
	return out
}

func limits(s object, t reflect.Type, tag reflect.StructTag) object {
	switch t.Kind() {
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		s["minimum"] = 0
	case reflect.Int32:
		s["minimum"], s["maximum"] = math.MinInt32, math.MaxInt32
	}
	for key, name := range map[string]string{"min": "minimum", "max": "maximum"} {
		if f, err := strconv.ParseFloat(tag.Get(key), 64); err == nil {
			s[name] = f
		}
	}
	return s
}

// defaultOf is what a tag default means, in JSON.
func defaultOf(t reflect.Type, text string) any {
	switch t.Kind() {
	case reflect.Bool:
		return text == "true"
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Float64:
		if f, err := strconv.ParseFloat(text, 64); err == nil && t != reflect.TypeFor[time.Duration]() {
			return f
		}
	}
	return text
}

// plainValue is a value as a file would hold it; ok is false for what is no plain value.
func plainValue(v reflect.Value) (any, bool) {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return fmt.Sprint(v.Interface()), true
	case v.Kind() == reflect.String:
		return v.String(), true
	case v.Kind() == reflect.Bool:
		return v.Bool(), true
	case v.CanInt():
		return v.Int(), true
	case v.CanUint():
		return v.Uint(), true
	case v.CanFloat() && !math.IsInf(v.Float(), 0) && !math.IsNaN(v.Float()):
		return v.Float(), true
	}
	return nil, false
}
