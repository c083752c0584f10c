package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLimits: texts that would cost much are refused, soon and with a reason.
func TestLimits(t *testing.T) {
	manyKeys := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	const many = 100_000
	for name, tt := range map[string]struct{ file, text, want string }{
		"json, deep lists":      {"a.json", strings.Repeat("[", 9000) + strings.Repeat("]", 9000), "more than 64 sections and lists inside each other"},
		"json, deeper lists":    {"a.json", strings.Repeat("[", many), "a.json:1: "},
		"json, deep sections":   {"a.json", strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500), "more than 64 sections and lists inside each other"},
		"json, many values":     {"a.json", "[1" + strings.Repeat(",1", 3*many) + "]", "more than 262144 values"},
		"json, long key":        {"a.json", `{"` + strings.Repeat("k", 600) + `": 1}`, "a key of more than 512 bytes"},
		"yaml, deep lists":      {"a.yaml", strings.Repeat("[", many), "more than 64 sections and lists inside each other"},
		"yaml, deep sections":   {"a.yaml", strings.Repeat("{a: ", many/10), "more than 64 sections and lists inside each other"},
		"yaml, lists on a line": {"a.yaml", strings.Repeat("- ", many), "more than 64 sections and lists inside each other"},
		"yaml, keys on a line":  {"a.yaml", strings.Repeat("? ", many), "more than 64 sections and lists inside each other"},
		"yaml, anchors":         {"a.yaml", strings.Repeat("&a ", many), "more than 64 sections and lists inside each other"},
		"yaml, tags":            {"a.yaml", strings.Repeat("!!a ", many), "more than 64 sections and lists inside each other"},
		"yaml, many keys":       {"a.yaml", manyKeys("k%d: 1\n", 10_100), "more than 10000 keys in one section"},
		"yaml, many inner keys": {"a.yaml", "x:\n  y:\n  - z:\n" + manyKeys("     k%d: {a: 1}\n", 10_100), "more than 10000 keys in one section"},
		"yaml, many ? keys":     {"a.yaml", manyKeys("? k%d\n", 10_100), "more than 10000 keys in one section"},
		"yaml, alias bomb":      {"a.yaml", bomb, "more than 262144 values"},
		"yaml, long key":        {"a.yaml", strings.Repeat("k", 600) + ": 1", "a key of more than 512 bytes"},
	} {
		start := time.Now()
		_, errs := parseText(t, tt.file, tt.text, testOptions())
		if len(errs) != 1 || !strings.Contains(errs[0], tt.want) {
			t.Errorf("%s: %.300q", name, errs)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

// TestLargeFile: what is large but sound is read.
func TestLargeFile(t *testing.T) {
	var yaml, json strings.Builder
	yaml.WriteString("runtime:\n  state:\n")
	json.WriteString(`{"runtime": {"state": {`)
	for i := range 5000 {
		fmt.Fprintf(&yaml, "    s%d:\n      type: redis\n      metadata:\n        redisHost: h%d\n        redisDB: \"1\"\n", i, i)
		if i > 0 {
			json.WriteByte(',')
		}
		fmt.Fprintf(&json, `"s%d": {"type": "redis", "metadata": {"redisHost": "h%d", "redisDB": "1"}}`, i, i)
	}
	json.WriteString("}}}")
	for file, text := range map[string]string{"a.yaml": yaml.String(), "a.json": json.String()} {
		cfg, warnings, err := Parse(file, []byte(text), testOptions())
		if err != nil || warnings != nil || len(cfg.Runtime.Components[States]) != 5000 {
			t.Errorf("%s: %v %v", file, warnings, err)
		}
	}
}
