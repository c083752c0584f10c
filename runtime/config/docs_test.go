package config

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	proxyconfig "github.com/ottavo-runtime/ottavo/proxy/config"
)

var update = flag.Bool("update", false, "write the tables of docs/configuration.md")

const manual = "../../docs/configuration.md"

// TestDocumentation: the tables in the documentation list the keys that the
// structs have, neither more nor fewer.
func TestDocumentation(t *testing.T) {
	data, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	begin, rest, ok1 := strings.Cut(string(data), "-update -->\n")
	_, after, ok2 := strings.Cut(rest, "<!-- end of keys -->")
	if !ok1 || !ok2 {
		t.Fatal("the marks around the tables are missing")
	}
	want := begin + "-update -->\n" + keyTables() + "<!-- end of keys -->" + after
	if *update {
		if err := os.WriteFile(manual, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(data) != want {
		t.Errorf("%s does not list the keys as they are: go test ./runtime/config -run TestDocumentation -update", manual)
	}
}

// keyTables is one table per section.
func keyTables() string {
	var b strings.Builder
	for _, section := range []struct {
		title string
		of    any
	}{
		{"The file", File{}},
		{"`runtime`", ShortForm{}},
		{"`runtime.actuator`", ActuatorSection{}},
		{"`runtime.log`", LogSection{}},
		{"`app`", App{}},
		{"A component of `hellos`", HelloComponent{}},
		{"A component of `state`", SimpleComponent{}},
		{"A component of `rpcs`", RPCComponent{}},
		{"`servers[0]`", Server{}},
		{"`listeners[]`", proxyconfig.Listener{}},
		{"`filter_chains[]`", proxyconfig.FilterChain{}},
		{"`tls_context`", proxyconfig.TLS{}},
		{"`filters[]`, `stream_filters[]`", proxyconfig.Extension{}},
		{"`config` of the network filter `grpc`", GRPCFilter{}},
		{"`config` of the network filter `proxy`", proxyconfig.Proxy{}},
		{"`config` of the network filter `tcp_proxy`", proxyconfig.TCPProxy{}},
		{"`config` of the network filter `udp_proxy`", proxyconfig.UDPProxy{}},
		{"`routes[]` of `tcp_proxy` and `udp_proxy`", proxyconfig.L4Route{}},
		{"`source_addrs[]`, `destination_addrs[]`", proxyconfig.CIDRRange{}},
		{"`routers[]` of a server", proxyconfig.Router{}},
		{"`virtual_hosts[]`", proxyconfig.VirtualHost{}},
		{"`routers[]` of a virtual host", proxyconfig.Route{}},
		{"`match`", proxyconfig.Match{}},
		{"`match.headers[]`", proxyconfig.HeaderMatch{}},
		{"`route`", proxyconfig.RouteAction{}},
		{"`direct_response`", proxyconfig.DirectResponse{}},
		{"`cluster_manager`", ClusterManager{}},
		{"`clusters[]`", proxyconfig.Cluster{}},
		{"`circuit_breakers[]`", proxyconfig.Breaker{}},
		{"`hosts[]`", proxyconfig.Host{}},
	} {
		fmt.Fprintf(&b, "\n### %s\n\n| key | value | what it is |\n|---|---|---|\n", section.title)
		for _, f := range decode.Fields(reflect.TypeOf(section.of)) {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Key, valueName(f), strings.ReplaceAll(description(f), "|", `\|`))
		}
	}
	b.WriteString("\n")
	return b.String()
}

func valueName(f decode.Field) string {
	if enum := f.Tag.Get("enum"); enum != "" {
		return "`" + strings.ReplaceAll(strings.Trim(enum, "|"), "|", "`, `") + "`"
	}
	t := f.Type
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.String() == "time.Duration":
		return "duration"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "list"
	case reflect.Map, reflect.Struct:
		return "section"
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "text"
	case reflect.Interface:
		return ""
	default:
		return "number"
	}
}

func description(f decode.Field) string {
	mode, why, _ := strings.Cut(f.Tag.Get("unbuilt"), ": ")
	mark := map[string]string{"warn": "*warned of*", "refuse": "*refused*"}[mode]
	if mark == "" {
		return f.Tag.Get("doc")
	}
	if why != "" {
		mark += ": " + why
	}
	return f.Tag.Get("doc") + " " + strings.TrimSuffix(mark, ".") + "."
}

// TestEveryKeyIsExplained: no key without a word about it.
func TestEveryKeyIsExplained(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] {
			return
		}
		seen[typ] = true
		for _, f := range decode.Fields(typ) {
			if f.Tag.Get("doc") == "" && !f.Rest {
				t.Errorf("%s: the key %q has no doc", typ, f.Key)
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[File]())
	walk(reflect.TypeFor[GRPCFilter]())
	walk(reflect.TypeFor[proxyconfig.Proxy]())
	walk(reflect.TypeFor[proxyconfig.UDPProxy]())
	if len(seen) < 20 {
		t.Errorf("%d structs only", len(seen))
	}
}

// TestExamples: every example in the documentation is a file that Load takes
// without a warning, and that the schema allows.
func TestExamples(t *testing.T) {
	data, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	schema := compile(t, testOptions())
	blocks := regexp.MustCompile("(?s)```(yaml|json)\n(.*?)```").FindAllStringSubmatch(string(data), -1)
	if len(blocks) < 6 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, block := range blocks {
		file := "configuration.md." + block[1]
		warnings, errs := parseText(t, file, block[2], testOptions())
		if warnings != nil || errs != nil {
			t.Errorf("%s\nwarnings %q, errors %q", block[2], warnings, errs)
		}
		if err := validate(t, schema, file, []byte(block[2])); err != nil {
			t.Errorf("%s\n%v", block[2], err)
		}
	}
}
