package hessian_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	hessian2 "github.com/apache/dubbo-go-hessian2"

	"github.com/ottavo-runtime/ottavo/proxy/filter/transcoder/hessian"
)

func TestTypes(t *testing.T) {
	for _, c := range []struct{ name, want, descriptor string }{
		{"int", "int", "I"},
		{"I", "int", "I"},
		{" long ", "long", "J"},
		{"[J", "long[]", "[J"},
		{"byte[ ]", "", ""},
		{"byte[][]", "byte[][]", "[[B"},
		{"String", "java.lang.String", "Ljava/lang/String;"},
		{"Ljava/lang/String;", "java.lang.String", "Ljava/lang/String;"},
		{"[Ljava.lang.String;", "java.lang.String[]", "[Ljava/lang/String;"},
		{"java.util.List<java.lang.String>", "java.util.List", "Ljava/util/List;"},
		{"List<String>[]", "java.util.List[]", "[Ljava/util/List;"},
		{"Object", "java.lang.Object", "Ljava/lang/Object;"},
		{"com.shop.Order$Line", "com.shop.Order$Line", "Lcom/shop/Order$Line;"},
		{"", "", ""},
		{"X", "", ""},
		{"[X", "", ""},
		{"a b", "", ""},
		{"1a", "", ""},
		{"a.", "", ""},
		{"Lx;Ly;", "", ""},
		{strings.Repeat("[", 17) + "I", "", ""},
	} {
		got, err := hessian.ParseType(c.name)
		switch {
		case (err != nil) != (c.want == ""):
			t.Errorf("%q: %v, %v", c.name, got, err)
		case err == nil && (got.String() != c.want || got.Descriptor() != c.descriptor):
			t.Errorf("%q is %s, %s", c.name, got, got.Descriptor())
		}
	}
	for value, want := range map[string]string{
		`"a"`: "java.lang.String", ` {}`: "java.util.Map", "[1]": "java.util.List", "true": "boolean", "null": "java.lang.Object",
		"1": "int", "2147483648": "long", "-1.5": "double", "1e3": "double", "100000000000000000000": "double", "99999999999999999999": "java.lang.Object", "": "java.lang.Object",
	} {
		if got := hessian.Infer([]byte(value)); got.String() != want {
			t.Errorf("%s is taken for %s, want %s", value, got, want)
		}
	}
}

func write(value, typ string) ([]byte, error) {
	parsed, err := hessian.ParseType(typ)
	if err != nil {
		return nil, err
	}
	w := hessian.NewWriter()
	err = w.JSON([]byte(value), parsed)
	return w.Bytes(), err
}

// What is written is read back, by us and by the library alone.
func TestThereAndBack(t *testing.T) {
	long := `"` + strings.Repeat("größer 😀 ", 10000) + `"`
	for _, c := range []struct{ typ, value, want string }{
		{"Object", `null`, ""},
		{"Object", `true`, ""},
		{"boolean", `false`, ""},
		{"Integer", `null`, ""},
		{"int", `-2147483648`, ""},
		{"byte", `-128`, ""},
		{"short", `32767`, ""},
		{"long", `1`, ""},
		{"long", `-9223372036854775808`, ""},
		{"Object", `9223372036854775807`, ""},
		{"Object", `-300`, ""},
		{"Object", `1e2`, "100.0"},
		{"Object", `100000000000000000000`, "100000000000000000000.0"}, // which a double says exactly
		{"double", `1`, "1.0"},
		{"double", `-0.5`, ""},
		{"Double", `1e300`, "1e+300"},
		{"float", `12.25`, ""},
		{"float", `16777216`, "16777216.0"},
		{"double", `9007199254740992`, "9007199254740992.0"},
		{"char", `"ä"`, ""},
		{"String", `""`, ""},
		{"String", `"a\"b\\c\n\r\t\u0001<&>\u00e9\ud83d\ude00"`, `"a\"b\\c\n\r\t\u0001<&>é😀"`},
		{"String", `"\ud83d"`, `"` + "\ufffd" + `"`},
		{"String", long, ""},
		{"Object", ` [ 1 , [ ] , { } , "]" , [ [ 2 , 3 ] ] ] `, `[1,[],{},"]",[[2,3]]]`},
		{"Object", `{"b":1,"a":{"c":[null,"x"]},"":2.5}`, ""},
		{"List<String>", `["a","b"]`, ""},
		{"Set", `[1]`, ""},
		{"Map", `{"z":1,"a":[]}`, ""},
		{"int[]", `[1,2]`, ""},
		{"long[][]", `[[1],[],null]`, ""},
		{"String[]", `["a",null]`, ""},
		{"Object[]", `[1,"a"]`, ""},
		{"byte[]", `"AQID"`, ""},
		{"byte[]", `""`, ""},
		{"byte[]", `[1,2]`, ""},
		{"Date", `"2024-05-06T07:08:09.123Z"`, ""},
		{"Date", `"2024-05-06T07:08:09+02:00"`, `"2024-05-06T05:08:09Z"`},
		{"Date", `0`, `"1970-01-01T00:00:00Z"`},
		{"Date", `"1900-01-01T00:00:00.001Z"`, ""},
		{"com.shop.Order", `{"id":7,"lines":[{"sku":"a"}]}`, ""},
		{"com.shop.Color", `"RED"`, `{"name":"RED"}`},
		{"com.shop.Color[]", `["RED","BLUE",null]`, `[{"name":"RED"},{"name":"BLUE"},null]`},
		{"BigDecimal", `123456789012345678901234567890.50`, ""},
		{"BigDecimal", `"-1.10"`, "-1.10"},
	} {
		b, err := write(c.value, c.typ)
		if err != nil {
			t.Errorf("%s %.60s: %v", c.typ, c.value, err)
			continue
		}
		r := hessian.NewReader(b, 1<<20)
		got, err := r.Value()
		if c.want == "" {
			c.want = c.value
		}
		if err != nil || string(got) != c.want || r.More() {
			t.Errorf("%s %.60s: got %.60s, %v, want %.60s", c.typ, c.value, got, err, c.want)
		}
		if v, err := hessian2.NewDecoder(b).Decode(); err != nil {
			t.Errorf("%s %.60s: the library alone: %v, %v", c.typ, c.value, v, err)
		}
	}
}

