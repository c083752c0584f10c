package runtime_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/custom"
	"github.com/ottavo-runtime/ottavo/components/hello"
	"github.com/ottavo-runtime/ottavo/components/secret"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/config"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// vaultGreeter greets with its setting "tone" and a secret of the store that it refers to.
type vaultGreeter struct {
	tone    any
	secrets secret.Store
}

func (g vaultGreeter) Hello(ctx context.Context, name string) (string, error) {
	values, err := g.secrets.Get(ctx, name, nil)
	return fmt.Sprint(g.tone, " ", values[name]), err
}

// secretsFile writes a file of secrets.
func secretsFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets.json")
	if err := os.WriteFile(path, []byte(`{"db": {"user": "root", "tone": "moll"}, "single": "dur"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Settings come from secret stores, under the key that the reference says, and a
// component gets the stores that it refers to.
func TestReferences(t *testing.T) {
	tables := builtin.Tables()
	tables.Hellos = append(tables.Hellos, components.Row[hello.Greeter]{Type: "vault", New: func(_ context.Context, env components.Env, cfg components.Config) (hello.Greeter, error) {
		return vaultGreeter{cfg.Metadata["tone"], env.Secrets.(secret.Store)}, nil
	}})
	rt := runtimetest.Start(t, fmt.Sprintf(`
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: "127.0.0.1:0"}
  secret_store:
    flat: {type: local.file, metadata: {secretsFile: %[1]q}}
    nested: {type: local.file, metadata: {secretsFile: %[1]q, multiValued: true}}
  hellos:
    sub: {type: vault, component_ref: {secret_store: flat}, secret_ref: [{store_name: nested, key: db, sub_key: tone}]}
    named: {type: vault, component_ref: {secret_store: flat}, secret_ref: [{store_name: flat, key: "db:tone", sub_key: "db:tone", inject_as: tone}]}
    only: {type: vault, component_ref: {secret_store: flat}, secret_ref: [{store_name: flat, key: single, inject_as: tone}]}
`, secretsFile(t)), runtimetest.Options{Tables: &tables})
	client := runtimev1.NewRuntimeClient(rt.Client(t))
	for name, want := range map[string]string{"sub": "moll dur", "named": "moll dur", "only": "dur dur"} {
		resp, err := client.SayHello(t.Context(), &runtimev1.SayHelloRequest{ServiceName: name, Name: "single"})
		if err != nil || resp.GetHello() != want {
			t.Errorf("%s: %q, %v, want %q", name, resp.GetHello(), err, want)
		}
	}
	if log := rt.Log.String(); strings.Contains(log, "moll") {
		t.Error("a secret is in the log")
	}
}

// A secret that is not there keeps the runtime from starting, and the message
// says where it was asked for, but nothing of what else is secret.
func TestMissingSecret(t *testing.T) {
	tables := builtin.Tables()
	for ref, want := range map[string]string{
		"{store_name: s, key: nothing}":             `secret "nothing" of the store "s"`,
		"{store_name: s, key: db, sub_key: nobody}": `has no value "nobody"; it has: tone, user`,
	} {
		err := fails(t, fmt.Sprintf(`
runtime:
  secret_store: {s: {type: local.file, metadata: {secretsFile: %q, multiValued: true}}}
  state: {a: {type: redis, secret_ref: [%s]}}
`, secretsFile(t), ref), tables)
		contains(t, err, "runtime.state.a.secret_ref[0]", want)
		if strings.Contains(err.Error(), "moll") {
			t.Errorf("the error holds a secret: %v", err)
		}
	}
}

// A secret that is empty, as a variable that is not set, is used, and warned of.
func TestEmptySecret(t *testing.T) {
	rt := runtimetest.Start(t, `
runtime:
  listen: 127.0.0.1:0
  actuator: {enabled: false}
  secret_store: {env: {type: local.env}}
  pub_subs: {events: {type: in-memory, secret_ref: [{store_name: env, key: SECRETS_TEST_NOBODY_SETS_THIS, inject_as: consumerID}]}}
`)
	if !rt.Log.Contains("runtime.pub_subs.events.secret_ref[0]", "SECRETS_TEST_NOBODY_SETS_THIS", "is empty") {
		t.Errorf("the log does not tell:\n%s", rt.Log)
	}
}

// closing notes its end.
type closing struct{ closed bool }

func (c *closing) Close() error { c.closed = true; return nil }

// Components of a program's own kinds are made, can be had, and are closed; a kind
// that the program does not bring is passed over with a warning.
func TestCustomComponents(t *testing.T) {
	c, tables := new(closing), builtin.Tables()
	tables.Customs = map[string][]components.Row[custom.Component]{"clock": {{Type: "sun", New: func(_ context.Context, _ components.Env, cfg components.Config) (custom.Component, error) {
		if cfg.Metadata["zone"] != "UTC" {
			return nil, fmt.Errorf("zone %v", cfg.Metadata["zone"])
		}
		return c, nil
	}}}}
	const file = `
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: "127.0.0.1:0"}
  custom_component:
    clock: {wall: {type: sun, version: v1, metadata: {zone: UTC}}}
    helloworld: {demo: {type: in-memory}}
