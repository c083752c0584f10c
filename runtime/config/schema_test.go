package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compile makes a validator of the schema; that alone proves it valid against
// the metaschema.
func compile(t *testing.T, opts Options) *jsonschema.Schema {
	t.Helper()
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema(opts)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("config.json", tree); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate checks a file's content as an editor would.
func validate(t *testing.T, schema *jsonschema.Schema, file string, data []byte) error {
	t.Helper()
	doc, err := parse(file, data)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(doc.root)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(tree)
}

// expected are the warnings of the files in configs that are looked at here:
// Layotto's samples carry sections for a control plane.
var expected = map[string][]string{
	"default.yaml": nil, "proxy.yaml": nil,
	"layotto/config_redis.json":  {"dynamic_resources", "static_resources"},
	"layotto/demo_rpc_http.json": {"dynamic_resources", "static_resources"},
	"layotto/config_uds.json":    nil,
	"layotto/runtime_config.json": {
		"servers[0].listeners[0].stream_filters[0].type", "servers[0].listeners[0].stream_filters[1].type",
		"tracing", "metrics", "dynamic_resources", "static_resources",
	},
	"layotto/config_apollo.json": {"servers[0].listeners[0].filter_chains[0].filters[0].type", "dynamic_resources", "static_resources"},
}

// TestConfigs: these files in configs are ones that Load takes and the schema
// allows. runtime/builtin looks at all of them, with what is really built in.
func TestConfigs(t *testing.T) {
	schemas := map[string]*jsonschema.Schema{"full": compile(t, testOptions()), "without names": compile(t, Options{})}
	const root = "../../configs"
	count := 0
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if _, ok := expected[filepath.ToSlash(name)]; !ok {
			return nil
		}
		count++
		cfg, warnings, err := Load(path, testOptions())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return nil
		}
		if (cfg.Runtime == nil) != (name == "proxy.yaml") {
			t.Errorf("%s: runtime %v", name, cfg.Runtime)
		}
		var paths []string
		for _, w := range warnings {
			paths = append(paths, w.Path)
		}
		if strings.Join(paths, " ") != strings.Join(expected[filepath.ToSlash(name)], " ") {
			t.Errorf("%s: warnings %q", name, warnings)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for which, schema := range schemas {
			if err := validate(t, schema, path, data); err != nil {
				t.Errorf("%s, schema %s: %v", name, which, err)
			}
		}
		return nil
	})
	if err != nil || count != len(expected) {
		t.Fatalf("%d files, %v", count, err)
	}
}

func TestOurConfigsAreSafe(t *testing.T) {
	for _, file := range []string{"default.yaml", "proxy.yaml"} {
		cfg, _, err := Load("../../configs/"+file, testOptions())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range cfg.Proxy.Listeners {
			if !strings.HasPrefix(l.Address, "127.0.0.1:") {
				t.Errorf("%s: the listener %q is on %s", file, l.Name, l.Address)
			}
		}
	}
}

