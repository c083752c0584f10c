package config

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	proxyconfig "github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http2"
	"github.com/ottavo-runtime/ottavo/runtime/actuator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The settings of the backends that the tests know.
type (
	redisSettings struct {
		Host      string        `json:"redisHost"`
		Password  string        `json:"redisPassword"`
		DB        int           `json:"redisDB" min:"0"`
		Dial      time.Duration `json:"dialTimeout" unit:"s"`
		EnableTLS bool          `json:"enableTLS"`
		KeyPrefix string        `json:"keyPrefix"`
	}
	memorySettings struct {
		KeyPrefix string `json:"keyPrefix"`
	}
	meshSettings struct {
		Channel []struct {
			Name     string         `json:"name"`
			Protocol string         `json:"protocol" enum:"http|bolt|boltv2"`
			Listener string         `json:"listener"`
			Size     int            `json:"size"`
			Ext      map[string]any `json:"ext"`
		} `json:"channel"`
		BeforeInvoke []struct {
			Name string `json:"name"`
		} `json:"before_invoke"`
	}
)

// testOptions are what a build with a few names in its tables passes.
// accountSettings have places below the first level.
type accountSettings struct {
	Basic   account   `json:"basic_config"`
	Clients []account `json:"clients"`
	Region  string    `json:"region"`
}

type account struct {
	Endpoint string `json:"endpoint"`
	ID       string `json:"accessKeyID"`
	Secret   string `json:"accessKeySecret"`
	Region   string `json:"region"`
}

func testOptions() Options {
	protocols, _ := protocol.NewTable(http1.Protocol{}, http2.Protocol{}, bolt.New(bolt.V1(), frame.Options{}))
	balancers, _ := lb.NewTable(lb.Builtin()...)
	filters, _ := filter.NewTable(new(actuator.Actuator).Spec())
	known := proxy.Known(protocols, balancers, filters, nil)
	known.NetworkFilters = append(known.NetworkFilters, GRPCFilterType)
	known.TLS = nil // the files' certificates are not there
	return Options{
		Known: known,
		Kinds: []Kind{
			{Section: "config_store", Types: []Type{{Name: "etcd"}, {Name: "apollo"}, {Name: "nacos"}, {Name: "local.file"}, {Name: "in-memory", Metadata: &struct{}{}}}},
			{Section: "hellos", Types: []Type{{Name: "helloworld", Doc: "Greets.", Metadata: &struct{}{}}}},
			{Section: "state", Types: []Type{
				{Name: "in-memory", Doc: "Keeps items in memory.", Metadata: &memorySettings{}},
				{Name: "embedded", Doc: "Keeps items in a file.", Metadata: &memorySettings{}},
				{Name: "redis", Doc: "Keeps items in Redis.", Metadata: &redisSettings{Host: "localhost:6379"}},
				{Name: "kafka", Doc: "Reads its settings itself.", Keys: func() []decode.Key {
					return []decode.Key{{Name: "brokers"}, {Name: "saslPassword", Aliases: []string{"password"}}, {Name: "batch", Kind: decode.NumberValue}, {Name: "*.schema"}}
				}},
			}, Keys: []decode.Key{{Name: "keyPrefix"}, {Name: "actorStateStore", Kind: decode.BooleanValue, Unbuilt: "there are no actors"}}},
			{Section: "file", Types: []Type{{Name: "local"}, {Name: "s3", Metadata: &accountSettings{}}, {Name: "minio", Metadata: &accountSettings{}}}},
			{Section: "oss", Types: []Type{{Name: "local"}, {Name: "s3", Metadata: &accountSettings{}}, {Name: "minio", Metadata: &accountSettings{}}}},
			{Section: "rpcs", Types: []Type{{Name: "mosn", Doc: "Calls through the proxy.", Metadata: &meshSettings{}}}},
		},
		Customs: func(kind string, _ []Component) bool { return kind != "clock" },
		LookupEnv: func(name string) (string, bool) {
			v, ok := map[string]string{"HOST": "10.0.0.1", "EMPTY": "", "NESTED": "${HOST}", "SIZE": "16", "PASSWORD": "hunter2"}[name]
			return v, ok
		},
	}
}

func texts(ps decode.Problems) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.String())
	}
	return out
}

func load(t *testing.T, file string, opts Options) (*Config, []string, []string) {
	t.Helper()
	cfg, warnings, err := Load(file, opts)
	if (cfg == nil) != (err != nil) {
		t.Fatalf("Config %v with error %v", cfg, err)
	}
	return cfg, texts(warnings), texts(decode.AsProblems(err, ""))
}

