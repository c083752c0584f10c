package decode_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

func TestParsePath(t *testing.T) {
	for text, want := range map[string][]decode.Step{
		"a":                           {{Key: "a"}},
		"a.b":                         {{Key: "a"}, {Key: "b"}},
		"accounts[0].accessKeySecret": {{Key: "accounts"}, {Index: 0}, {Key: "accessKeySecret"}},
		"[12].key":                    {{Index: 12}, {Key: "key"}},
		`a["b.c"][1][2]`:              {{Key: "a"}, {Key: "b.c"}, {Index: 1}, {Index: 2}},
		`["x\"]"].y z`:                {{Key: `x"]`}, {Key: "y z"}},
	} {
		if got, err := decode.ParsePath(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "a key is missing", ".": "a key is missing", "a.": "a key is missing", ".a": "a key is missing", "a..b": "a key is missing",
		"a[": "not closed", "a[0": "not closed", `a["x`: "not closed", `a["x"`: "not closed", `a[""]`: "a key is missing",
		"a[x]": `"x" in the path is no number`, "a[-1]": "is no number", "a[+1]": "is no number", "a[]": "is no number", "a[99999999999999999999]": "is no number",
		"a]": "out of place", "a[0]b": "out of place", `a"b`: "out of place", `"a"`: "a key is missing",
		strings.Repeat("a.", 300) + "a": "too long",
	} {
		if got, err := decode.ParsePath(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q", text, got, err, want)
		}
	}
}

func TestPut(t *testing.T) {
	tree := map[string]any{
		"plain": "p", "section": map[string]any{"Key": "old", "other": 1},
		"list": []any{map[string]any{"id": "a"}, map[string]any{"id": "b"}, "text"}, "null": nil,
	}
	before := decode.Redact(tree)
	for path, want := range map[string]map[string]any{
		"new":           {"new": "v"},
		"plain":         {"plain": "v"},
		"PLAIN":         {"plain": "v"},
		"section.key":   {"section": map[string]any{"Key": "v", "other": 1}},
		"made.up.here":  {"made": map[string]any{"up": map[string]any{"here": "v"}}},
		"null.x":        {"null": map[string]any{"x": "v"}},
		"list[1].token": {"list": []any{map[string]any{"id": "a"}, map[string]any{"id": "b", "token": "v"}, "text"}},
		"list[2]":       {"list": []any{map[string]any{"id": "a"}, map[string]any{"id": "b"}, "v"}},
	} {
		steps, err := decode.ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode.Put(tree, steps, "v")
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		for key, value := range want {
			if !reflect.DeepEqual(got[key], value) {
				t.Errorf("%s: %v", path, got[key])
			}
		}
		if !reflect.DeepEqual(tree, before) {
			t.Fatalf("%s: the tree itself was changed: %v", path, tree)
		}
	}
	for path, want := range map[string]string{
		"plain.x":      `plain is a plain value, so it has no key "x"`,
		"plain[0]":     `plain is a plain value, so it has no element [0]`,
		"section[0]":   `section is a section, so it has no element [0]`,
		"list.x":       `list is a list of 3, so it has no key "x"`,
		"list[3].x":    `list is a list of 3, so it has no element [3]`,
		"none[0].x":    `none is nothing, so it has no element [0]`,
		"list[2].deep": `list[2] is a plain value, so it has no key "deep"`,
		"[0]":          "must begin with a key",
	} {
		steps, err := decode.ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode.Put(tree, steps, "v"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if got, err := decode.Put(nil, []decode.Step{{Key: "a"}}, 1); err != nil || !reflect.DeepEqual(got, map[string]any{"a": 1}) {
		t.Errorf("%v, %v", got, err)
	}
}

// A path that can be read leads, written as Join and At do, to the same place.
func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"a", "a.b[0]", `["x.y"].z`, "[1][2]", "a[", `a["\u00e9"]`, "..", "a]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := decode.ParsePath(text)
		if err != nil {
			return
		}
		path := ""
		for _, s := range steps {
			if s.Key != "" {
				path = decode.Join(path, s.Key)
			} else {
				path = decode.At(path, s.Index)
			}
		}
		again, err := decode.ParsePath(path)
		if err != nil || !reflect.DeepEqual(again, steps) {
			t.Errorf("%q: %v; %q: %v, %v", text, steps, path, again, err)
		}
		if steps[0].Key == "" {
			steps = append([]decode.Step{{Key: "k"}}, steps...)
		}
		if _, err := decode.Put(map[string]any{"k": []any{1, 2}}, steps, "v"); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}

func TestUnknownKeys(t *testing.T) {
	keys := []decode.Key{{Name: "host"}, {Name: "userName", Aliases: []string{"user"}}, {Name: "*.schema"}, {Name: "actors", Unbuilt: "there are none"}}
	for key, want := range map[string]string{
		"host": "", "HOST": "", "User": "", "eu.orders.schema": "", "x.Schema": "",
		".schema":  `metadata[".schema"]: unknown key; it has no effect`,
		"hots":     `metadata.hots: unknown key; it has no effect (did you mean "host"?)`,
		"actor":    `metadata.actor: unknown key; it has no effect (known keys: *.schema, host, user, userName)`,
		"password": `metadata.password: unknown key; it has no effect (known keys: *.schema, host, user, userName)`,
		"Actors":   `metadata.Actors: this version knows the key but has no code behind it yet; it has no effect: there are none (remove "Actors" to silence this)`,
	} {
		got := decode.UnknownKeys(map[string]any{key: "hidden value"}, keys, "metadata")
		if got.Err() == nil && want == "" {
			continue
		}
		if len(got) != 1 || !strings.HasPrefix(got[0].String(), want) || want == "" || strings.Contains(got.Error(), "hidden") {
			t.Errorf("%s: %v", key, got)
		}
	}
	got := decode.UnknownKeys(map[string]any{"host": "a", "Host": "b", "actors": ""}, keys, "m")
	if len(got) != 1 || got[0].String() != `m.host: the key is there twice: as "Host" too (remove "host" or "Host")` {
		t.Errorf("%v", got)
	}
}

// A private key is hidden whatever its key is called.
func TestSecretText(t *testing.T) {
	const pem = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY-----\n"
	if got := decode.Redact(map[string]any{"key": pem, "list": []any{pem}, "text": map[string]string{"a": pem}}); strings.Contains(fmt.Sprint(got), "MHcCAQ") {
		t.Errorf("%v", got)
	}
	var to struct {
		Key  int    `json:"key"`
		Mode string `json:"mode" enum:"a|b"`
	}
	if _, err := decode.Into(&to, map[string]any{"key": pem, "mode": pem}, ""); err == nil || strings.Contains(err.Error(), "MHcCAQ") {
		t.Errorf("%v", err)
	}
}
