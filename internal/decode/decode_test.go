package decode

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

type server struct {
	Address  string            `json:"address"`
	Port     uint16            `json:"port" min:"1" max:"65535"`
	Bind     bool              `json:"bind" default:"true"`
	Network  string            `json:"network" enum:"|tcp|unix"`
	Timeout  time.Duration     `json:"timeout" min:"0s"`
	Dial     time.Duration     `json:"dial" unit:"s"`
	Hosts    []string          `json:"hosts" split:","`
	Names    []string          `json:"names"`
	Labels   map[string]string `json:"labels"`
	Small    int8              `json:"small"`
	Ratio    float64           `json:"ratio" min:"0" max:"1"`
	Password string            `json:"password"`
	PassNum  int               `json:"secret_number"`
	Any      any               `json:"any"`
	Sub      *sub              `json:"sub"`
	Subs     []sub             `json:"subs"`
	ByName   map[string]sub    `json:"by_name"`
	Later    any               `json:"later" unbuilt:"warn"`
	Never    bool              `json:"never" unbuilt:"refuse"`
	LaterSub sub               `json:"later_sub" unbuilt:"warn"`
	LaterWhy string            `json:"later_why" unbuilt:"warn: calls fail"`
	NeverWhy string            `json:"never_why" unbuilt:"refuse: use x"`
	Private  chan int          `json:"chan"`
}

type sub struct {
	A    int            `json:"a" default:"7"`
	B    string         `json:"b"`
	More map[string]any `json:"-" rest:"true"`
}

type plainSub struct {
	A int `json:"a"`
}