func TestBothFormatsAndForms(t *testing.T) {
	const dir = "testdata/good/"
	groups := [][]string{
		{"long.json", "long.yaml", "long_aliases.yml"},
		{"short.yaml", "short.json", "short_env.yaml"},
		{"proxy.yaml", "proxy.json"},
	}
	for _, group := range groups {
		first, warnings, errs := load(t, dir+group[0], testOptions())
		if warnings != nil || errs != nil {
			t.Fatalf("%s: warnings %q, errors %q", group[0], warnings, errs)
		}
		for _, file := range group[1:] {
			cfg, warnings, errs := load(t, dir+file, testOptions())
			if warnings != nil || errs != nil {
				t.Errorf("%s: warnings %q, errors %q", file, warnings, errs)
				continue
			}
			if !reflect.DeepEqual(cfg, first) {
				t.Errorf("%s is not equal to %s:\n%+v\n%+v", file, group[0], cfg, first)
			}
		}
	}
}

func TestShortForm(t *testing.T) {
	cfg, _, errs := load(t, "testdata/good/short.yaml", testOptions())
	if errs != nil {
		t.Fatal(errs)
	}
	want := &Runtime{
		Listener: "runtime", Path: "runtime", AppID: "app1", DataDir: ".data", MaxRecvBytes: 4 << 20, GracefulStopTimeout: 5 * time.Second,
		App: App{ID: "app1"},
		Components: map[string][]Component{
			Hellos: {{Name: "helloworld", Type: "helloworld", Path: "runtime.hellos.helloworld", Section: "metadata", Rest: map[string]any{"hello": "greeting"}}},
			States: {
				{Name: "eu.orders", Type: "redis", Path: `runtime.state["eu.orders"]`, Section: "metadata", Metadata: map[string]any{"redisHost": "10.0.0.1:6379", "redisDB": "3"}},
				{Name: "memory", Type: "in-memory", Path: "runtime.state.memory", Section: "metadata"},
			},
			RPCs: {{Name: "mosn", Type: "mosn", Path: "runtime.rpcs.mosn", Section: "config", Metadata: map[string]any{
				"channel": []any{map[string]any{"protocol": "http", "listener": "out", "size": int64(16)}},
			}}},
		},
	}
	if !reflect.DeepEqual(cfg.Runtime, want) {
		t.Errorf("runtime:\ngot  %+v\nwant %+v", cfg.Runtime, want)
	}
	if cfg.Actuator != (Actuator{Enabled: true, Listener: "actuator"}) || cfg.Log != (Log{Path: "stdout", Level: LevelTrace, JSON: true}) || cfg.ShutdownTimeout != 30*time.Second {
		t.Errorf("actuator %+v, log %+v, shutdown %v", cfg.Actuator, cfg.Log, cfg.ShutdownTimeout)
	}
	wantListeners := []proxyconfig.Listener{
		{
			Name: "actuator", Address: "127.0.0.1:34999", BindPort: true, StreamFilters: []proxyconfig.Extension{{Type: "actuator_filter"}},
			FilterChains: []proxyconfig.FilterChain{{Filters: []proxyconfig.Extension{{Type: "proxy", Config: map[string]any{
				"downstream_protocol": "Http1", "upstream_protocol": "Http1", "router_config_name": "actuator_dont_need_router",
			}}}}},
		},
		{
			Name: "runtime", Network: "unix", Address: "/tmp/api.sock", BindPort: true,
			FilterChains: []proxyconfig.FilterChain{{Filters: []proxyconfig.Extension{{Type: "grpc", Config: map[string]any{"server_name": "runtime"}}}}},
		},
	}
	var got []proxyconfig.Listener
	for _, l := range cfg.Proxy.Listeners {
		if l.Name != "out" {
			got = append(got, l)
		}
	}
	slices.SortFunc(got, func(a, b proxyconfig.Listener) int { return strings.Compare(a.Name, b.Name) })
	if !reflect.DeepEqual(got, wantListeners) {
		t.Errorf("listeners:\ngot  %+v\nwant %+v", got, wantListeners)
	}
	if !slices.ContainsFunc(cfg.Proxy.Routers, func(r proxyconfig.Router) bool { return r.Name == ActuatorRouter && len(r.VirtualHosts) == 0 }) {
		t.Error("the actuator's router is missing")
	}
}

