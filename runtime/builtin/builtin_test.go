package builtin_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// expected are the warnings that a shipped file may give: what Layotto's samples
// carry and this version has no code behind, and the mistakes in them.
var expected = []string{
	"dynamic_resources", "static_resources", "tracing", "metrics", "pprof",
	"servers[0].listeners[0].stream_filters[",                  // limits and counts calls of the API
	"servers[0].listeners[0].filter_chains[0].filters[0].type", // tcpcopy
	"grpc_config.files: is an old name",
	"config_demo.metadata.log_dir",                                   // of Nacos' SDK, which is not there
	"custom_component.helloworld: no component of this kind is made", // who embeds the runtime brings it
	"hellos.helloworld.metadata.redisPassword: unknown key",          // the greeter needs neither a
	"hellos.helloworld.component_ref: has no effect",                 // secret nor a store
}

// elsewhere are files that need something beside them to load.
var elsewhere = map[string]string{"config_hello_component.json": "hello-grpc-demo"}

// TestConfigs loads every file in configs/ against what is really built in, and
// puts it to the schema.
func TestConfigs(t *testing.T) {
	opts := builtin.Tables().ConfigOptions()
	schema := compile(t, config.Schema(opts))
	files := 0
	err := filepath.WalkDir("../../configs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "secret" {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || !slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(path)) {
			return err
		}
		files++
		_, warnings, err := config.Load(path, opts)
		if missing, ok := elsewhere[filepath.Base(path)]; ok {
			if err == nil || !strings.Contains(err.Error(), missing) {
				t.Errorf("%s: %v, want an error about %q", path, err, missing)
			}
			return nil
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for _, w := range warnings {
			if !slices.ContainsFunc(expected, func(key string) bool { return strings.Contains(w.String(), key) }) {
				t.Errorf("%s: unexpected warning: %s", path, w)
			}
		}
		if filepath.Ext(path) == ".json" && filepath.Base(path) != "config_mongo.json" { // that one has misspelt keys
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
			if err != nil {
				return err
			}
			if err := schema.Validate(tree); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return nil
	})
	if err != nil || files < 34 {
		t.Errorf("%d files found: %v", files, err)
	}
}

func compile(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestUnknownType: a file that asks for what is not built in is told what is.
func TestUnknownType(t *testing.T) {
	_, _, err := config.Parse("f.yaml", []byte("runtime: {state: {orders: {type: redi}}}"), builtin.Tables().ConfigOptions())
	for _, text := range []string{"f.yaml:1", "runtime.state.orders.type", `"redi"`, "embedded", "in-memory", "redis"} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
}

// TestChannelWithoutClass: what a channel needs is missed when the file is read,
// with line, place and the way out.
func TestChannelWithoutClass(t *testing.T) {
	_, warnings, err := config.Parse("f.yaml", []byte(`runtime:
  rpcs:
    mosn:
      config:
        channel:
          - {protocol: http, listener: "127.0.0.1:1", ext: {kind: x}}
          - protocol: bolt
            listener: 127.0.0.1:2
`), builtin.Tables().ConfigOptions())
	for _, text := range []string{"f.yaml:7: runtime.rpcs.mosn.config.channel[1].ext.class: missing", "com.alipay.sofa.rpc.core.request.SofaRequest"} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0].String(), "f.yaml:6: runtime.rpcs.mosn.config.channel[0].ext.kind: ") {
		t.Errorf("warnings: %v", warnings)
	}
}