func TestIntoGood(t *testing.T) {
	got := server{Address: "kept", Labels: map[string]string{"old": "1"}}
	src := map[string]any{
		"port": "8080", "bind": "FALSE", "network": "TCP", "timeout": "1m30s", "dial": 5,
		"hosts": "a, b ,,c", "names": []any{"x"}, "labels": map[string]any{"new": "2"},
		"small": 3.0, "ratio": "0.5", "password": "pw", "any": []any{1, "two"},
		"sub":     map[string]any{"b": "text", "extra": 9},
		"subs":    []any{map[string]any{}, map[string]any{"a": json.Number("1e2")}},
		"by_name": map[string]any{"x.y": map[string]any{"a": uint64(1)}},
		"address": nil, "never": false, "later": "",
	}
	warnings, err := Into(&got, src, "")
	if err != nil || len(warnings) != 0 {
		t.Fatalf("warnings %v, error %v", warnings, err)
	}
	want := server{
		Address: "kept", Port: 8080, Network: "tcp", Timeout: 90 * time.Second, Dial: 5 * time.Second,
		Hosts: []string{"a", "b", "c"}, Names: []string{"x"}, Labels: map[string]string{"old": "1", "new": "2"},
		Small: 3, Ratio: 0.5, Password: "pw", Any: []any{1, "two"},
		Sub:  &sub{A: 7, B: "text", More: map[string]any{"extra": 9}},
		Subs: []sub{{A: 7}, {A: 100}}, ByName: map[string]sub{"x.y": {A: 1}}, Later: "",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestIntoProblems(t *testing.T) {
	tests := []struct {
		name     string
		src      any
		errs     []string
		warnings []string
	}{
		{name: "not a section", src: []any{1}, errs: []string{"root: must be a section (key: value), not a list"}},
		{
			name: "unknown key with neighbour", src: map[string]any{"adress": "x"}, //nolint:misspell // on purpose
			warnings: []string{`root.adress: unknown key; it has no effect (did you mean "address"?)`},
		},
		{
			name: "unknown key in quotes", src: map[string]any{"by_name": map[string]any{"a.b": map[string]any{"a": "x"}}},
			errs: []string{`root.by_name["a.b"].a: must be a whole number, not the text "x"`},
		},
		{
			name: "capital letters", src: map[string]any{"Address": "x"},
			warnings: []string{`root.Address: keys distinguish capital letters; taken as "address" (write "address")`},
		},
		{
			name: "key twice", src: map[string]any{"Address": "x", "address": "y"},
			errs: []string{`root.Address: the key is there twice: as "address" too (remove "Address")`},
		},
		{
			name: "duration without unit", src: map[string]any{"timeout": 30},
			errs: []string{`root.timeout: needs a unit: the number 30 (write a number with a unit: "500ms", "30s", "5m", "1h30m")`},
		},
		{
			name: "duration text without unit", src: map[string]any{"timeout": "30"},
			errs: []string{`root.timeout: needs a unit: the text "30" (write a number with a unit: "500ms", "30s", "5m", "1h30m")`},
		},
		{
			name: "bad duration", src: map[string]any{"timeout": "3 weeks"},
			errs: []string{`root.timeout: is not a duration: the text "3 weeks" (write a number with a unit: "500ms", "30s", "5m", "1h30m")`},
		},
		{
			name: "duration range", src: map[string]any{"timeout": "-1s"},
			errs: []string{`root.timeout: must be at least 0s, not the text "-1s"`},
		},
		{
			name: "duration overflow", src: map[string]any{"dial": 1e300},
			errs: []string{`root.dial: is too large: the number 1e+300`},
		},
		{
			name: "range", src: map[string]any{"port": 0, "ratio": 2},
			errs: []string{`root.port: must be from 1 to 65535, not the number 0`, `root.ratio: must be from 0 to 1, not the number 2`},
		},
		{
			name: "overflow", src: map[string]any{"port": 70000, "small": -129},
			errs: []string{`root.port: is out of the range of a 16-bit number: the number 70000`, `root.small: is out of the range of a 8-bit number: the number -129`},
		},
		{name: "negative", src: map[string]any{"port": -1}, errs: []string{`root.port: must not be negative: the number -1`}},
		{name: "fraction", src: map[string]any{"small": 1.5}, errs: []string{`root.small: must be a whole number, not the number 1.5`}},
		{
			name: "not finite", src: map[string]any{"ratio": math.NaN(), "small": math.Inf(1)},
			errs: []string{`root.ratio: must be a number, not the number NaN`, `root.small: must be a whole number, not the number +Inf`},
		},
		{
			name: "enum", src: map[string]any{"network": "unx"},
			errs: []string{`root.network: unknown value "unx" (did you mean "unix"? known: tcp, unix)`},
		},
		{name: "bool", src: map[string]any{"bind": "yes"}, errs: []string{`root.bind: must be true or false, not the text "yes"`}},
		{name: "text from number", src: map[string]any{"address": 5}, errs: []string{`root.address: must be a text, not the number 5 (put it in quotes)`}},
		{name: "list from text", src: map[string]any{"names": "x"}, errs: []string{`root.names: must be a list, not the text "x" (put it in [ ])`}},
		{
			name: "all of them, with index", src: map[string]any{"subs": []any{map[string]any{"a": "x"}, 3}},
			errs: []string{`root.subs[0].a: must be a whole number, not the text "x"`, `root.subs[1]: must be a section (key: value), not the number 3`},
		},
		{
			name: "secrets stay hidden", src: map[string]any{"password": 12345, "secret_number": "hunter2"},
			errs: []string{`root.password: must be a text, not a number that is not shown here (put it in quotes)`, `root.secret_number: must be a whole number, not a text that is not shown here`},
		},
		{
			name: "not built", src: map[string]any{"later": 1, "never": true, "later_sub": map[string]any{"a": 1, "typo": 2}},
			errs: []string{`root.never: this version knows the key but has no code behind it yet, and leaving it out would change what happens (remove "never")`},
			warnings: []string{
				`root.later: this version knows the key but has no code behind it yet; it has no effect (remove "later" to silence this)`,
				`root.later_sub: this version knows the key but has no code behind it yet; it has no effect (remove "later_sub" to silence this)`,
			},
		},
		{
			name: "not built, with a reason", src: map[string]any{"later_why": "a", "never_why": "b"},
			errs:     []string{`root.never_why: this version knows the key but has no code behind it yet: use x (remove "never_why")`},
			warnings: []string{`root.later_why: this version knows the key but has no code behind it yet; it has no effect: calls fail (remove "later_why" to silence this)`},
		},
		{
			name: "field that cannot be configured", src: map[string]any{"chan": 1},
			errs: []string{`root.chan: cannot be configured: no text form of a chan int (a mistake in the program)`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			warnings, err := Into(&server{}, tt.src, "root")
			check(t, "errors", AsProblems(err, ""), tt.errs)
			check(t, "warnings", warnings, tt.warnings)
		})
	}
}

func check(t *testing.T, what string, got Problems, want []string) {
	t.Helper()
	var texts []string
	for _, p := range got {
		texts = append(texts, p.String())
	}
	if !slices.Equal(texts, want) {
		t.Errorf("%s:\ngot  %s\nwant %s", what, strings.Join(texts, "\n     "), strings.Join(want, "\n     "))
	}
}

func TestIntoTargets(t *testing.T) {
	for _, dst := range []any{nil, 5, server{}, (*server)(nil)} {
		if _, err := Into(dst, map[string]any{}, "p"); err == nil {
			t.Errorf("Into(%T): no error", dst)
		}
	}
	shared := &plainSub{A: 1}
	holder := struct {
		P *plainSub `json:"p"`
	}{P: shared}
	if _, err := Into(&holder, map[string]any{"p": map[string]any{"a": 2}}, ""); err != nil || shared.A != 1 || holder.P.A != 2 {
		t.Errorf("the default that others point to was changed: %v %v %v", shared, holder.P, err)
	}
	self := map[string]any{}
	self["any"] = self
	if got := Redact(self); got == nil {
		t.Error("Redact of a tree that contains itself gave nothing")
	}
	type loop struct {
		Next *loop `json:"next"`
	}
	ring := map[string]any{}
	ring["next"] = ring
	if _, err := Into(&loop{}, ring, ""); err == nil || !strings.Contains(err.Error(), "too deeply") {
		t.Errorf("a tree that contains itself: %v", err)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"address", "listen", "listeners", "state", "hellos", "grpc_config", "rpcs", "lb_type", "id"}
	for name, want := range map[string]string{
		"adress": "address", "ADDRESS": "address", "addrses": "address", "listner": "listen", "listenrs": "listeners", "hello": "hellos", //nolint:misspell // on purpose
		"grpcConfig": "grpc_config", "lbtype": "lb_type", "rpc": "rpcs", "xyz": "", "": "", "if": "", "elephant": "",
		strings.Repeat("a", 1000): "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("Nearest(%.20q) = %q, want %q", name, got, want)
		}
	}
}

func TestSecretAndRedact(t *testing.T) {
	for name, want := range map[string]bool{
		"token_uri": false, "oidcTokenEndpoint": false,
		"password": true, "redisPassword": true, "API_KEY": true, "accessKeySecret": true, "accessKeyID": true, "open_api_token": true,
		"private-key": true, "connectionString": true, "credentials": true, "secret_store": false, "secret_ref": false, "secretsFile": false,
		"key": false, "keyPrefix": false, "address": false, "redisHost": false,
	} {
		if got := Secret(name); got != want {
			t.Errorf("Secret(%q) = %v", name, got)
		}
	}
	tree := map[string]any{"redisPassword": "hunter2", "empty_token": "", "list": []any{map[string]any{"token": []any{"t1", 5}}}, "m": map[string]string{"pwd": "x", "host": "h"}}
	want := map[string]any{"redisPassword": "***", "empty_token": "", "list": []any{map[string]any{"token": []any{"***", "***"}}}, "m": map[string]string{"pwd": "***", "host": "h"}}
	if got := Redact(tree); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	if tree["redisPassword"] != "hunter2" {
		t.Error("Redact changed its argument")
	}
}

func TestJoin(t *testing.T) {
	if got := Join(At(Join("", "servers"), 0), "a b"); got != `servers[0]["a b"]` {
		t.Error(got)
	}
}

// FuzzInto: whatever the tree, no panic, and no secret in a message.
func FuzzInto(f *testing.F) {
	f.Add([]byte(`{"port":"1","subs":[{"a":1e99}],"timeout":5,"password":["zzsecretzz"],"sub":{"x":null},"by_name":{"":{}}}`))
	f.Add([]byte(`{"secret_number":"zzsecretzz","Port":-1,"port":1.5,"dial":"9e99","hosts":",","chan":{},"later_sub":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		decoder := json.NewDecoder(strings.NewReader(string(data)))
		if len(data)%2 == 0 {
			decoder.UseNumber()
		}
		var tree any
		if decoder.Decode(&tree) != nil {
			return
		}
		warnings, err := Into(&server{}, tree, "")
		for _, p := range append(warnings, AsProblems(err, "")...) {
			if !strings.Contains(p.Path, "zzsecretzz") && strings.Contains(p.Message+p.Remedy, "zzsecretzz") && hasSecretPath(p.Path) {
				t.Errorf("secret in %s", p)
			}
		}
		Redact(tree)
		Nearest(string(data), []string{"address", string(data)})
		Secret(string(data))
	})
}

func hasSecretPath(path string) bool {
	return strings.HasPrefix(path, "password") || strings.HasPrefix(path, "secret_number")
}

func TestOneInPlaceOfAList(t *testing.T) {
	type entry struct {
		Name string `json:"name"`
	}
	type section struct {
		Lenient []entry `json:"lenient" single:"true"`
		Strict  []entry `json:"strict"`
	}
	var got section
	if _, err := Into(&got, map[string]any{"lenient": map[string]any{"name": "a"}}, ""); err != nil || len(got.Lenient) != 1 || got.Lenient[0].Name != "a" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Into(&got, map[string]any{"lenient": []any{map[string]any{"name": "b"}, map[string]any{"name": "c"}}}, ""); err != nil || len(got.Lenient) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []map[string]any{{"strict": map[string]any{"name": "a"}}, {"lenient": "a"}, {"lenient": map[string]any{"name": []any{}}}} {
		if _, err := Into(&got, bad, ""); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}