func TestLongForm(t *testing.T) {
	cfg, _, errs := load(t, "testdata/good/long.json", testOptions())
	if errs != nil {
		t.Fatal(errs)
	}
	r := cfg.Runtime
	if r == nil || r.Listener != "grpc" || r.GracefulStopTimeout != 10*time.Second || len(r.Components[States]) != 1 || r.Components[States][0].Metadata["redisPassword"] != "pw" {
		t.Fatalf("runtime: %+v", r)
	}
	if r.Path != "servers[0].listeners[0].filter_chains[0].filters[0].config.grpc_config" {
		t.Error(r.Path)
	}
	if cfg.Actuator != (Actuator{Enabled: true, Listener: "actuator"}) || cfg.ShutdownTimeout != 7*time.Second || cfg.Log.Path != "stdout" || len(cfg.Proxy.Listeners) != 2 {
		t.Errorf("%+v", cfg)
	}
	// Secrets are in one place only.
	if got := cfg.Proxy.Listeners[0].FilterChains[0].Filters[0]; !reflect.DeepEqual(got, grpcExtension()) {
		t.Errorf("the grpc filter has %v", got.Config)
	}
	if !cfg.Proxy.Listeners[0].BindPort || cfg.Proxy.Listeners[1].BindPort != true {
		t.Error("bind_port is not true by default")
	}
}

// parseText loads a text and returns what Load says about it.
func parseText(t *testing.T, name, text string, opts Options) (warnings, errs []string) {
	t.Helper()
	_, ws, err := Parse(name, []byte(text), opts)
	return texts(ws), texts(decode.AsProblems(err, ""))
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	secret := write("secret.json", []byte("{}"), 0)
	for file, want := range map[string]string{
		filepath.Join(dir, "missing.json"):                       "missing.json: no such file (looked from ",
		filepath.Join(dir, "folder.yaml"):                        "folder.yaml: is a directory (name one file in it)",
		filepath.Join(dir, "x.toml"):                             `x.toml: the suffix ".toml" does not say which format this is (name the file .json, .yaml or .yml)`,
		filepath.Join(dir, "none"):                               `none: the suffix "" does not say which format this is (name the file .json, .yaml or .yml)`,
		write("empty.yaml", nil, 0o600):                          "empty.yaml: the file is empty (see docs/configuration.md for a short one)",
		write("blank.json", []byte(" \n"), 0o600):                "blank.json: the file is empty (see docs/configuration.md for a short one)",
		write("comment.yml", []byte("# nothing\n"), 0o600):       "comment.yml: the file is empty (see docs/configuration.md for a short one)",
		write("large.yaml", make([]byte, MaxFileBytes+1), 0o600): "large.yaml: is larger than 16 MiB (is it the right file?)",
		write("latin1.yaml", []byte("a: 1\nb: \xe9\n"), 0o600):   "latin1.yaml:2: column 4: not UTF-8 text (save the file as UTF-8)",
		secret: "secret.json: permission denied (let the user that runs ottavo read it)",
	} {
		if file == secret && os.Geteuid() == 0 {
			t.Log("running as root: a file that cannot be read cannot be made")
			continue
		}
		_, warnings, errs := load(t, file, testOptions())
		if len(errs) != 1 || !strings.Contains(errs[0], want) || warnings != nil {
			t.Errorf("%s:\ngot  %q\nwant %q", filepath.Base(file), errs, want)
		}
	}
}

func TestStrict(t *testing.T) {
	opts := testOptions()
	const text = "runtime:\n  listne: 127.0.0.1:1\n"
	warnings, errs := parseText(t, "a.yaml", text, opts)
	want := []string{`a.yaml:2: runtime.listne: unknown key; it has no effect (did you mean "listen"?)`}
	if !slices.Equal(warnings, want) || errs != nil {
		t.Errorf("warnings %q, errors %q", warnings, errs)
	}
	opts.Strict = true
	warnings, errs = parseText(t, "a.yaml", text, opts)
	if !slices.Equal(errs, want) || warnings != nil {
		t.Errorf("strict: warnings %q, errors %q", warnings, errs)
	}
}

