package grpccall

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

const anyName protoreflect.FullName = "google.protobuf.Any"

// parse makes a message of a document. Errors are of type *JSONError.
func parse(doc document, md protoreflect.MessageDescriptor, types resolver) (*dynamicpb.Message, error) {
	p := &rawAnys{doc: doc, text: bytes.Clone(doc.text)}
	if err := p.message(0, len(doc.text), md, nil); err != nil {
		return nil, err
	}
	m := dynamicpb.NewMessage(md)
	if err := (protojson.UnmarshalOptions{Resolver: types}).Unmarshal(p.text, m); err != nil {
		return nil, doc.protojsonError(err)
	}
	for _, a := range p.found {
		a.set(m)
	}
	return m, nil
}

// protojson says "proto: (line 1:2): cause" or "proto: syntax error (line 1:2): cause",
// with a space that is not always an ordinary one.
var protojsonPlace = regexp.MustCompile(`^proto:[\s\x{a0}]*(syntax error )?\(line (\d+):(\d+)\): (?s:(.*))$`)

// protojsonError moves the place in an error of protojson to where the document
// stands in the input.
func (d document) protojsonError(err error) error {
	m := protojsonPlace.FindStringSubmatch(err.Error())
	if m == nil {
		text := strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0")
		return &JSONError{d.line, d.column, text}
	}
	line, _ := strconv.Atoi(m[2]) // digits, as the expression says
	column, _ := strconv.Atoi(m[3])
	if line == 1 {
		column += d.column - 1
	}
	return &JSONError{line + d.line - 1, column, m[1] + m[4]}
}

// rawAnys goes through a document side by side with the description of its
// message, looking for values of Any that protojson does not understand: a text, a
// list, an object without "@type". It blanks them out to "{}", so that places in
// the document stay what they are, and remembers their bytes.
type rawAnys struct {
	doc   document
	text  []byte // the document, changed
	found []rawAny
}

// A rawAny is the content of an Any that names no type.
type rawAny struct {
	path  []step
	value []byte
}

// A step leads from a message to one of its fields, and to an element of it if it
// is a list (index) or map (key).
type step struct {
	field protoreflect.FieldDescriptor
	index int
	key   string
}

// with appends without sharing memory with other paths.
func with(path []step, s step) []step { return append(path[:len(path):len(path)], s) }

// members calls member for each member of the object at text[from:to], with its
// key, where the key begins, and where the value stands. It does nothing if there
// is no object. The document is known to be valid JSON.
func (p *rawAnys) members(from, to int, member func(key string, keyAt, from, to int) error) error {
	if p.doc.text[from] != '{' {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(p.doc.text[from:to]))
	_, err := dec.Token()
	for err == nil && dec.More() {
		var key json.Token
		if key, err = dec.Token(); err != nil {
			break
		}
		keyEnd := from + int(dec.InputOffset())
		keyAt := bytes.LastIndexByte(p.doc.text[:keyEnd-1], '"')
		var value json.RawMessage
		if err = dec.Decode(&value); err != nil {
			break
		}
		end := from + int(dec.InputOffset())
		name, _ := key.(string)
		if err := member(name, keyAt, end-len(value), end); err != nil {
			return err
		}
	}
	return notJSON(p.doc, from, err)
}

// elements is members for a list.
func (p *rawAnys) elements(from, to int, element func(i, from, to int) error) error {
	if p.doc.text[from] != '[' {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(p.doc.text[from:to]))
	_, err := dec.Token()
	for i := 0; err == nil && dec.More(); i++ {
		var value json.RawMessage
		if err = dec.Decode(&value); err != nil {
			break
		}
		end := from + int(dec.InputOffset())
		if err := element(i, end-len(value), end); err != nil {
			return err
		}
	}
	return notJSON(p.doc, from, err)
}

func notJSON(doc document, offset int, err error) error {
	if err == nil {
		return nil
	}
	return doc.errorf(offset, "%s", err)
}