func TestMismatches(t *testing.T) {
	for _, c := range []struct{ typ, value, want string }{
		{"int", `null`, "at byte 1: null is no int"},
		{"int", `2147483648`, "2147483648 is no int"},
		{"byte", `128`, "no byte"},
		{"int", `1.5`, "1.5 is no int"},
		{"int", `"1"`, "text is no int"},
		{"long", `9223372036854775808`, "no long"},
		{"boolean", `1`, "a number is no boolean"},
		{"String", ` {}`, "at byte 2: an object is no java.lang.String"},
		{"char", `"ab"`, "another length"},
		{"double", `true`, "a boolean is no double"},
		{"float", `1e39`, "1e39 is no float"},
		{"Float", `16777217`, "16777217 is no java.lang.Float"}, // it would be another
		{"double", `9007199254740993`, "9007199254740993 is no double"},
		{"List", `{}`, "an object is no java.util.List"},
		{"Map", `[]`, "a list is no java.util.Map"},
		{"int[]", `[1, "2"]`, "at byte 5: text is no int"},
		{"int[]", `1`, "a number is no int[]"},
		{"byte[]", `"%"`, "base64"},
		{"Date", `"yesterday"`, "2006-01-02"},
		{"Date", `1.5`, "1.5 is no"},
		{"Date", `true`, "a boolean is no"},
		{"BigDecimal", `"x"`, "no java.math.BigDecimal"},
		{"BigDecimal", `[]`, "a list is no"},
		{"com.shop.Order", `[]`, "a list is no com.shop.Order"},
		{"Object", `1e999`, "too large a number"},
		{"Object", `12345678901234567890`, "too large a number"}, // as a double it would be another
		{"Object", `-9223372036854775809`, "too large a number"},
		{"Object", strings.Repeat("[", 300) + strings.Repeat("]", 300), "nested deeper than 200"},
		{"Object", `{"a":1`, "no JSON, at byte 6"},
		{"Object", `1 2`, "no JSON, at byte 3"},
		{"Object", ``, "no JSON"},
	} {
		if b, err := write(c.value, c.typ); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %.60s: %q, %v; want %q", c.typ, c.value, b, err, c.want)
		}
	}
	if e, ok := hessian.Elements([]byte(" [1, {}]")); !ok || len(e) != 2 || string(e[1]) != "{}" {
		t.Errorf("elements %q, %v", e, ok)
	}
	for _, none := range []string{"", "{}", "[1", "1"} {
		if _, ok := hessian.Elements([]byte(none)); ok {
			t.Errorf("%q has elements", none)
		}
	}
}

