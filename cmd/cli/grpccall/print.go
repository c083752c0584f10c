package grpccall

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// printJSON writes a message as JSON, over several lines, in the order of its
// fields. It is protobuf's mapping, apart from Anys without a known type; protojson
// has no way to let those pass.
func printJSON(m protoreflect.Message, types resolver) ([]byte, error) {
	p := &printer{types: types}
	if err := p.message(m); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, p.out.Bytes(), "", "  "); err != nil {
		return nil, fmt.Errorf("%s as JSON: %w", m.Descriptor().FullName(), err)
	}
	return out.Bytes(), nil
}

type printer struct {
	out   bytes.Buffer
	types resolver
	depth int // of Anys inside Anys
}

// maxDepth is how deep Anys may lie inside each other; those below are written as
// their bytes. Other messages are bounded when they are decoded.
const maxDepth = 100

// message writes an object, or what else stands for a well-known type.
func (p *printer) message(m protoreflect.Message) error {
	switch name := m.Descriptor().FullName(); {
	case name == anyName:
		return p.any(m)
	case wellKnown(name):
		return p.wellKnown(m)
	}
	p.out.WriteByte('{')
	if err := p.fields(m, true); err != nil {
		return err
	}
	p.out.WriteByte('}')
	return nil
}

// wellKnown tells the types that have a form of their own. Struct, Value and the
// like cannot hold an Any, so protojson can do them.
func wellKnown(name protoreflect.FullName) bool {
	short, ok := strings.CutPrefix(string(name), "google.protobuf.")
	if !ok {
		return false
	}
	switch short {
	case "Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue", "Empty":
		return true
	}
	return strings.HasSuffix(short, "Value") && !strings.Contains(short, ".") && short != "EnumValue"
}

func (p *printer) wellKnown(m protoreflect.Message) error {
	text, err := protojson.MarshalOptions{Resolver: p.types}.Marshal(m.Interface())
	if err != nil {
		return err
	}
	return json.Compact(&p.out, text)
}

// fields writes the fields that are set, without the braces.
func (p *printer) fields(m protoreflect.Message, first bool) error {
	write := func(name string, fd protoreflect.FieldDescriptor) error {
		if !first {
			p.out.WriteByte(',')
		}
		first = false
		p.text(name)
		p.out.WriteByte(':')
		return p.field(fd, m.Get(fd))
	}
	all := m.Descriptor().Fields()
	for i := range all.Len() {
		if fd := all.Get(i); m.Has(fd) {
			if err := write(fd.JSONName(), fd); err != nil {
				return err
			}
		}
	}
	var extensions []protoreflect.FieldDescriptor
	m.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if fd.IsExtension() {
			extensions = append(extensions, fd)
		}
		return true
	})
	slices.SortFunc(extensions, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number()) - int(b.Number()) })
	for _, fd := range extensions {
		if err := write("["+string(fd.FullName())+"]", fd); err != nil {
			return err
		}
	}
	return nil
}

func (p *printer) field(fd protoreflect.FieldDescriptor, v protoreflect.Value) error {
	switch {
	case fd.IsList():
		p.out.WriteByte('[')
		for i := range v.List().Len() {
			if i > 0 {
				p.out.WriteByte(',')
			}
			if err := p.value(fd, v.List().Get(i)); err != nil {
				return err
			}
		}
		p.out.WriteByte(']')
		return nil
	case fd.IsMap():
		return p.mapping(fd, v.Map())
	}
	return p.value(fd, v)
}

// mapping writes a map, sorted by its keys as they are written.
func (p *printer) mapping(fd protoreflect.FieldDescriptor, m protoreflect.Map) error {
	keys := make(map[string]protoreflect.MapKey, m.Len())
	names := make([]string, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys[k.String()] = k
		names = append(names, k.String())
		return true
	})
	slices.Sort(names)
	p.out.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			p.out.WriteByte(',')
		}
		p.text(name)
		p.out.WriteByte(':')
		if err := p.value(fd.MapValue(), m.Get(keys[name])); err != nil {
			return err
		}
	}
	p.out.WriteByte('}')
	return nil
}