func TestEnv(t *testing.T) {
	lookup := testOptions().LookupEnv
	for _, tt := range []struct{ in, out, problem string }{
		{in: "plain $x {y}", out: "plain $x {y}"},
		{in: "${HOST}:80", out: "10.0.0.1:80"},
		{in: "${HOST}${HOST}", out: "10.0.0.110.0.0.1"},
		{in: "${NESTED}", out: "${HOST}"},
		{in: "${EMPTY}", out: ""},
		{in: "${EMPTY:-x}", out: "x"},
		{in: "${UNSET:-}", out: ""},
		{in: "${UNSET:-a:-b}", out: "a:-b"},
		{in: "$${HOST}", out: "${HOST}"},
		{in: "a$${HOST}${HOST}", out: "a${HOST}10.0.0.1"},
		{in: "${UNSET}", problem: "p: the environment variable UNSET is not set (set it, or write ${UNSET:-default})"},
		{in: "${HOST", problem: `p: "${" without "}" (close it, or write "$${" for the two characters themselves)`},
		{in: "${}", problem: `p: what stands between "${" and "}" is no name of an environment variable (write ${NAME} or ${NAME:-default}, or "$${" for the two characters themselves)`},
		{in: "${1A}", problem: `p: what stands between "${" and "}" is no name of an environment variable (write ${NAME} or ${NAME:-default}, or "$${" for the two characters themselves)`},
	} {
		got, problems := expand(tt.in, "p", lookup)
		if problems.Error() != tt.problem || tt.problem == "" && got != tt.out {
			t.Errorf("%s: got %q %q", tt.in, got, problems.Error())
		}
	}
	// Never in keys; the tree itself stays as it was.
	tree := map[string]any{"${HOST}": []any{"${HOST}", 5}}
	got, _ := expand(tree, "", lookup)
	if want := map[string]any{"${HOST}": []any{"10.0.0.1", 5}}; !reflect.DeepEqual(got, want) || tree["${HOST}"].([]any)[0] != "${HOST}" {
		t.Errorf("got %v, the tree is %v", got, tree)
	}
	// An error by default, not only under Strict, with path and line.
	_, errs := parseText(t, "a.json", "{\n\"runtime\": {\"app\": {\n\"app_id\": \"${UNSET}\"}}}", testOptions())
	if want := "a.json:3: runtime.app.app_id: the environment variable UNSET is not set (set it, or write ${UNSET:-default})"; len(errs) != 1 || errs[0] != want {
		t.Errorf("got %q", errs)
	}
}

// TestSecretsAreNotShown: whatever is wrong with a secret, no message holds it.
func TestSecretsAreNotShown(t *testing.T) {
	for _, value := range []string{"9876512", "09876512", "1e98765", "[9876512]", "true9876512: 1", "${9876512 x}", "${9876512"} {
		text := "runtime: {state: {a: {type: redis, metadata: {redisPassword: '" + value + "', redisDB: x}}}}"
		if !strings.HasPrefix(value, "$") {
			text = strings.ReplaceAll(text, "'", "")
		}
		warnings, errs := parseText(t, "a.yaml", text, testOptions())
		all := strings.Join(append(warnings, errs...), "\n")
		if errs == nil || strings.Contains(all, "98765") {
			t.Errorf("%s: %s", value, all)
		}
	}
}

func TestLoadReadsTheEnvironment(t *testing.T) {
	t.Setenv("OTTAVO_TEST_APP", "app9")
	cfg, _, err := Parse("a.yaml", []byte("runtime: {app: {app_id: '${OTTAVO_TEST_APP}'}}"), Options{})
	if err != nil || cfg.Runtime.AppID != "app9" {
		t.Errorf("%v %v", cfg, err)
	}
}

func TestProxyOnly(t *testing.T) {
	cfg, _, err := Parse("a.yaml", []byte("servers: [{listeners: [{address: '127.0.0.1:1', filter_chains: [{filters: [{type: x}]}]}]}]"), Options{})
	if err != nil || cfg.Runtime != nil || cfg.Actuator.Enabled || cfg.Proxy.Listeners[0].Name != "127.0.0.1:1" {
		t.Errorf("%+v %v", cfg, err)
	}
}

// FuzzParse: whatever the bytes, an answer and no panic; the same file gives the
// same answer, and no error comes without the file's name.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*", "testdata/bad/*", "../../configs/*.*", "../../configs/layotto/*.*"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data, strings.HasSuffix(file, ".json"))
		}
	}
	f.Add([]byte("a: &a [*a]"), false)
	f.Add([]byte("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]"), false)
	f.Add(bytes.Repeat([]byte("[{"), 200), true)
	f.Fuzz(func(t *testing.T, data []byte, asJSON bool) {
		name := "f.yaml"
		if asJSON {
			name = "f.json"
		}
		cfg, _, err := Parse(name, data, testOptions())
		if (cfg == nil) == (err == nil) {
			t.Fatalf("config %v with error %v", cfg, err)
		}
		var ps decode.Problems
		if err != nil && !errors.As(err, &ps) {
			t.Fatalf("error of type %T", err)
		}
		for _, p := range ps {
			if p.File != name || p.Message == "" {
				t.Errorf("problem %+v", p)
			}
		}
	})
}