func (p *rawAnys) message(from, to int, md protoreflect.MessageDescriptor, path []step) error {
	if md.FullName() == anyName {
		return p.any(from, to, path)
	}
	if wellKnown(md.FullName()) {
		return nil
	}
	return p.members(from, to, func(key string, keyAt, from, to int) error {
		fd := md.Fields().ByJSONName(key)
		if fd == nil {
			fd = md.Fields().ByTextName(key)
		}
		if fd == nil {
			if strings.HasPrefix(key, "[") {
				return nil // an extension
			}
			return p.unknownField(keyAt, key, md)
		}
		return p.field(from, to, fd, path)
	})
}

func (p *rawAnys) unknownField(offset int, key string, md protoreflect.MessageDescriptor) error {
	fields := md.Fields()
	known := make([]string, fields.Len())
	for i := range known {
		known[i] = fields.Get(i).JSONName()
	}
	if len(known) == 0 {
		return p.doc.errorf(offset, "%s has no fields, so no %q", md.FullName(), key)
	}
	return p.doc.errorf(offset, "%s has no field %q%s; its fields: %s", md.FullName(), key,
		didYouMean(decode.Nearest(key, known)), strings.Join(known, ", "))
}

func (p *rawAnys) field(from, to int, fd protoreflect.FieldDescriptor, path []step) error {
	switch {
	case fd.IsMap():
		value := fd.MapValue().Message()
		if value == nil {
			return nil
		}
		return p.members(from, to, func(key string, _, from, to int) error {
			return p.message(from, to, value, with(path, step{field: fd, key: key}))
		})
	case fd.Message() == nil:
		return nil
	case fd.IsList():
		return p.elements(from, to, func(i, from, to int) error {
			return p.message(from, to, fd.Message(), with(path, step{field: fd, index: i}))
		})
	}
	return p.message(from, to, fd.Message(), with(path, step{field: fd}))
}

func (p *rawAnys) any(from, to int, path []step) error {
	text := p.doc.text[from:to]
	var value []byte
	switch text[0] {
	case '"':
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return p.doc.errorf(from, "%s", err)
		}
		value = []byte(s)
	case '{', '[':
		typed := false
		if err := p.members(from, to, func(key string, _, _, _ int) error {
			typed = typed || key == "@type"
			return nil
		}); err != nil || typed {
			return err // protojson does it
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, text); err != nil {
			return p.doc.errorf(from, "%s", err)
		}
		value = compact.Bytes()
	case 'n': // null
		return nil
	default:
		return p.doc.errorf(from, `%s is no google.protobuf.Any: write a text, an object or a list`, text)
	}
	p.found = append(p.found, rawAny{path, value})
	for i := from; i < to; i++ {
		if p.text[i] != '\n' {
			p.text[i] = ' '
		}
	}
	p.text[from] = '{'
	p.text[to-1] = '}'
	return nil
}

// set puts the bytes into the Any at the end of the path. The messages on the way
// are there, because the document has them.
func (a rawAny) set(m protoreflect.Message) {
	for _, s := range a.path {
		v := m.Mutable(s.field)
		switch {
		case s.field.IsList():
			m = v.List().Get(s.index).Message()
		case s.field.IsMap():
			key, err := mapKey(s.field.MapKey(), s.key)
			if err != nil {
				return // protojson has refused it
			}
			m = v.Map().Mutable(key).Message()
		default:
			m = v.Message()
		}
	}
	m.Set(m.Descriptor().Fields().ByNumber(2), protoreflect.ValueOfBytes(a.value))
}

// mapKey is the key of a map that a JSON key stands for.
func mapKey(fd protoreflect.FieldDescriptor, text string) (protoreflect.MapKey, error) {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text).MapKey(), nil
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(text == "true").MapKey(), nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		n, err := strconv.ParseInt(text, 10, 32)
		return protoreflect.ValueOfInt32(int32(n)).MapKey(), err
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		n, err := strconv.ParseInt(text, 10, 64)
		return protoreflect.ValueOfInt64(n).MapKey(), err
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		n, err := strconv.ParseUint(text, 10, 32)
		return protoreflect.ValueOfUint32(uint32(n)).MapKey(), err
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		n, err := strconv.ParseUint(text, 10, 64)
		return protoreflect.ValueOfUint64(n).MapKey(), err
	}
	return protoreflect.MapKey{}, fmt.Errorf("%s cannot be the key of a map", fd.Kind())
}
