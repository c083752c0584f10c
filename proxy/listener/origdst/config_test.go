package origdst_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/listener/origdst"
)

// listener reads a listener as a configuration file has it.
func listener(t testing.TB, text string) *config.Listener {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var l config.Listener
	decode.Defaults(&l)
	// Whether other layers obey these keys is not this package's matter.
	l.UseOriginalDst = tree["use_original_dst"]
	delete(tree, "use_original_dst")
	if filters, ok := tree["listener_filters"]; ok {
		if _, err := decode.Into(&l.ListenerFilters, filters, "listener_filters"); err != nil {
			t.Fatal(err)
		}
		delete(tree, "listener_filters")
	}
	if _, err := decode.Into(&l, tree, ""); err != nil {
		t.Fatal(err)
	}
	return &l
}

func TestParse(t *testing.T) {
	t.Parallel()
	redirect, tproxy := origdst.Config{Mode: origdst.Redirect}, origdst.Config{Mode: origdst.TProxy}
	local := func(c origdst.Config) origdst.Config {
		c.FallbackToLocal = true
		return c
	}
	for text, want := range map[string]origdst.Config{
		`{}`:                                                 {},
		`{"use_original_dst": null}`:                         {},
		`{"use_original_dst": ""}`:                           {},
		`{"use_original_dst": false}`:                        {},
		`{"use_original_dst": "false"}`:                      {},
		`{"use_original_dst": true}`:                         redirect,
		`{"use_original_dst": "true"}`:                       redirect,
		`{"use_original_dst": "redirect"}`:                   redirect,
		`{"use_original_dst": "tproxy"}`:                     tproxy,
		`{"listener_filters": []}`:                           {},
		`{"listener_filters": [{"type":"x"}, {"type":"x"}]}`: {},
		`{"use_original_dst": "redirect", "listener_filters": [{"type":"original_dst", "config":{"type":"redirect"}}]}`:                          redirect,
		`{"use_original_dst": "redirect", "listener_filters": [{"type":"original_dst", "config":{"type":"redirect","fallback_to_local":true}}]}`: local(redirect),
		`{"use_original_dst": "tproxy", "listener_filters": [{"type":"original_dst", "config":{"type":"tproxy","fallback_to_local":true}}]}`:     local(tproxy),
		`{"use_original_dst": "tproxy", "listener_filters": [{"type":"x"},{"type":"original_dst", "config":{"fallback_to_local":"true"}}]}`:      local(tproxy),
		`{"use_original_dst": true, "listener_filters": [{"type":"original_dst"}]}`:                                                              redirect,
		`{"use_original_dst": true, "listener_filters": [{"type":"original_dst", "config":{"type":"redirect"}}]}`:                                redirect,
		`{"listener_filters": [{"type":"original_dst"}]}`:                                                                                        redirect,
		`{"listener_filters": [{"type":"original_dst", "config":{"type":"tproxy","fallback_to_local":false}}]}`:                                  tproxy,
		`{"use_original_dst": "tproxy", "network": "tcp", "address": "[::]:15006"}`:                                                              tproxy,
		`{"use_original_dst": false, "network": "unix", "address": "/x"}`:                                                                        {},
	} {
		got, warnings, err := origdst.Parse(listener(t, text), "listeners[0]")
		if err != nil || len(warnings) > 0 || got != want {
			t.Errorf("%s\n  %+v, %v, %v\n  want %+v", text, got, warnings, err, want)
		}
	}
}

func TestParseProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, problem string }{
		{`{"use_original_dst": "tprox"}`, `listeners[0].use_original_dst: unknown value "tprox" (did you mean "tproxy"?`},
		{`{"use_original_dst": 1}`, `listeners[0].use_original_dst: must be a text, not the number 1`},
		{`{"use_original_dst": ["redirect"]}`, `listeners[0].use_original_dst: must be a text, not a list`},
		{`{"use_original_dst": {"redirect": true}}`, `listeners[0].use_original_dst: must be a text, not a section`},
		{`{"listener_filters": [{"type":"original_dst","config":{"type":"nat"}}]}`, `listeners[0].listener_filters[0].config.type: unknown value "nat" (known: redirect, tproxy)`},
		{`{"listener_filters": [{"type":"original_dst","config":{"fallback_to_local":"often"}}]}`, `listeners[0].listener_filters[0].config.fallback_to_local: must be true or false`},
		{
			`{"use_original_dst": "redirect", "listener_filters": [{"type":"x"},{"type":"original_dst","config":{"type":"tproxy"}}]}`,
			`listeners[0].listener_filters[1].config.type: "tproxy" contradicts the listener's use_original_dst, which is "redirect"`,
		},
		{`{"use_original_dst": false, "listener_filters": [{"type":"original_dst","config":{"type":"tproxy"}}]}`, `which is "false"`},
		{
			`{"listener_filters": [{"type":"original_dst"},{"type":"original_dst"}]}`,
			`listeners[0].listener_filters[1]: a second filter original_dst (one is enough; there is one at listeners[0].listener_filters[0])`,
		},
		{`{"use_original_dst": true, "network": "udp"}`, `listeners[0].use_original_dst: "redirect" is for tcp, and this listener's network is "udp"`},
		{`{"use_original_dst": "tproxy", "address": "unix:/x"}`, `network is "unix"`},
		{`{"listener_filters": [{"type":"original_dst"}], "network": "unix"}`, `network is "unix"`},
	} {
		got, _, err := origdst.Parse(listener(t, c.text), "listeners[0]")
		problems := decode.AsProblems(err, "")
		if len(problems) != 1 || !strings.Contains(problems[0].String(), c.problem) {
			t.Errorf("%s\n  error %v\n  want one problem with %q", c.text, err, c.problem)
		}
		if got != (origdst.Config{}) {
			t.Errorf("%s: %+v beside an error", c.text, got)
		}
	}

	// All mistakes are told at once.
	_, _, err := origdst.Parse(listener(t, `{"use_original_dst": "x", "listener_filters": [{"type":"original_dst","config":{"type":"y","fallback_to_local":3}}]}`), "l")
	if problems := decode.AsProblems(err, ""); len(problems) != 3 {
		t.Errorf("three mistakes: %v", err)
	}
}

func TestParseWarnings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"use_original_dst": "redirect", "bind_port": false}`:                                              "listeners[0].use_original_dst: has no effect: with bind_port false",
		`{"use_original_dst": false, "listener_filters": [{"type":"original_dst"}]}`:                        "listeners[0].listener_filters[0]: has no effect: use_original_dst is false",
		`{"listener_filters": [{"type":"original_dst","config":{"fallback_to_locale":true}}]}`:              "fallback_to_local",
		`{"use_original_dst": "tproxy", "listener_filters": [{"type":"original_dst","config":{"port":1}}]}`: "listeners[0].listener_filters[0].config.port",
	} {
		_, warnings, err := origdst.Parse(listener(t, text), "listeners[0]")
		if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].String(), want) {
			t.Errorf("%s\n  %v, %v\n  want one warning with %q", text, warnings, err, want)
		}
	}
}

// FuzzParse: whatever a file holds, there is an error or a mode that exists.
func FuzzParse(f *testing.F) {
	f.Add(`"redirect"`, `{"type":"redirect","fallback_to_local":true}`, "tcp")
	f.Add(`true`, `{"type":"tproxy"}`, "unix")
	f.Add(`[{}]`, `{"TYPE":[1]}`, "")
	f.Add(`null`, `null`, "")
	f.Fuzz(func(t *testing.T, use, filter, network string) {
		l := &config.Listener{Network: network, BindPort: true}
		var conf map[string]any
		if json.Unmarshal([]byte(use), &l.UseOriginalDst) != nil || json.Unmarshal([]byte(filter), &conf) != nil {
			return
		}
		l.ListenerFilters = []config.Extension{{Type: origdst.FilterType, Config: conf}}
		cfg, _, err := origdst.Parse(l, "l")
		if err != nil {
			if cfg != (origdst.Config{}) {
				t.Fatalf("%+v beside %v", cfg, err)
			}
			return
		}
		switch cfg.Mode {
		case origdst.Off, origdst.Redirect, origdst.TProxy:
		default:
			t.Fatalf("mode %q", cfg.Mode)
		}
		if cfg.Mode != origdst.Off && network != "" && network != "tcp" {
			t.Fatalf("mode %q on %q", cfg.Mode, network)
		}
	})
}
