package grpccall

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
)

// everything is a file with a field of every kind (Plain), and with Anys at every
// place (Holder).
const everything = `
name: "everything.proto" package: "test" syntax: "proto3"
dependency: ["google/protobuf/any.proto", "google/protobuf/struct.proto", "google/protobuf/timestamp.proto",
  "google/protobuf/wrappers.proto", "google/protobuf/duration.proto"]
enum_type { name: "Color" value { name: "RED" number: 0 } value { name: "BLUE" number: 1 } }
message_type {
  name: "Plain"
  field { name: "a_string" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "bytes" number: 2 label: LABEL_OPTIONAL type: TYPE_BYTES }
  field { name: "int32" number: 3 label: LABEL_OPTIONAL type: TYPE_INT32 }
  field { name: "uint32" number: 4 label: LABEL_OPTIONAL type: TYPE_UINT32 }
  field { name: "int64" number: 5 label: LABEL_OPTIONAL type: TYPE_INT64 }
  field { name: "uint64" number: 6 label: LABEL_OPTIONAL type: TYPE_UINT64 }
  field { name: "float" number: 7 label: LABEL_OPTIONAL type: TYPE_FLOAT }
  field { name: "doubles" number: 8 label: LABEL_REPEATED type: TYPE_DOUBLE }
  field { name: "bools" number: 9 label: LABEL_REPEATED type: TYPE_BOOL }
  field { name: "colors" number: 10 label: LABEL_REPEATED type: TYPE_ENUM type_name: ".test.Color" }
  field { name: "child" number: 11 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".test.Plain" oneof_index: 0 }
  field { name: "other" number: 12 label: LABEL_OPTIONAL type: TYPE_STRING oneof_index: 0 }
  field { name: "numbers" number: 13 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".test.Plain.NumbersEntry" }
  field { name: "struct" number: 14 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Struct" }
  field { name: "time" number: 15 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp" }
  field { name: "wrapped" number: 16 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Int64Value" }
  field { name: "nothing" number: 17 label: LABEL_OPTIONAL type: TYPE_ENUM type_name: ".google.protobuf.NullValue" }
  field { name: "took" number: 18 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Duration" }
  field { name: "plains" number: 19 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".test.Plain.PlainsEntry" }
  nested_type { name: "NumbersEntry" options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_SINT64 }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_FIXED64 } }
  nested_type { name: "PlainsEntry" options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".test.Plain" } }
  oneof_decl { name: "choice" }
}
message_type {
  name: "Holder"
  field { name: "one" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Any" }
  field { name: "list" number: 2 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".google.protobuf.Any" }
  field { name: "map" number: 3 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".test.Holder.MapEntry" }
  field { name: "by_number" number: 4 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".test.Holder.ByNumberEntry" }
  field { name: "by_bool" number: 5 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".test.Holder.ByBoolEntry" }
  field { name: "children" number: 6 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".test.Holder" }
  field { name: "struct" number: 7 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Struct" }
  field { name: "text" number: 8 label: LABEL_OPTIONAL type: TYPE_STRING }
  nested_type { name: "MapEntry" options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Any" } }
  nested_type { name: "ByNumberEntry" options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_UINT32 }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Any" } }
  nested_type { name: "ByBoolEntry" options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_BOOL }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Any" } }
}
`

// testTypes returns the messages of everything.
func testTypes(t testing.TB) (plain, holder protoreflect.MessageDescriptor, types resolver) {
	t.Helper()
	set := &descriptorpb.FileDescriptorSet{}
	f := &descriptorpb.FileDescriptorProto{}
	if err := prototext.Unmarshal([]byte(everything), f); err != nil {
		t.Fatal(err)
	}
	for _, name := range f.GetDependency() {
		d, err := protoregistry.GlobalFiles.FindFileByPath(name)
		if err != nil {
			t.Fatal(err)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(d))
	}
	set.File = append(set.File, f)
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	find := func(name protoreflect.FullName) protoreflect.MessageDescriptor {
		d, err := files.FindDescriptorByName(name)
		if err != nil {
			t.Fatal(err)
		}
		return d.(protoreflect.MessageDescriptor)
	}
	return find("test.Plain"), find("test.Holder"), resolver{dynamicpb.NewTypes(files)}
}

func doc(text string) document { return document{[]byte(text), 1, 1} }

