package proto_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/ottavo-runtime/ottavo/spec/proto/dapr/components/v1"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/cryption"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/delay_queue"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/email"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/phone"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/s3"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/sms"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/common"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/component"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/configuration"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/cryption"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/custom"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/email"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/file"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/hello"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/lock"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/objectstore"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/phone"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/sequencer"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/sms"
	_ "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// contractFile is the list of everything that Layotto's clients may rely on, and
// daprContractFile of what Dapr's components in processes of their own may.
const (
	contractFile     = "testdata/layotto-api.tsv"
	daprContractFile = "testdata/dapr-components.tsv"
	daprPackage      = "dapr.proto.components.v1"
)

// ours are the packages that are in no contract: kinds of components for which
// neither Layotto nor Dapr has one.
var ours = []string{
	"spec.proto.pluggable.v1.component", "spec.proto.pluggable.v1.configuration", "spec.proto.pluggable.v1.cryption",
	"spec.proto.pluggable.v1.custom", "spec.proto.pluggable.v1.email", "spec.proto.pluggable.v1.file",
	"spec.proto.pluggable.v1.lock", "spec.proto.pluggable.v1.objectstore", "spec.proto.pluggable.v1.phone",
	"spec.proto.pluggable.v1.sequencer", "spec.proto.pluggable.v1.sms",
}

// columns of the contract. Each row is a method, a field, a value of an enum,
// or a message without fields.
var columns = []string{"kind", "package", "parent", "name", "number", "type", "label", "oneof"}

// TestContract compares the API that is compiled in with the contract, row by
// row and in both directions: nothing is missing, nothing differs, nothing is
// there that the contract does not have, but for the packages that are ours.
func TestContract(t *testing.T) {
	compare(t, contractFile, 800, func(pkg string) bool { return pkg != daprPackage && !slices.Contains(ours, pkg) })
}

// TestDaprContract does that for the components that are made for Dapr.
func TestDaprContract(t *testing.T) {
	compare(t, daprContractFile, 150, func(pkg string) bool { return pkg == daprPackage })
}

// compare compares what is compiled in of some packages with a contract of at
// least so many rows.
func compare(t *testing.T, contractFile string, least int, in func(pkg string) bool) {
	t.Helper()
	want := contractRows(t, contractFile, least)
	got := map[string]bool{}
	for file := range apiFiles() {
		if in(string(file.Package())) {
			addRows(got, file)
		}
	}
	var diff []string
	for row := range want {
		if !got[row] {
			diff = append(diff, "missing:         "+row)
		}
	}
	for row := range got {
		if !want[row] {
			diff = append(diff, "not in contract: "+row)
		}
	}
	slices.SortFunc(diff, func(a, b string) int { // the two halves of a changed row side by side
		return strings.Compare(a[strings.Index(a, ":")+1:], b[strings.Index(b, ":")+1:])
	})
	if len(diff) > 0 {
		t.Errorf("the compiled API differs from %s in %d rows (%s):\n%s",
			contractFile, len(diff), strings.Join(columns, ", "), strings.Join(diff, "\n"))
	}
	t.Logf("%d rows compared", len(want))
}

// TestContractCopy compares the copy of the contract in testdata with its
// original, which lies beside the repository where the project is developed.
func TestContractCopy(t *testing.T) {
	original := filepath.Join("..", "..", "..", "shared", "contract", "layotto-api.tsv")
	want, err := os.ReadFile(original)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("there is no original at %s: this is a clone of its own", original)
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(contractFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from %s: copy it again and change the .proto files accordingly", contractFile, original)
	}
}

// contractRows returns the rows of the contract, each in the form that row makes.
func contractRows(t *testing.T, contractFile string, least int) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(contractFile)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if lines[0] != strings.Join(columns, "\t") {
		t.Fatalf("%s begins with the columns %q, want %q", contractFile, lines[0], strings.Join(columns, "\t"))
	}
	rows := map[string]bool{}
	for i, line := range lines[1:] {
		cells := strings.Split(line, "\t")
		if len(cells) != len(columns) {
			t.Fatalf("%s:%d has %d columns, want %d", contractFile, i+2, len(cells), len(columns))
		}
		r := row(cells...)
		if rows[r] {
			t.Fatalf("%s:%d repeats a row", contractFile, i+2)
		}
		rows[r] = true
	}
	if len(rows) < least {
		t.Fatalf("%s has only %d rows; is it cut off?", contractFile, len(rows))
	}
	return rows
}