// value writes one value, not a list and not a map.
func (p *printer) value(fd protoreflect.FieldDescriptor, v protoreflect.Value) error {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return p.message(v.Message())
	case protoreflect.BoolKind:
		p.out.WriteString(strconv.FormatBool(v.Bool()))
	case protoreflect.EnumKind:
		p.enum(fd.Enum(), v.Enum())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		p.out.WriteString(strconv.FormatInt(v.Int(), 10))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		p.out.WriteString(strconv.FormatUint(v.Uint(), 10))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		p.text(strconv.FormatInt(v.Int(), 10)) // too large for a JSON number
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		p.text(strconv.FormatUint(v.Uint(), 10))
	case protoreflect.FloatKind:
		p.float(v.Float(), 32)
	case protoreflect.DoubleKind:
		p.float(v.Float(), 64)
	case protoreflect.StringKind:
		p.text(v.String())
	case protoreflect.BytesKind:
		p.text(base64.StdEncoding.EncodeToString(v.Bytes()))
	default:
		return fmt.Errorf("%s has the unknown kind %s", fd.FullName(), fd.Kind())
	}
	return nil
}

func (p *printer) enum(ed protoreflect.EnumDescriptor, n protoreflect.EnumNumber) {
	switch v := ed.Values().ByNumber(n); {
	case ed.FullName() == "google.protobuf.NullValue":
		p.out.WriteString("null")
	case v != nil:
		p.text(string(v.Name()))
	default:
		p.out.WriteString(strconv.FormatInt(int64(n), 10))
	}
}

func (p *printer) float(f float64, bits int) {
	switch {
	case math.IsNaN(f):
		p.text("NaN")
	case math.IsInf(f, 1):
		p.text("Infinity")
	case math.IsInf(f, -1):
		p.text("-Infinity")
	default:
		p.out.WriteString(strconv.FormatFloat(f, 'g', -1, bits))
	}
}

// text writes a JSON string; what is no UTF-8 becomes the replacement character.
func (p *printer) text(s string) {
	enc := json.NewEncoder(&p.out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)               // a string into a buffer: no error
	p.out.Truncate(p.out.Len() - 1) // the newline
}

// any writes an Any: as protobuf's mapping does if its type is known, else its
// bytes.
func (p *printer) any(m protoreflect.Message) error {
	fields := m.Descriptor().Fields()
	url, value := m.Get(fields.ByNumber(1)).String(), m.Get(fields.ByNumber(2)).Bytes()
	p.out.WriteByte('{')
	if url != "" {
		p.text("@type")
		p.out.WriteByte(':')
		p.text(url)
	}
	p.depth++
	defer func() { p.depth-- }()
	content := p.content(url, value)
	switch {
	case content == nil:
		if url != "" {
			p.out.WriteByte(',')
		}
		p.text("value")
		p.out.WriteByte(':')
		if utf8.Valid(value) {
			p.text(string(value))
		} else {
			p.text(base64.StdEncoding.EncodeToString(value))
		}
	case content.Descriptor().FullName() == anyName || wellKnown(content.Descriptor().FullName()):
		p.out.WriteByte(',')
		p.text("value")
		p.out.WriteByte(':')
		if err := p.message(content); err != nil {
			return err
		}
	default:
		if err := p.fields(content, false); err != nil {
			return err
		}
	}
	p.out.WriteByte('}')
	return nil
}

// content is the message in an Any, nil if its type is not known or the bytes are
// none of it.
func (p *printer) content(url string, value []byte) protoreflect.Message {
	if url == "" || p.depth > maxDepth {
		return nil
	}
	mt, err := p.types.FindMessageByURL(url)
	if err != nil {
		return nil
	}
	m := mt.New()
	if err := (proto.UnmarshalOptions{Resolver: p.types}).Unmarshal(value, m.Interface()); err != nil {
		return nil
	}
	return m
}
