package lb_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

func TestOptions(t *testing.T) {
	table, err := lb.NewTable(lb.Builtin()...)
	if err != nil {
		t.Fatal(err)
	}
	type options = map[string]any
	for _, c := range []struct {
		names   string // of balancers
		options lb.Options
		warning string
		err     string
	}{
		{"LB_LEAST_REQUEST LB_LEAST_CONNECTION LB_PEAK_EWMA", lb.Options{Config: options{"choice_count": "3", "active_request_bias": 0.5}}, "", ""},
		{"LB_PEAK_EWMA", lb.Options{Config: options{"client_error_bias": 1, "server_error_bias": 2.5}}, "", ""},
		{"LB_LEAST_REQUEST LB_PEAK_EWMA", lb.Options{Config: options{"choice_count": 0}}, "", "clusters[2].lbconfig.choice_count: must be at least 1, not the number 0"},
		{"LB_LEAST_CONNECTION", lb.Options{Config: options{"choice_count": "two"}}, "", `clusters[2].lbconfig.choice_count: must be a whole number, not the text "two"`},
		{"LB_LEAST_REQUEST LB_PEAK_EWMA", lb.Options{Config: options{"active_request_bias": -1}}, "", "clusters[2].lbconfig.active_request_bias: must be at least 0"},
		{"LB_PEAK_EWMA", lb.Options{Config: options{"server_error_bias": -0.1}}, "", "clusters[2].lbconfig.server_error_bias: must be at least 0"},
		{
			"LB_LEAST_REQUEST LB_PEAK_EWMA",
			lb.Options{Config: options{"choices_count": 3}},
			`clusters[2].lbconfig.choices_count: unknown key; it has no effect (did you mean "choice_count"?)`, "",
		},
		{
			"LB_ROUNDROBIN LB_RANDOM LB_WEIGHTED_ROUNDROBIN LB_MAGLEV LB_REQUEST_ROUNDROBIN",
			lb.Options{Config: options{"choice_count": 3}},
			`clusters[2].lbconfig.choice_count: unknown key; it has no effect`, "",
		},
		{
			"LB_ROUNDROBIN LB_RANDOM LB_MAGLEV LB_REQUEST_ROUNDROBIN",
			lb.Options{SlowStart: &config.SlowStart{Duration: time.Second}},
			`clusters[2].slow_start: has no effect: this balancer does not go by weight`, "",
		},
		{"LB_WEIGHTED_ROUNDROBIN LB_LEAST_REQUEST LB_LEAST_CONNECTION LB_PEAK_EWMA", lb.Options{SlowStart: &config.SlowStart{Duration: time.Second}}, "", ""},
		{
			"LB_WEIGHTED_ROUNDROBIN LB_LEAST_REQUEST LB_LEAST_CONNECTION LB_PEAK_EWMA",
			lb.Options{SlowStart: &config.SlowStart{}},
			`clusters[2].slow_start.slow_start_duration: is not set: slow_start has no effect (say how long, for example "60s")`, "",
		},
	} {
		for name := range strings.FieldsSeq(c.names) {
			c.options.Path = "clusters[2]"
			p, warnings, err := table.Policy(name, c.options)
			if (p == nil) != (c.err != "") {
				t.Errorf("%s: policy %v, error %v", name, p, err)
			}
			for what, pair := range map[string][2]string{"warning": {warnings.Error(), c.warning}, "error": {text(err), c.err}} {
				if got, want := pair[0], pair[1]; !strings.HasPrefix(got, want) || want == "" && got != "" {
					t.Errorf("%s: %s %q, want %q", name, what, got, want)
				}
			}
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
