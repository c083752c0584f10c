package grpccall

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Methods returns the signatures of a service's methods: "SayHello(SayHelloRequest)
// returns (SayHelloResponse)".
func (c *Client) Methods(ctx context.Context, service string) ([]string, error) {
	sd, err := c.Service(ctx, service)
	if err != nil {
		return nil, err
	}
	var out []string
	for md := range methods(sd) {
		out = append(out, string(md.FullName().Parent())+"/"+signature(md))
	}
	return out, nil
}

func signature(md protoreflect.MethodDescriptor) string {
	return fmt.Sprintf("%s(%s%s) returns (%s%s)", md.Name(),
		stream(md.IsStreamingClient()), shortName(md.Input(), md),
		stream(md.IsStreamingServer()), shortName(md.Output(), md))
}

func stream(is bool) string {
	if is {
		return "stream "
	}
	return ""
}

// shortName leaves the package out of a name if it is that of where it is used.
func shortName(d, user protoreflect.Descriptor) string {
	if pkg := user.ParentFile().Package(); pkg != "" {
		return strings.TrimPrefix(string(d.FullName()), string(pkg)+".")
	}
	return string(d.FullName())
}

// Describe explains a method (SERVICE/METHOD), a service or a message to people:
// the fields of the request, and an example in JSON.
func (c *Client) Describe(ctx context.Context, name string) (string, error) {
	services, err := c.Services(ctx)
	if err != nil {
		return "", err
	}
	if _, err := pick(name, services); err == nil {
		signatures, err := c.Methods(ctx, name)
		return strings.Join(signatures, "\n") + "\n", err
	}
	// A message has a full name, so it is found only if it exists; what is
	// neither is most probably meant to be a method.
	if !strings.Contains(name, "/") && protoreflect.FullName(name).IsValid() {
		d, err := c.find(ctx, protoreflect.FullName(name))
		if err != nil {
			return "", err
		}
		if md, ok := d.(protoreflect.MessageDescriptor); ok {
			return describeMessage(md), nil
		}
	}
	if _, _, ok := SplitMethod(name); !ok {
		_, err := pick(name, services)
		return "", err
	}
	md, err := c.Method(ctx, name)
	if err != nil {
		return "", err
	}
	return describeMethod(md), nil
}

func describeMethod(md protoreflect.MethodDescriptor) string {
	service := md.Parent().FullName()
	return fmt.Sprintf("%s/%s\n\n%s\nexample:\n  ottavo call %s/%s -d '%s'\n", service, signature(md),
		messages(md.Input()), service, md.Name(), strings.ReplaceAll(string(example(md.Input())), "'", `'\''`))
}

func describeMessage(md protoreflect.MessageDescriptor) string {
	return fmt.Sprintf("%s\nexample:\n  %s\n", messages(md), example(md))
}

// messages lists the fields of a message and of those inside it.
func messages(root protoreflect.MessageDescriptor) string {
	var out bytes.Buffer
	todo, seen := []protoreflect.MessageDescriptor{root}, map[protoreflect.FullName]bool{root.FullName(): true}
	for len(todo) > 0 {
		md := todo[0]
		todo = todo[1:]
		if out.Len() > 0 {
			out.WriteByte('\n')
		}
		fmt.Fprintf(&out, "%s:\n", md.FullName())
		if md.Fields().Len() == 0 {
			out.WriteString("  no fields\n")
		}
		table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
		for i := range md.Fields().Len() {
			fd := md.Fields().Get(i)
			_, _ = fmt.Fprintf(table, "  %s\t%s\n", fd.JSONName(), fieldType(fd))
			if inner := fieldMessage(fd); inner != nil && !ownForm(inner.FullName()) && !seen[inner.FullName()] {
				seen[inner.FullName()] = true
				todo = append(todo, inner)
			}
		}
		_ = table.Flush() // into a buffer
	}
	return out.String()
}

func ownForm(name protoreflect.FullName) bool { return name == anyName || wellKnown(name) }

func fieldMessage(fd protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if fd.IsMap() {
		return fd.MapValue().Message()
	}
	return fd.Message()
}

