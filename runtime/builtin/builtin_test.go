package builtin_test

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// expected are the warnings that a shipped file may give: the placeholders
// that Layotto's samples carry.
var expected = []string{"dynamic_resources", "static_resources"}

// TestConfigs loads every file in configs/ against what is really built in.
func TestConfigs(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../../configs", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(path)) {
			return err
		}
		files++
		_, warnings, err := config.Load(path, builtin.Tables().ConfigOptions())
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for _, w := range warnings {
			if !slices.ContainsFunc(expected, func(key string) bool { return strings.HasPrefix(w.Path, key) }) {
				t.Errorf("%s: unexpected warning: %s", path, w)
			}
		}
		return nil
	})
	if err != nil || files < 3 {
		t.Errorf("%d files found: %v", files, err)
	}
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
          - {protocol: http, listener: "127.0.0.1:1", ext: {clas: x}}
          - protocol: bolt
            listener: 127.0.0.1:2
`), builtin.Tables().ConfigOptions())
	for _, text := range []string{"f.yaml:7: runtime.rpcs.mosn.config.channel[1].ext.class: missing", "com.alipay.sofa.rpc.core.request.SofaRequest"} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0].String(), "f.yaml:6: runtime.rpcs.mosn.config.channel[0].ext.clas: ") {
		t.Errorf("warnings: %v", warnings)
	}
}
