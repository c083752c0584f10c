package health_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/health"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

func TestI9ConfigurationMistakes(t *testing.T) {
	http := func(h config.HTTPCheck) config.HealthCheck {
		return config.HealthCheck{Protocol: "Http1", Check: config.CheckConfig{HTTP: &h}}
	}
	for name, c := range map[string]struct {
		cfg  config.HealthCheck
		want string
	}{
		"protocol":         {config.HealthCheck{Protocol: "Http3"}, `c.health_check.protocol: unknown protocol "Http3" of a health check (did you mean Http1? known: TCP, Http1, Http2, GRPC)`},
		"protocol far off": {config.HealthCheck{Protocol: "quantum entanglement"}, "known: TCP, Http1, Http2, GRPC"},
		"timeout":          {config.HealthCheck{Timeout: time.Microsecond}, "c.health_check.timeout: 1µs is too short (at least 10ms)"},
		"interval":         {config.HealthCheck{Interval: -1}, "c.health_check.interval: -1ns is too short (at least 10ms)"},
		"jitter":           {config.HealthCheck{IntervalJitter: -time.Second}, "c.health_check.interval_jitter: -1s is too short"},
		"delay":            {config.HealthCheck{InitialDelay: -time.Second}, "c.health_check.initial_delay: -1s is too short"},
		"method":           {http(config.HTTPCheck{Method: "GET /"}), `c.health_check.check_config.http_check_config.method: "GET /" is no method`},
		"CONNECT":          {http(config.HTTPCheck{Method: "CONNECT"}), "http_check_config.method"},
		"path":             {http(config.HTTPCheck{Path: "health"}), `c.health_check.check_config.http_check_config.path: "health" is no path`},
		"path with blanks": {http(config.HTTPCheck{Path: "/a b"}), "http_check_config.path"},
		"query alone":      {http(config.HTTPCheck{Path: "?a"}), "http_check_config.path"},
		"fragment":         {http(config.HTTPCheck{Path: "/a#b"}), "http_check_config.path"},
		"line break":       {http(config.HTTPCheck{Path: "/a\r\nX: y"}), "http_check_config.path"},
		"domain":           {http(config.HTTPCheck{Domain: "http://x"}), "http_check_config.domain"},
		"timeout of HTTP":  {http(config.HTTPCheck{Timeout: 1}), "http_check_config.timeout: 1ns is too short"},
		"codes backwards":  {http(config.HTTPCheck{Codes: []config.CodeRange{{Start: 200, End: 200}, {Start: 300, End: 200}}}), "c.health_check.check_config.http_check_config.codes[1]: 300 to 200 is no range"},
		"codes from MOSN":  {http(config.HTTPCheck{Codes: []config.CodeRange{{Start: 100, End: 200}}}), "codes[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := health.Parse(c.cfg, "c.health_check")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if ps, ok := errors.AsType[decode.Problems](err); !ok || len(ps) != 1 {
				t.Errorf("it is a %T", err)
			}
		})
	}
}

func TestI9Warnings(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  config.HealthCheck
		want string
	}{
		"both delays":     {config.HealthCheck{InitialDelay: time.Second, InitialDelayLong: 2 * time.Second}, "hc.initial_delay_seconds: is another name of initial_delay, whose 1s holds"},
		"service":         {config.HealthCheck{ServiceName: "x"}, "hc.service_name: has no effect on TCP checks"},
		"request of GRPC": {config.HealthCheck{Protocol: "grpc", Check: config.CheckConfig{HTTP: &config.HTTPCheck{}}}, "hc.check_config.http_check_config: has no effect on GRPC checks"},
		"none":            {config.HealthCheck{InitialDelay: time.Second, InitialDelayLong: time.Second, Protocol: "http1", Check: config.CheckConfig{HTTP: &config.HTTPCheck{}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, warnings, err := health.Parse(c.cfg, "hc")
			if got := warnings.Error(); err != nil || !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
				t.Errorf("got %v, %q, want %q", err, got, c.want)
			}
		})
	}
}

func TestI9NeedsTLS(t *testing.T) {
	for scheme, want := range map[string]bool{"": false, "http": false, "https": true} {
		c := parse(t, config.HealthCheck{Protocol: "Http2", Check: config.CheckConfig{HTTP: &config.HTTPCheck{Scheme: scheme}}})
		if c.NeedsTLS() != want {
			t.Errorf("%q: %v", scheme, !want)
		}
	}
}