// fieldType says in words what to write into a field.
func fieldType(fd protoreflect.FieldDescriptor) string {
	var text string
	switch {
	case fd.IsMap():
		text = fmt.Sprintf("map of %s to %s", typeName(fd.MapKey()), typeName(fd.MapValue()))
	case fd.IsList():
		text = "list of " + typeName(fd)
	default:
		text = typeName(fd)
	}
	if one := fd.ContainingOneof(); one != nil && !one.IsSynthetic() {
		text += fmt.Sprintf(" (one of %s)", one.Name())
	}
	return text
}

func typeName(fd protoreflect.FieldDescriptor) string {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		if fd.Message().FullName() == anyName {
			return `google.protobuf.Any: a text or JSON, or a message with "@type"`
		}
		return shortName(fd.Message(), fd)
	case protoreflect.EnumKind:
		names := make([]string, fd.Enum().Values().Len())
		for i := range names {
			names[i] = string(fd.Enum().Values().Get(i).Name())
		}
		return strings.Join(names, " | ")
	case protoreflect.BytesKind:
		return "bytes, in base64"
	}
	return fd.Kind().String()
}

// example is a JSON document that the message accepts.
func example(md protoreflect.MessageDescriptor) []byte {
	var out bytes.Buffer
	exampleMessage(&out, md, nil)
	return out.Bytes()
}

func exampleMessage(out *bytes.Buffer, md protoreflect.MessageDescriptor, above []protoreflect.FullName) {
	if ownForm(md.FullName()) {
		out.WriteString(exampleOwnForm(md))
		return
	}
	above = append(above[:len(above):len(above)], md.FullName())
	out.WriteByte('{')
	first, oneofs := true, map[protoreflect.FullName]bool{}
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		if inner := fieldMessage(fd); inner != nil && slices.Contains(above, inner.FullName()) {
			continue // would never end
		}
		if one := fd.ContainingOneof(); one != nil {
			if oneofs[one.FullName()] {
				continue
			}
			oneofs[one.FullName()] = true
		}
		if !first {
			out.WriteString(", ")
		}
		first = false
		fmt.Fprintf(out, "%q: ", fd.JSONName())
		exampleField(out, fd, above)
	}
	out.WriteByte('}')
}

func exampleField(out *bytes.Buffer, fd protoreflect.FieldDescriptor, above []protoreflect.FullName) {
	switch {
	case fd.IsMap():
		key := strings.Trim(exampleScalar(fd.MapKey()), `"`)
		fmt.Fprintf(out, "{%q: ", key)
		exampleValue(out, fd.MapValue(), above)
		out.WriteByte('}')
	case fd.IsList():
		out.WriteByte('[')
		exampleValue(out, fd, above)
		out.WriteByte(']')
	default:
		exampleValue(out, fd, above)
	}
}

func exampleValue(out *bytes.Buffer, fd protoreflect.FieldDescriptor, above []protoreflect.FullName) {
	if fd.Message() != nil {
		exampleMessage(out, fd.Message(), above)
		return
	}
	out.WriteString(exampleScalar(fd))
}

func exampleScalar(fd protoreflect.FieldDescriptor) string {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return `"text"`
	case protoreflect.BytesKind:
		return `"dGV4dA=="` // text
	case protoreflect.BoolKind:
		return "true"
	case protoreflect.EnumKind:
		values := fd.Enum().Values()
		if fd.Enum().FullName() == "google.protobuf.NullValue" {
			return "null"
		}
		name, _ := json.Marshal(values.Get(values.Len() - 1).Name()) // a text
		return string(name)
	}
	return "1"
}

func exampleOwnForm(md protoreflect.MessageDescriptor) string {
	switch md.Name() {
	case "Timestamp":
		return `"2026-01-02T15:04:05Z"`
	case "Duration":
		return `"1.5s"`
	case "FieldMask":
		return `"name"`
	case "Struct", "Empty":
		return `{}`
	case "ListValue":
		return `[]`
	case "BoolValue":
		return "true"
	case "BytesValue":
		return `"dGV4dA=="`
	case "Any", "Value", "StringValue":
		return `"text"`
	}
	return "1" // the wrappers of numbers
}