// What only other peers write.
func TestRead(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"object", "C\x07a.Order\x92\x02id\x04next\x60\x91O\x90\x92N", `{"id":1,"next":{"id":2,"next":null}}`},
		{"two definitions", "C\x01A\x91\x01aC\x01B\x90\x60\x61", `{"a":{}}`},
		{"typed map, type again", "M\x01a\x01x\x91\x01yM\x90ZZ", `{"x":1,"y":{}}`},
		{"list to its end", "W\x91\x92Z", `[1,2]`},
		{"typed list to its end", "U\x04[int\x91Z", `[1]`},
		{"short lists", "\x72\x04[int\x91\x92", `[1,2]`},
		{"short list without type", "\x7a\x91\x92", `[1,2]`},
		{"number keys", "H\x91\x01aT\x01bN\x01cZ", `{"1":"a","true":"b","null":"c"}`},
		{"reference", "\x7a\x79\x91Q\x91", `[[1],[1]]`},
		{"date in minutes", "K\x00\x00\x00\x01", `"1970-01-01T00:01:00Z"`},
		{"not a number", "D\x7f\xf8\x00\x00\x00\x00\x00\x00", `"NaN"`},
		{"infinite", "D\xff\xf0\x00\x00\x00\x00\x00\x00", `"-Infinity"`},
		{"binary in pieces", "A\x00\x01\x01\x21\x02", `"AQI="`},
		{"string in pieces", "R\x00\x01a\x01b", `"ab"`},
		{"surrogates by themselves", "\x02\xed\xa0\xbd\xed\xb8\x80", `"😀"`},
		{"big integer", "C\x14java.math.BigInteger\x91\x05value\x60\x0212", `12`},
		{"a decimal that is an int", "C\x14java.math.BigDecimal\x91\x05value\x60I\x00\x01\xe2\x40", `{"value":123456}`},
		{"a decimal that is a list", "C\x14java.math.BigDecimal\x91\x05value\x60\x79\xa0", `{"value":[16]}`},
		{"a decimal that is none", "C\x14java.math.BigDecimal\x91\x05value\x60\x02no", `{"value":"no"}`},
	} {
		got, err := hessian.NewReader([]byte(c.in), 1<<10).Value()
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.name, got, err, c.want)
		}
	}
	var bomb bytes.Buffer // each list holds the one before twice
	bomb.WriteString("\x7f")
	for range 6 {
		bomb.WriteString("N")
	}
	bomb.Reset()
	const depth = 40
	bomb.WriteString("X\xc8\x29") // 41 lists
	bomb.WriteString("\x79\x91")
	for i := range depth {
		bomb.WriteString("\x7aQ" + string([]byte{0x91 + byte(i)}) + "Q" + string([]byte{0x91 + byte(i)}))
	}
	for _, c := range []struct{ name, in, want string }{
		{"itself", "\x79Q\x90", "contains itself"},
		{"nothing", "Q\x95", "a reference to nothing"},
		{"bomb", bomb.String(), "larger than 1024 bytes"},
		{"large", "S\x08\x00" + strings.Repeat("a", 2048), "larger than 1024 bytes"},
		{"too deep", strings.Repeat("\x79", 300) + "N", "nested deeper"},
		{"huge list", "XI\x7f\xff\xff\xff", "ends too early"},
		{"negative list", "X\x8f", "less than no elements"},
		{"huge class", "C\x01AI\x7f\xff\xff\xff", "definition of a class"},
		{"no class", "\x60", "not defined"},
		{"key is a list", "H\x78NZ", "keys are lists"},
		{"end", "Z", "without a beginning"},
		{"cut", "H\x01a", "too early"},
		{"nothing at all", "", "too early"},
		{"no tag", "G", "does not begin a value"},
	} {
		if got, err := hessian.NewReader([]byte(c.in), 1<<10).Value(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.60s, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func TestLoose(t *testing.T) {
	r := hessian.NewReader([]byte("C\x01E\x92\x05cause\x01m\x60Q\x90\x01x"), 100)
	r.Loose = true
	if v, err := r.Value(); string(v) != `{"cause":null,"m":"x"}` || err != nil {
		t.Errorf("%s, %v", v, err)
	}
}

func TestParts(t *testing.T) {
	r := hessian.NewReader([]byte("\x012\x91NH\x01a\x01b\x01c\x91\x91\x01d\x01e\x79\x91ZC\x01E\x90\x60N"), 100)
	if s, ok, err := r.String(); s != "2" || !ok || err != nil {
		t.Errorf("%q, %v, %v", s, ok, err)
	}
	if n, err := r.Int(); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if s, ok, err := r.String(); s != "" || ok || err != nil {
		t.Errorf("%q, %v, %v", s, ok, err)
	}
	got := ""
	if err := r.Strings(func(k, v string) { got += k + "=" + v + " " }); err != nil || got != "a=b " {
		t.Errorf("%q, %v", got, err)
	}
	if v, err := r.Value(); string(v) != "{}" || err != nil || r.Class() != "E" {
		t.Errorf("%s of class %q, %v", v, r.Class(), err)
	}
	if err := r.Strings(nil); err != nil || r.More() {
		t.Errorf("%v", err)
	}
	for name, f := range map[string]func(r *hessian.Reader) error{
		"string": func(r *hessian.Reader) error { _, _, err := r.String(); return err },
		"int":    func(r *hessian.Reader) error { _, err := r.Int(); return err },
		"map":    func(r *hessian.Reader) error { return r.Strings(func(string, string) {}) },
	} {
		for _, in := range []string{"", "T", "\x78", "H\x01a", "M\x78"} {
			if err := f(hessian.NewReader([]byte(in), 100)); err == nil {
				t.Errorf("%s of %q", name, in)
			}
		}
	}
}

// The limit counts every byte of the JSON, those that close lists, maps and objects, too.
func TestLimitIsExact(t *testing.T) {
	for in, want := range map[string]string{
		"\x7a\x91\x92":                "[1,2]",
		"W\x79\x79\x91Z":              "[[[1]]]",
		"H\x01a\x91Z":                 `{"a":1}`,
		"C\x01E\x91\x01a\x60\x79\x91": `{"a":[1]}`,
		"\x02ab":                      `"ab"`,
	} {
		for limit := range len(want) + 2 {
			got, err := hessian.NewReader([]byte(in), limit).Value()
			switch {
			case limit < len(want) && (err == nil || !strings.Contains(err.Error(), "larger than")):
				t.Errorf("%q with a limit of %d: %s, %v", in, limit, got, err)
			case limit >= len(want) && (err != nil || string(got) != want):
				t.Errorf("%q with a limit of %d: %s, %v, want %s", in, limit, got, err, want)
			}
		}
	}
}

// Whatever bytes come: no panic, JSON or an error, no more than the limit allows.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"C\x07a.Order\x92\x02id\x04next\x60\x91O\x90\x92N", "M\x01a\x01x\x91\x01yM\x90ZZ", "W\x91\x92Z", "\x72\x04[int\x91\x92", "\x7a\x79\x91Q\x91",
		"D\x7f\xf8\x00\x00\x00\x00\x00\x00", "A\x00\x01\x01\x21\x02", "R\x00\x01a\x01b", "\x02\xed\xa0\xbd\xed\xb8\x80", "J\x00\x00\x00\x00\x00\x00\x00\x01",
		"C\x14java.math.BigDecimal\x91\x05value\x60\x0212", "H\x91\x01aT\x01bZ", "Y\x00\x00\x00\x01\x5f\x00\x00\x00\x01", "C\x0aa.Throwable\x91\x01m\x60\x01x",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 4 << 10
		r := hessian.NewReader(b, limit)
		total := 0
		for r.More() {
			v, err := r.Value()
			if err != nil {
				return
			}
			if !json.Valid(v) {
				t.Fatalf("%q is no JSON", v)
			}
			if total += len(v); total > limit {
				t.Fatalf("%d bytes, more than %d", total, limit)
			}
		}
	})
}

