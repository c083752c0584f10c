package decode

import (
	"reflect"
	"strings"
)

// Field is one key that a struct accepts.
type Field struct {
	// Key is the name in the configuration; "" for the field that takes the rest.
	Key string
	// Index leads to the field, for reflect.Value.FieldByIndex.
	Index []int
	// Type is the field's type.
	Type reflect.Type
	// Tag holds the field's tags.
	Tag reflect.StructTag
	// Rest says that the field takes all keys that no other field has.
	Rest bool
}

// Fields returns the keys that a struct type accepts, in the order of its
// fields, those of embedded structs in their place; nil if t is no struct. It is
// what Into goes by, and what a schema can be made from.
func Fields(t reflect.Type) []Field {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	return appendFields(nil, t, nil, 0)
}

func appendFields(out []Field, t reflect.Type, index []int, depth int) []Field {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(append([]int(nil), index...), i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct && depth < 10 {
			out = appendFields(out, f.Type, at, depth+1)
			continue
		}
		if f.IsExported() && f.Tag.Get("rest") == "true" {
			out = append(out, Field{Index: at, Type: f.Type, Tag: f.Tag, Rest: true})
			continue
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		out = append(out, Field{Key: name, Index: at, Type: f.Type, Tag: f.Tag})
	}
	return out
}
