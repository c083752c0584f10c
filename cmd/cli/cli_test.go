package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var commands = []string{"start", "validate", "schema", "call", "status", "version"}

func TestHelp(t *testing.T) {
	t.Parallel()
	root := run(t, "--help")
	root.wants(t, 0, append([]string{"Examples:\n  ottavo start -c configs/default.yaml\n", "Exit codes: 0"}, commands...), nil)
	if bare := run(t); bare != root {
		t.Errorf("ottavo without arguments is not its help: %+v", bare)
	}
	for _, name := range commands {
		help := run(t, name, "--help")
		help.wants(t, 0, []string{"Usage:\n  ottavo " + name, "Examples:\n  ottavo " + name}, nil)
		if other := run(t, "help", name); other != help {
			t.Errorf("help %s differs from %s --help", name, name)
		}
		for line := range strings.Lines(help.out) {
			if len(line) > 200 {
				t.Errorf("%s: a line of %d letters: %s", name, len(line), line)
			}
		}
	}
}

// The examples in the help are commands that exist, with flags that exist: with
// --help added, each of them is a good command.
func TestHelpExamples(t *testing.T) {
	t.Parallel()
	n := 0
	for _, name := range commands {
		_, examples, _ := strings.Cut(run(t, name, "--help").out, "Examples:\n")
		examples, _, _ = strings.Cut(examples, "\nFlags:")
		for line := range strings.Lines(examples) {
			_, command, ok := strings.Cut(line, "ottavo ")
			if !ok {
				continue
			}
			n++
			var args []string
			for i, part := range strings.Split(strings.TrimSpace(command), "'") {
				if i%2 == 1 {
					args = append(args, part) // quoted
				} else {
					args = append(args, strings.Fields(part)...)
				}
			}
			if i := strings.Index(strings.Join(args, " "), " > "); i >= 0 {
				args = strings.Fields(strings.Join(args, " ")[:i])
			}
			if r := run(t, append(args, "--help")...); r.code != 0 {
				t.Errorf("%s: %s", line, r.errors)
			}
		}
	}
	if n < 15 {
		t.Errorf("found %d examples, this test does not see them", n)
	}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		`unknown command "starrt" (did you mean start?); commands: call, help, schema, start, status, validate, version (see ottavo --help)`: {"starrt"},
		`unknown flag: --nonsense (see ottavo start --help)`:             {"start", "--nonsense"},
		`unknown flag: --nonsense (see ottavo start --help) `:            {"--nonsense"},
		`unexpected argument "x" (see ottavo validate --help)`:           {"validate", "x"},
		`unexpected argument "x" (see ottavo version --help)`:            {"version", "x"},
		`unexpected argument "x" (see ottavo status --help)`:             {"status", "x"},
		`flag needs an argument: 'c' in -c (see ottavo validate --help)`: {"validate", "-c"},
		`--log-level: unknown level "loud"; known: trace, debug`:         {"start", "--log-level", "loud"},
		`name the method to call`:                                        {"call"},
		`unexpected argument "b"`:                                        {"call", "a/a", "b"},
		`unexpected argument "b" `:                                       {"call", "--list", "a", "b"},
		`--list and --describe do not go together`:                       {"call", "--list", "--describe", "x"},
		`--header "novalue" is not 'NAME: VALUE'`:                        {"call", "a/b", "-H", "novalue"},
		`write them in base64`:                                           {"call", "a/b", "-H", "x-bin: %"},
		`--address: address "34904" is neither host:port nor unix:/path`: {"call", "a/b", "--address", "34904"},
		`--max-message-size: "4MB" is no size`:                           {"call", "a/b", "--max-message-size", "4MB"},
		`--max-message-size: "2GiB" is no size`:                          {"call", "a/b", "--max-message-size", "2GiB"},
		`--max-message-size: "0" is no size`:                             {"call", "a/b", "--max-message-size", "0"},
		`--timeout -1s is less than nothing`:                             {"call", "a/b", "--timeout", "-1s"},
		`--timeout 0s is no time to wait`:                                {"status", "--timeout", "0"},
		`invalid argument "soon" for "--timeout" flag`:                   {"call", "a/b", "--timeout", "soon"},
	} {
		r := run(t, args...)
		if r.code != 2 || !strings.HasPrefix(r.errors, "ottavo: ") || strings.Count(r.errors, "\n") != 1 || r.out != "" ||
			!strings.Contains(r.errors, strings.TrimSpace(want)) {
			t.Errorf("%q: exit code %d, want 2 and %q; printed\n%s%s", args, r.code, want, r.out, r.errors)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	run(t, "version").wants(t, 0, []string{"ottavo   v1.2.3\n", "go       go1.", "platform "}, nil)
	for _, flag := range []string{"--version", "-v"} {
		if r := run(t, flag); r.out != "ottavo v1.2.3\n" || r.code != 0 {
			t.Errorf("%s: %+v", flag, r)
		}
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	r := run(t, "schema")
	r.wants(t, 0, []string{`"$schema"`, `"in-memory"`, "egress"}, nil)
	if !json.Valid([]byte(r.out)) {
		t.Error("it is no JSON")
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := file(t, "good.yaml", "runtime:\n  hellos: {helloworld: {type: helloworld, hello: hi}}\n")
	warns := file(t, "warns.yaml", "runtime:\n  helos: {}\n")
	bad := file(t, "bad.yaml", "runtime:\n  listne: x\n  state:\n    orders: {type: rediss}\n  max_recv_bytes: lots\n")
	half := file(t, "half.json", `{"runtime": {`)
	noAPI := file(t, "proxy.yaml", "servers: [{listeners: [{name: l, address: \"127.0.0.1:1\", bind_port: false, filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, router_config_name: r}}]}]}], routers: [{router_config_name: r}]}]\n")
	for _, tc := range []struct {
		args      []string
		code      int
		out, errs []string
	}{
		{[]string{"-c", good}, 0, []string{good + " is good. It would start:\n", "runtime   127.0.0.1:34904  gRPC API\n", "actuator  127.0.0.1:34999  actuator\n", "  hellos  helloworld  helloworld\n", "clusters:\n  none\n"}, nil},
		{[]string{"-c", good, "--strict"}, 0, []string{"is good"}, nil},
		{[]string{"-c", warns}, 0, []string{"warning: " + warns + ":2: runtime.helos: ", "hellos", "is good"}, nil},
		{[]string{"-c", warns, "--strict"}, 1, []string{"warning: " + warns + ":2: runtime.helos: "}, []string{"ottavo: " + warns + " has 1 warning, which --strict does not allow\n"}},
		{[]string{"-c", bad}, 1, []string{"error: " + bad + ":5: runtime.max_recv_bytes: ", "warning: " + bad + ":2: runtime.listne: ", "listen"}, []string{"ottavo: " + bad + " is wrong: "}},
		{[]string{"-c", half}, 1, []string{"error: " + half + ":1"}, []string{"is wrong: 1 error, 0 warnings"}},
		{[]string{"-c", noAPI}, 0, []string{"listeners:\n  l  no socket  Http1, router r\n", "clusters:\n  none\n", "no API: "}, nil},
		{[]string{"-c", "nowhere/x.yaml"}, 1, []string{"error: nowhere/x.yaml: no such file"}, []string{"is wrong"}},
		{nil, 1, nil, []string{"ottavo: there is no configuration file configs/default.yaml: this is the file by default, from the working directory; name one with -c FILE\n"}},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			t.Parallel()
			run(t, append([]string{"validate"}, tc.args...)...).wants(t, tc.code, tc.out, tc.errs)
		})
	}
}

func TestConfigFromEnvironment(t *testing.T) {
	t.Parallel()
	ours := file(t, "ours.yaml", "runtime: {}\n")
	layottos := file(t, "layottos.yaml", "runtime: {}\n")
	env := map[string]string{"RUNTIME_CONFIG": layottos}
	command{args: []string{"validate"}, env: env}.run(t).wants(t, 0, []string{layottos + " is good"}, nil)
	env = map[string]string{"RUNTIME_CONFIG": layottos, "OTTAVO_CONFIG": ours}
	command{args: []string{"validate"}, env: env}.run(t).wants(t, 0, []string{ours + " is good"}, nil)
	command{args: []string{"validate", "-c", layottos}, env: env}.run(t).wants(t, 0, []string{layottos + " is good"}, nil)
	env = map[string]string{"OTTAVO_CONFIG": "gone.yaml"}
	command{args: []string{"validate"}, env: env}.run(t).wants(t, 1, nil, []string{"gone.yaml: the environment variable OTTAVO_CONFIG says so"})
	env = map[string]string{"HELLO": "from the environment", "LISTEN": "127.0.0.1:1"}
	expanded := file(t, "expanded.yaml", "runtime: {listen: \"${LISTEN}\"}\n")
	command{args: []string{"validate", "-c", expanded}, env: env}.run(t).wants(t, 0, []string{"127.0.0.1:1 "}, nil)
}

// Every file that we ship is good.
func TestShippedConfigs(t *testing.T) {
	t.Parallel()
	n := 0
	err := filepath.WalkDir("../../configs", func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "secret": // files that others refer to
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		n++
		if filepath.Base(path) == "config_hello_component.json" {
			// Its component is a process of its own, which is not there.
			r := run(t, "validate", "-c", path)
			for _, want := range []string{`unknown type "hello-grpc-demo"`, "/tmp/runtime/component-sockets"} {
				if r.code != 1 || !strings.Contains(r.out, want) {
					t.Errorf("exit code %d, and no %q in\n%s", r.code, want, r.out)
				}
			}
			return nil
		}
		if r := run(t, "validate", "-c", path); r.code != 0 {
			t.Errorf("%s:\n%s%s", path, r.out, r.errors)
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Errorf("%d files, %v", n, err)
	}
}