// Any JSON is written as Hessian that says the same.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x",null,true,{"b":[]}]}`, `"\ud83d\ude00"`, `[[[]]]`, `-0`, `1e400`, `123456789012`, `{"a":1,"a":2}`} {
		for _, typ := range []string{"Object", "int", "com.A", "Map", "List", "String[]", "Date", "byte[]", "BigDecimal"} {
			f.Add([]byte(s), typ)
		}
	}
	f.Fuzz(func(t *testing.T, value []byte, name string) {
		typ, err := hessian.ParseType(name)
		if err != nil {
			return
		}
		if again, err := hessian.ParseType(typ.Descriptor()); err != nil || again != typ {
			t.Fatalf("%q: the descriptor %s is read as %v, %v", name, typ.Descriptor(), again, err)
		}
		w := hessian.NewWriter()
		if err := w.JSON(value, typ); err != nil {
			return
		}
		r := hessian.NewReader(w.Bytes(), 1<<20)
		v, err := r.Value()
		if err != nil || r.More() || !json.Valid(v) {
			t.Fatalf("%q as %s is %q: %s, %v", value, typ, w.Bytes(), v, err)
		}
		if typ != (hessian.Type{}) {
			return
		}
		var want, got any
		_ = json.Unmarshal(value, &want)
		_ = json.Unmarshal(v, &got)
		a, _ := json.Marshal(want)
		if b, _ := json.Marshal(got); !bytes.Equal(a, b) {
			t.Fatalf("%s became %s", a, b)
		}
	})
}