func TestRawAnysEverywhere(t *testing.T) {
	t.Parallel()
	_, holder, types := testTypes(t)
	text := `{
  "one": {"a":
    [1, 2]},
  "list": ["x", {"@type": "t/test.Holder", "text": "typed"}, {}, [], "é\n"],
  "map": {"k\"": "in map", "@type": "odd key"},
  "by_number": {"17": "seventeen", "4": ""},
  "byBool": {"true": {"b" : false}},
  "children": [{"one": "c0"}, {"children": [{"list": ["deep", "er"]}]}],
  "struct": {"one": {"not": "an any"}},
  "text": "\"@type\""
}`
	m, err := parse(doc(text), holder, types)
	if err != nil {
		t.Fatal(err)
	}
	got, err := printJSON(m, types)
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "one": {
    "value": "{\"a\":[1,2]}"
  },
  "list": [
    {
      "value": "x"
    },
    {
      "@type": "t/test.Holder",
      "text": "typed"
    },
    {
      "value": "{}"
    },
    {
      "value": "[]"
    },
    {
      "value": "é\n"
    }
  ],
  "map": {
    "@type": {
      "value": "odd key"
    },
    "k\"": {
      "value": "in map"
    }
  },
  "byNumber": {
    "17": {
      "value": "seventeen"
    },
    "4": {
      "value": ""
    }
  },
  "byBool": {
    "true": {
      "value": "{\"b\":false}"
    }
  },
  "children": [
    {
      "one": {
        "value": "c0"
      }
    },
    {
      "children": [
        {
          "list": [
            {
              "value": "deep"
            },
            {
              "value": "er"
            }
          ]
        }
      ]
    }
  ],
  "struct": {
    "one": {
      "not": "an any"
    }
  },
  "text": "\"@type\""
}`
	if string(got) != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

// Places in errors are those of the original, also behind a raw Any.
func TestPlacesBehindRawAny(t *testing.T) {
	t.Parallel()
	_, holder, types := testTypes(t)
	for text, want := range map[string]string{
		`{"one": "a long text", "text": 3}`:                        "line 1, column 32: invalid value for string field text: 3",
		"{\"one\": {\n \"a\": 1\n}, \"text\": 3}":                  "line 3, column 12: invalid value for string field text: 3",
		"{\"children\": [{\"one\": [1,\n2]}, {\"\\u0074xt\": 3}]}": `line 2, column 7: test.Holder has no field "txt" (did you mean text?); its fields: one, list, map, byNumber, byBool, children, struct, text`,
		`{"list": ["a", true]}`:                                    "line 1, column 16: true is no google.protobuf.Any: write a text, an object or a list",
		`{"by_number": {"x": "a"}}`:                                `line 1, column 16: invalid value for uint32 key: "x"`,
		`[]`:                                                       "line 1, column 1: syntax error unexpected token [",
		`{"one": "a", "one": "b"}`:                                 `line 1, column 14: duplicate field "one"`,
	} {
		_, err := parse(doc(text), holder, types)
		if err == nil || err.Error() != want {
			t.Errorf("%s: error\n%v, want\n%s", text, err, want)
		}
	}
}

func TestPrintAny(t *testing.T) {
	t.Parallel()
	_, holder, types := testTypes(t)
	any := func(url string, value []byte) *anypb.Any { return &anypb.Any{TypeUrl: url, Value: value} }
	deep := any("", []byte("bottom"))
	for range 10 * maxDepth {
		packed, err := proto.Marshal(deep)
		if err != nil {
			t.Fatal(err)
		}
		deep = any("x/google.protobuf.Any", packed)
	}
	for name, tc := range map[string]struct {
		any  *anypb.Any
		want string
	}{
		"empty":          {any("", nil), `{"value":""}`},
		"text":           {any("", []byte("<é\x00>")), `{"value":"<é\u0000>"}`},
		"bytes":          {any("", []byte{0xff}), `{"value":"/w=="}`},
		"unknown type":   {any("x/un.Known", []byte("v")), `{"@type":"x/un.Known","value":"v"}`},
		"wrong bytes":    {any("x/test.Holder", []byte{0xff}), `{"@type":"x/test.Holder","value":"/w=="}`},
		"empty message":  {any("x/test.Holder", nil), `{"@type":"x/test.Holder"}`},
		"empty, in any":  {any("x/google.protobuf.Any", nil), `{"@type":"x/google.protobuf.Any","value":{"value":""}}`},
		"wrapper in any": {any("x/google.protobuf.BoolValue", []byte{8, 1}), `{"@type":"x/google.protobuf.BoolValue","value":true}`},
	} {
		p := &printer{types: types}
		if err := p.message(tc.any.ProtoReflect()); err != nil || p.out.String() != tc.want {
			t.Errorf("%s: %s, %v, want %s", name, p.out.String(), err, tc.want)
		}
	}
	p := &printer{types: types}
	if err := p.message(deep.ProtoReflect()); err != nil {
		t.Errorf("a very deep Any: %v", err)
	}
	if n := strings.Count(p.out.String(), "{"); n != maxDepth+1 {
		t.Errorf("a very deep Any is written %d deep, want %d", n, maxDepth+1)
	}
	_ = holder
}

// Every example that Describe shows is a request that call accepts.
func TestExamplesAreAccepted(t *testing.T) {
	t.Parallel()
	plain, holder, types := testTypes(t)
	all := []protoreflect.MessageDescriptor{plain, holder}
	protoregistry.GlobalTypes.RangeMessages(func(mt protoreflect.MessageType) bool {
		all = append(all, mt.Descriptor())
		return true
	})
	if len(all) < 20 {
		t.Fatalf("only %d messages", len(all))
	}
	for _, md := range all {
		if md.IsMapEntry() || md.FullName() == "google.protobuf.Any" {
			continue
		}
		if _, err := parse(doc(string(example(md))), md, types); err != nil && !strings.Contains(err.Error(), "required field") {
			t.Errorf("%s: %v\n%s", md.FullName(), err, example(md))
		}
	}
}

func TestDescribeMessage(t *testing.T) {
	t.Parallel()
	plain, _, _ := testTypes(t)
	got := describeMessage(plain)
	for _, want := range []string{
		"test.Plain:\n", "aString  string", "bytes, in base64", "list of RED | BLUE", "Plain (one of choice)",
		"map of sint64 to fixed64", "google.protobuf.Timestamp", "\nexample:\n  {\"aString\": \"text\"",
	} {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	docs := newDocuments(strings.NewReader(" {}\n[1,\n2] \"x\"\n  7\n\n{\"a\":\n{"), 1000)
	var got []string
	for {
		d, err := docs.next()
		if err != nil {
			if want := "line 7, column 2: the JSON ends too early"; err.Error() != want {
				t.Errorf("end %q, want %q", err, want)
			}
			break
		}
		got = append(got, fmt.Sprintf("%d:%d %s", d.line, d.column, d.text))
	}
	if want := []string{"1:2 {}", "2:1 [1,\n2]", "3:4 \"x\"", "4:3 7"}; !slices.Equal(got, want) {
		t.Errorf("documents %q, want %q", got, want)
	}
}

// FuzzRequest: parse understands what protojson understands, and what is printed
// is that message again. With Anys in it, nothing panics and places are inside the
// document.
func FuzzRequest(f *testing.F) {
	plain, holder, types := testTypes(f)
	seeds := map[string]string{
		"empty":  `{}`,
		"all":    string(example(plain)),
		"values": `{"aString":"é\u0000<","bytes":"_w==","int32":-1,"int64":"-5","uint64":18446744073709551615,"float":"NaN","doubles":[1e300,-0.0,"Infinity","-Infinity",1.5],"colors":["BLUE",7],"numbers":{"-1":"2"},"struct":{"a":[null,{"b":1}]},"time":"2026-01-02T15:04:05.5Z","wrapped":"9","nothing":null,"took":"-1.5s","plains":{"":{"other":""}}}`,
		"anys":   `{"one":"x","list":[{"@type":"t/test.Plain"},[1],{}],"map":{"a":"b"},"by_number":{"1":"c"},"children":[{"one":{"a":1}}]}`,
		"broken": "{\"one\": {\n\"a\"",
	}
	for _, name := range slices.Sorted(maps.Keys(seeds)) {
		f.Add([]byte(seeds[name]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs := newDocuments(bytes.NewReader(data), 1<<20)
		d, err := docs.next()
		if err != nil {
			return
		}
		m, err := parse(d, plain, types)
		reference := dynamicpb.NewMessage(plain)
		wantErr := protojson.UnmarshalOptions{Resolver: types}.Unmarshal(d.text, reference)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("parse: %v, protojson: %v", err, wantErr)
		}
		if err == nil {
			text, err := printJSON(m, types)
			if err != nil {
				// protojson refuses to print what it has read: a Value that is not set.
				if _, refErr := (protojson.MarshalOptions{Resolver: types}).Marshal(reference); refErr == nil {
					t.Fatal(err)
				}
				return
			}
			again := dynamicpb.NewMessage(plain)
			if err := (protojson.UnmarshalOptions{Resolver: types}).Unmarshal(text, again); err != nil || !proto.Equal(again, reference) {
				t.Fatalf("printed\n%s\nwhich reads as %v, %v, want %v", text, again, err, reference)
			}
		}
		m, err = parse(d, holder, types)
		if err != nil {
			e, ok := errors.AsType[*JSONError](err)
			if !ok || e.Line < 1 || e.Column < 1 || e.Line > bytes.Count(data, []byte("\n"))+1 {
				t.Fatalf("error %v (%T)", err, err)
			}
			return
		}
		if _, err := printJSON(m, types); err != nil && !strings.Contains(err.Error(), "google.protobuf.Value") {
			t.Fatal(err)
		}
	})
}
