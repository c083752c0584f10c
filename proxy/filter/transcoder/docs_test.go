package transcoder_test

import (
	"context"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/goccy/go-yaml"

	"github.com/ottavo-runtime/ottavo/proxy/filter/transcoder"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

func page(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The example in protocols.md does what it says.
func TestExample(t *testing.T) {
	_, section, _ := strings.Cut(page(t, "protocols.md"), "## Calls in JSON")
	_, block, _ := strings.Cut(section, "```yaml\n")
	block, _, _ = strings.Cut(block, "```\n")
	var file struct {
		Servers []struct {
			Listeners []object `yaml:"listeners"`
			Routers   []object `yaml:"routers"`
		} `yaml:"servers"`
		Clusters struct {
			Clusters []object `yaml:"clusters"`
		} `yaml:"cluster_manager"`
	}
	if err := yaml.Unmarshal([]byte(block), &file); err != nil || len(file.Servers) != 1 {
		t.Fatalf("%v: %s", err, block)
	}
	l := file.Servers[0].Listeners[0]
	l["name"], l["bind_port"] = "in", false
	text, err := yaml.Marshal(object{"listeners": []object{l}, "routers": file.Servers[0].Routers, "clusters": file.Clusters.Clusters})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		n := &proxytest.Network{}
		n.HTTP(t, "127.0.0.1:8081", proxytest.Echo("site"))
		h := speak(t, n, "dubbo", func(context.Context, asked) reply { return reply{status: dubbo.StatusOK, body: encode(int32(1), true)} })
		r := start(t, n, strings.Replace(string(text), "127.0.0.1:20880", "host:1", 1))
		if got := r.web("POST", "/com.shop.Pay/refund", `["A7", 12]`); got.status != 200 || got.body != "true" {
			t.Errorf("%+v", got)
		}
		if values := decodeAll(t, h.last(t, 1).body); len(values) != 8 || !reflect.DeepEqual(values[:7], []any{"2.0.2", "com.shop.Pay", "1.0", "refund", "Ljava/lang/String;I", "A7", int32(12)}) {
			t.Errorf("the host was asked %#v", values)
		}
		if got := r.web("GET", "/x", ""); got.body != "site: GET /x" {
			t.Errorf("%+v", got)
		}
	})
}

// Every converter and every key is on its page.
func TestDocumented(t *testing.T) {
	protocols, configuration := page(t, "protocols.md"), page(t, "configuration.md")
	for _, c := range transcoder.Builtin() {
		if c.Name == "" || c.Doc == "" || len(c.From) == 0 || len(c.To) == 0 || !strings.Contains(protocols, "`"+c.Name+"`") {
			t.Errorf("%s is not described", c.Name)
		}
	}
	_, section, _ := strings.Cut(configuration, "## Conversion between protocols")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, of := range []any{
		transcoder.Config{},
		transcoder.Rule{},
		transcoder.Matcher{},
		transcoder.Info{},
		transcoder.HTTPToBolt{},
		transcoder.BoltToHTTP{},
		transcoder.HTTPToDubbo{},
		transcoder.DubboToHTTP{},
	} {
		for f := range reflect.TypeOf(of).Fields() {
			if key := f.Tag.Get("json"); !strings.Contains(section, "`"+key+"`") && !strings.Contains(section, "."+key) {
				t.Errorf("%T: configuration.md does not tell of %s", of, key)
			}
		}
	}
}