func TestDefaultConfig(t *testing.T) {
	cfg, _, err := Load("../../configs/default.yaml", testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Runtime.DataDir != ".data" || !cfg.Actuator.Enabled || cfg.Proxy.Clusters[0].Hosts[0].Address != "127.0.0.1:8889" {
		t.Errorf("%+v", cfg.Runtime)
	}
}

// chainWith is a file with one filter chain, proxyWith one with a proxy filter.
func chainWith(chain string) string {
	return "servers: [{listeners: [{filter_chains: [{" + chain + "}]}]}]"
}

func proxyWith(config string) string {
	return chainWith("filters: [{type: proxy, config: {router_config_name: r, " + config + "}}]")
}

func TestSchema(t *testing.T) {
	schema := compile(t, testOptions())
	good, err := filepath.Glob("testdata/good/*")
	if err != nil || len(good) < 6 {
		t.Fatal(good, err)
	}
	for _, file := range good {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, schema, file, data); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for name, tt := range map[string]struct {
		text string
		ok   bool
	}{
		"smallest":                 {"runtime: {}", true},
		"nothing":                  {"cluster_manager: {}", false},
		"typo":                     {"runtime: {listne: x}", false},
		"typo in a list":           {"servers: [{listeners: [{addr_ess: x, filter_chains: [{}]}]}]", false},
		"number in a text":         {"runtime: {max_recv_bytes: '5'}", true},
		"variable for a number":    {"runtime: {max_recv_bytes: '${SIZE}'}", true},
		"word for a number":        {"runtime: {max_recv_bytes: many}", false},
		"number out of range":      {"runtime: {max_recv_bytes: 0}", false},
		"boolean in a text":        {"runtime: {actuator: {enabled: 'True'}}", true},
		"word for a boolean":       {"runtime: {actuator: {enabled: maybe}}", false},
		"duration":                 {"runtime: {graceful_stop_timeout: 1m30s}", true},
		"duration without unit":    {"runtime: {graceful_stop_timeout: 30}", false},
		"level in small letters":   {"runtime: {log: {level: debug}}", true},
		"unknown level":            {"runtime: {log: {level: loud}}", false},
		"known type":               {"runtime: {state: {a: {type: redis, metadata: {redisHost: h, dialTimeout: 5}}}}", true},
		"keys of a backend":        {"runtime: {state: {a: {type: kafka, metadata: {brokers: [h:1], password: 5, batch: '7', eu.orders.schema: x, keyPrefix: none}}}}", true},
		"keys, a typo":             {"runtime: {state: {a: {type: kafka, metadata: {broker: h}}}}", false},
		"keys, a bad value":        {"runtime: {state: {a: {type: kafka, metadata: {batch: [1]}}}}", false},
		"keys of a kind":           {"runtime: {state: {a: {type: redis, metadata: {keyPrefix: none, actorStateStore: true}}}}", true},
		"a file's secret":          {"runtime: {file: {a: {type: s3, metadata: [{}], secret_ref: [{store_name: s, key: k, inject_as: '[0].accessKeySecret'}]}}}", true},
		"no type":                  {"runtime: {state: {a: {}}}", false},
		"unknown type":             {"runtime: {state: {a: {type: mysql}}}", false},
		"typo in metadata":         {"runtime: {state: {a: {type: redis, metadata: {redisHst: h}}}}", false},
		"another type's metadata":  {"runtime: {state: {a: {type: in-memory, metadata: {redisHost: h}}}}", false},
		"bad value in metadata":    {"runtime: {state: {a: {type: redis, metadata: {redisDB: -1}}}}", false},
		"rpc by its key":           {"runtime: {rpcs: {mosn: {config: {channel: [{protocol: http}]}}}}", true},
		"rpc by its key, typo":     {"runtime: {rpcs: {mosn: {config: {chanel: []}}}}", false},
		"rpc by its type":          {"runtime: {rpcs: {x: {type: mosn, config: {channel: []}}}}", true},
		"rpc by its type, typo":    {"runtime: {rpcs: {x: {type: mosn, config: {chanel: []}}}}", false},
		"not built, harmless":      {"{runtime: {}, tracing: {enable: true}}", true},
		"not built, refused":       {"{runtime: {}, third_part_codec: {codecs: [{}]}}", false},
		"not built, refused, none": {"{runtime: {}, third_part_codec: {}}", true},
		"secret reference":         {"runtime: {state: {a: {type: redis, secret_ref: [{store_name: s, key: k, sub_key: v, inject_as: redisPassword}]}}}", true},
		"secret reference, typo":   {"runtime: {state: {a: {type: redis, secret_ref: [{store: s}]}}}", false},
		"file's list of accounts":  {"runtime: {file: {a: {type: s3, metadata: [{endpoint: e}]}}}", true},
		"unknown filter":           {"servers: [{listeners: [{filter_chains: [{filters: [{type: prxy}]}]}]}]", false},
		"typo in a filter":         {"servers: [{listeners: [{filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: http1, router_config_name: r, x: 1}}]}]}]}]", false},
		"unknown protocol":         {"servers: [{listeners: [{filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: http9, router_config_name: r}}]}]}]}]", false},
		"protocols":                {proxyWith("downstream_protocol: 'Http1, http2'"), true},
		"protocols, a typo":        {proxyWith("downstream_protocol: 'Http1,Htp2'"), false},
		"protocols, an end":        {proxyWith("downstream_protocol: 'Http1,'"), false},
		"any protocol":             {proxyWith("downstream_protocol: Auto, upstream_protocol: auto"), true},
		"any among others":         {proxyWith("downstream_protocol: 'Http1,Auto'"), false},
		"several upstream":         {proxyWith("downstream_protocol: Http1, upstream_protocol: 'Http1,Http2'"), false},
		"context":                  {chainWith("tls_context: {status: true, cert_chain: a, private_key: b, min_version: TLSv1_2}, filters: [{type: grpc}]"), true},
		"context, a typo":          {chainWith("tls_context: {status: true, certchain: a}, filters: [{type: grpc}]"), false},
		"contexts":                 {chainWith("tls_context_set: [{status: true}, {server_name: a}], filters: [{type: grpc}]"), true},
		"version":                  {chainWith("tls_context: {max_version: TLS2}, filters: [{type: grpc}]"), false},
		"tcp_proxy":                {chainWith("filters: [{type: tcp_proxy, config: {cluster: a, idle_timeout: 1m, routes: [{cluster: b, ports: '80', source_addrs: [{address: '::1', length: 128}]}]}}]"), true},
		"tcp_proxy, a typo":        {chainWith("filters: [{type: tcp_proxy, config: {clutser: a}}]"), false},
		"tcp_proxy, a route":       {chainWith("filters: [{type: tcp_proxy, config: {routes: [{cluster: b, ports: 80, source_addrs: [{length: 129}]}]}}]"), false},
		"udp_proxy":                {chainWith("filters: [{type: udp_proxy, config: {cluster: a, max_sessions: 5}}]"), true},
		"udp_proxy, a typo":        {chainWith("filters: [{type: udp_proxy, config: {maxsessions: 5}}]"), false},
		"listener filter":          {"servers: [{listeners: [{listener_filters: [{type: original_dst}], filter_chains: [{filters: [{type: grpc}]}]}]}]", true},
		"unknown listener filter":  {"servers: [{listeners: [{listener_filters: [{type: x}], filter_chains: [{filters: [{type: grpc}]}]}]}]", false},
		"cluster's context":        {"runtime: {}\ncluster_manager: {tls_context: {status: true}, clusters: [{name: a, cluster_manager_tls: true}, {name: b, tls_context: {insecure_skip: 'true'}}]}", true},
		"cluster's context, typo":  {"runtime: {}\ncluster_manager: {clusters: [{name: b, tls_context: {insecureskip: true}}]}", false},
		"unknown balancer":         {"runtime: {}\ncluster_manager: {clusters: [{name: a, lb_type: LB_X}]}", false},
		"two servers":              {"servers: [{}, {}]", false},
	} {
		if err := validate(t, schema, "x.yaml", []byte(tt.text)); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !bytes.Equal(Schema(testOptions()), Schema(testOptions())) {
		t.Error("the schema is not the same each time")
	}
}
