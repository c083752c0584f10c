package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"unicode"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// settingsOf is the schema of the settings of a type, those of its kind with them;
// nil when nobody knows them.
func (g *generator) settingsOf(kind Kind, t Type) object {
	target := reflect.TypeOf(t.Metadata)
	var s object
	switch {
	case target != nil && target.Kind() == reflect.Pointer && target.Elem().Kind() == reflect.Struct:
		s = g.settings(t)
	case t.Keys != nil:
		s = object{"type": "object", "properties": object{}, "additionalProperties": false}
		addKeys(s, t.Keys())
	default:
		return nil
	}
	addKeys(s, kind.Keys)
	if t.Doc != "" {
		s["description"] = t.Doc
	}
	return s
}

// addKeys adds keys that have no struct.
func addKeys(s object, keys []decode.Key) {
	properties := s["properties"].(object)
	for _, k := range keys {
		for i, name := range k.Names() {
			if end, ok := strings.CutPrefix(name, "*"); ok {
				pattern(s, regexp.QuoteMeta(end)+"$", keySchema(k))
				continue
			}
			if k.AnyCase {
				pattern(s, "^"+anyCase(name)+"$", true) // properties below says the rest
			}
			if _, there := properties[name]; there {
				continue
			}
			property := keySchema(k)
			if i > 0 {
				property["description"] = "Another name of " + k.Name + "."
			}
			properties[name] = property
		}
	}
}

// pattern adds a key that may be written in several ways.
func pattern(s object, expression string, schema any) {
	patterns, _ := s["patternProperties"].(object)
	if patterns == nil {
		patterns = object{}
		s["patternProperties"] = patterns
	}
	patterns[expression] = schema
}

// anyCase is an expression for a name in any case.
func anyCase(name string) string {
	var b strings.Builder
	for _, r := range name {
		if low, up := unicode.ToLower(r), unicode.ToUpper(r); low != up {
			fmt.Fprintf(&b, "[%c%c]", low, up)
			continue
		}
		b.WriteString(regexp.QuoteMeta(string(r)))
	}
	return b.String()
}

// keySchema is the schema of one key, whose value a backend reads from a text.
func keySchema(k decode.Key) object {
	if k.Unbuilt != "" {
		return object{"description": "Not built in this version (" + k.Unbuilt + ").", "deprecated": true}
	}
	kind := k.Kind
	if kind == "" {
		kind = decode.TextValue
	}
	s := object{"description": strings.ToUpper(string(kind[:1])) + string(kind[1:]) + "."}
	switch kind {
	case decode.BooleanValue:
		s["type"] = []any{"boolean", "string", "number", "null"}
	case decode.NumberValue, decode.DurationValue, decode.SizeValue:
		s["type"] = []any{"number", "string", "null"}
	}
	return s // a text is made of any other value
}

// settings is the schema of a component's settings, with the defaults that its
// struct holds.
func (g *generator) settings(t Type) object {
	v := reflect.ValueOf(t.Metadata)
	if v.IsNil() {
		v = reflect.New(v.Type().Elem())
	}
	s := g.structure(v.Type().Elem())
	properties := s["properties"].(object)
	for _, f := range decode.Fields(v.Type().Elem()) {
		p, ok := properties[f.Key].(object)
		field := v.Elem().FieldByIndex(f.Index)
		if !ok || field.IsZero() || decode.Secret(f.Key) {
			continue
		}
		if d, ok := plainValue(field); ok {
			p["default"] = d
		}
	}
	return s
}