`
	_, warnings, err := config.Parse("f.yaml", []byte(file), tables.ConfigOptions())
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0].String(), "f.yaml:7: runtime.custom_component.helloworld: no component of this kind is made") {
		t.Errorf("%v, %v", warnings, err)
	}
	rt := runtimetest.Start(t, file, runtimetest.Options{Tables: &tables})
	if got, ok := rt.Custom("clock", "wall"); !ok || got != custom.Component(c) {
		t.Errorf("Custom = %v, %v", got, ok)
	}
	if _, ok := rt.Custom("helloworld", "demo"); ok {
		t.Error("a component of a kind that is not there was made")
	}
	if err := rt.Stop(); err != nil || !c.closed {
		t.Errorf("Stop: %v, closed: %v", err, c.closed)
	}
}

// ApplyConfiguration reaches the component.
func TestApplyConfiguration(t *testing.T) {
	rt := runtimetest.Start(t, `
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: "127.0.0.1:0"}
  hellos: {helloworld: {type: helloworld, hello: greeting}}
  state: {s: {type: in-memory}}
`)
	cc := rt.Client(t)
	apply := func(kind, name string) error {
		_, err := runtimev1.NewLifecycleClient(cc).ApplyConfiguration(t.Context(), &runtimev1.DynamicConfiguration{ComponentConfig: &runtimev1.ComponentConfig{
			Kind: kind, Name: name, Metadata: map[string]string{"hello": "goodbye"},
		}})
		return err
	}
	if err := apply("state", "s"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a component that cannot change: %v", err)
	}
	if err := apply("hellos", "helloworld"); err != nil {
		t.Fatal(err)
	}
	resp, err := runtimev1.NewRuntimeClient(cc).SayHello(t.Context(), &runtimev1.SayHelloRequest{ServiceName: "helloworld", Name: "eva"})
	if err != nil || resp.GetHello() != "goodbye, eva" {
		t.Errorf("SayHello = %v, %v", resp, err)
	}
}

// Secret stores get settings from each other, whatever their names, and invokers get
// some, too; what is wrong with these is told without them.
func TestSecretsOfStoresAndInvokers(t *testing.T) {
	inner := secretsFile(t)
	outer := filepath.Join(t.TempDir(), "outer.json")
	if err := os.WriteFile(outer, fmt.Appendf(nil, `{"where": %q, "listener": "egress", "nowhere": "unlisted-egress"}`, inner), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(listener string) string {
		return fmt.Sprintf(`
runtime:
  listen: 127.0.0.1:0
  actuator: {listen: "127.0.0.1:0"}
  secret_store:
    a: {type: local.file, secret_ref: [{store_name: m, key: where, inject_as: secretsFile}]}
    m: {type: local.file, secret_ref: [{store_name: z, key: SECRETS_TEST_OUTER, inject_as: secretsFile}]}
    z: {type: local.env}
  rpcs:
    mosn:
      config: {channel: [{protocol: http}]}
      secret_ref: [{store_name: m, key: %s, inject_as: "channel[0].listener"}]
servers:
  - listeners:
      - name: egress
        address: 127.0.0.1:0
        bind_port: true
        filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, upstream_protocol: Http1, router_config_name: r}}]}]
    routers: [{router_config_name: r, virtual_hosts: [{name: v, domains: ["*"], routers: [{match: {prefix: /}, direct_response: {status: 200, body: answered}}]}]}]
`, listener)
	}
	t.Setenv("SECRETS_TEST_OUTER", outer)
	client := runtimev1.NewRuntimeClient(runtimetest.Start(t, file("listener")).Client(t))
	got, err := client.GetSecret(t.Context(), &runtimev1.GetSecretRequest{StoreName: "a", Key: "single"})
	if err != nil || got.GetData()["single"] != "dur" {
		t.Errorf("GetSecret = %v, %v", got, err)
	}
	answer, err := client.InvokeService(t.Context(), &runtimev1.InvokeServiceRequest{Id: "s", Message: &runtimev1.CommonInvokeRequest{Method: "/"}})
	if err != nil || string(answer.GetData().GetValue()) != "answered" {
		t.Errorf("InvokeService = %v, %v", answer, err)
	}
	err = fails(t, file("nowhere"), builtin.Tables())
	contains(t, err, `rpc component "mosn"`, "channel[0]", "***")
	if strings.Contains(err.Error(), "unlisted") {
		t.Errorf("the error holds a secret: %v", err)
	}
	contains(t, fails(t, file("nothing"), builtin.Tables()), "runtime.rpcs.mosn.secret_ref[0]", `secret "nothing" of the store "m"`)
}