func row(cells ...string) string { return strings.Join(cells, " | ") }

// apiFiles yields the descriptors of all .proto files of the API.
func apiFiles() iter.Seq[protoreflect.FileDescriptor] {
	return func(yield func(protoreflect.FileDescriptor) bool) {
		protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
			return !strings.HasPrefix(file.Path(), "spec/proto/") || yield(file)
		})
	}
}

// addRows adds what a file defines to rows.
func addRows(rows map[string]bool, file protoreflect.FileDescriptor) {
	pkg := string(file.Package())
	for service := range each(file.Services()) {
		for method := range each(service.Methods()) {
			rows[row("method", pkg, string(service.Name()), string(method.Name()), "",
				side(method.Input(), method.IsStreamingClient())+" -> "+side(method.Output(), method.IsStreamingServer()),
				streamKind(method), "")] = true
		}
	}
	addEnums(rows, pkg, file.Enums())
	addMessages(rows, pkg, file.Messages())
	for extension := range each(file.Extensions()) {
		rows[row("extension", pkg, string(extension.ContainingMessage().FullName()), string(extension.Name()),
			fmt.Sprint(extension.Number()), fieldType(extension), "", "")] = true
	}
}

func addMessages(rows map[string]bool, pkg string, messages protoreflect.MessageDescriptors) {
	for message := range each(messages) {
		if message.IsMapEntry() {
			continue
		}
		name := within(pkg, message)
		if message.Fields().Len() == 0 {
			rows[row("message", pkg, name, "", "", "", "empty", "")] = true
		}
		for field := range each(message.Fields()) {
			oneof := ""
			if o := field.ContainingOneof(); o != nil && !o.IsSynthetic() {
				oneof = string(o.Name())
			}
			rows[row("field", pkg, name, string(field.Name()), fmt.Sprint(field.Number()),
				fieldType(field), fieldLabel(field), oneof)] = true
		}
		addEnums(rows, pkg, message.Enums())
		addMessages(rows, pkg, message.Messages())
	}
}

func addEnums(rows map[string]bool, pkg string, enums protoreflect.EnumDescriptors) {
	for enum := range each(enums) {
		for value := range each(enum.Values()) {
			rows[row("enum", pkg, within(pkg, enum), string(value.Name()), fmt.Sprint(value.Number()), "enum", "", "")] = true
		}
	}
}

// within is the name of d without its package; a nested type keeps the name of its parent.
func within(pkg string, d protoreflect.Descriptor) string {
	return strings.TrimPrefix(string(d.FullName()), pkg+".")
}

func side(message protoreflect.MessageDescriptor, stream bool) string {
	if stream {
		return "stream " + string(message.FullName())
	}
	return string(message.FullName())
}

func streamKind(method protoreflect.MethodDescriptor) string {
	switch {
	case method.IsStreamingClient() && method.IsStreamingServer():
		return "bidi-stream"
	case method.IsStreamingClient():
		return "client-stream"
	case method.IsStreamingServer():
		return "server-stream"
	}
	return "unary"
}

func fieldType(field protoreflect.FieldDescriptor) string {
	switch {
	case field.IsMap():
		return "map<" + fieldType(field.MapKey()) + "," + fieldType(field.MapValue()) + ">"
	case field.Message() != nil:
		return string(field.Message().FullName())
	case field.Enum() != nil:
		return string(field.Enum().FullName())
	}
	return field.Kind().String()
}

func fieldLabel(field protoreflect.FieldDescriptor) string {
	switch {
	case field.IsMap():
		return "map"
	case field.IsList():
		return "repeated"
	case field.HasOptionalKeyword():
		return "optional"
	case field.Cardinality() == protoreflect.Required:
		return "required"
	}
	return "singular"
}

// list is what all lists of descriptors have in common.
type list[D any] interface {
	Len() int
	Get(int) D
}

// each yields the elements of a list of descriptors.
func each[D any](l list[D]) iter.Seq[D] {
	return func(yield func(D) bool) {
		for i := range l.Len() {
			if !yield(l.Get(i)) {
				return
			}
		}
	}
}
