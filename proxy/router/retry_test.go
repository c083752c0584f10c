package router

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestG14RetryPolicy(t *testing.T) {
	const safe = stream.RetryConnect | stream.RetryReset
	with := func(on stream.RetryOn, statuses, grpc []int) *stream.Retry {
		return &stream.Retry{Max: 1, On: on, Statuses: statuses, GRPC: grpc, Base: 25 * time.Millisecond, Cap: 250 * time.Millisecond}
	}
	for _, c := range []struct {
		name   string
		policy config.RetryPolicy
		want   *stream.Retry
	}{
		{"true", config.RetryPolicy{RetryOn: true}, with(safe|stream.RetryStatus, nil, nil)},
		{"true as text", config.RetryPolicy{RetryOn: "true"}, with(safe|stream.RetryStatus, nil, nil)},
		{"false", config.RetryPolicy{RetryOn: false, NumRetries: 3}, nil},
		{"false as text", config.RetryPolicy{RetryOn: "false"}, nil},
		{"not given", config.RetryPolicy{NumRetries: 3}, nil},
		{"empty list", config.RetryPolicy{RetryOn: []any{}}, nil},
		{"statuses", config.RetryPolicy{RetryOn: true, StatusCodes: []int{429, 503}}, with(safe|stream.RetryStatus, []int{429, 503}, nil)},
		{"one word", config.RetryPolicy{RetryOn: "connect-failure"}, with(stream.RetryConnect, nil, nil)},
		{"words in one text", config.RetryPolicy{RetryOn: "connect-failure, Reset,"}, with(safe, nil, nil)},
		{"list", config.RetryPolicy{RetryOn: []any{"reset-any", "per-try-timeout"}}, with(stream.RetryReset|stream.RetryResetAny|stream.RetryTry, nil, nil)},
		{"list of strings", config.RetryPolicy{RetryOn: []string{"per-try-timeout-any"}}, with(stream.RetryTry|stream.RetryTryAny, nil, nil)},
		{"5xx", config.RetryPolicy{RetryOn: "5xx"}, with(safe|stream.RetryStatus, nil, nil)},
		{"gateway-error", config.RetryPolicy{RetryOn: "gateway-error"}, with(safe|stream.RetryStatus, []int{502, 503, 504}, nil)},
		{"gateway-error among all", config.RetryPolicy{RetryOn: "gateway-error,5xx"}, with(safe|stream.RetryStatus, nil, nil)},
		{"refused-stream", config.RetryPolicy{RetryOn: "refused-stream"}, with(safe, nil, nil)},
		{"status", config.RetryPolicy{RetryOn: "retriable-status-codes", StatusCodes: []int{404}}, with(stream.RetryStatus, []int{404}, nil)},
		{"grpc", config.RetryPolicy{RetryOn: "grpc"}, with(stream.RetryGRPC, nil, []int{1, 4, 8, 13, 14})},
		{
			"grpc by name",
			config.RetryPolicy{RetryOn: "unavailable,cancelled,deadline-exceeded,internal,resource-exhausted,unavailable"},
			with(stream.RetryGRPC, nil, []int{1, 4, 8, 13, 14}),
		},
		{
			"numbers",
			config.RetryPolicy{RetryOn: "reset", NumRetries: 4, BackOff: &config.RetryBackOff{Base: time.Second, Max: time.Minute}},
			&stream.Retry{Max: 4, On: stream.RetryReset, Base: time.Second, Cap: time.Minute},
		},
		{"no back-off", config.RetryPolicy{RetryOn: "reset", BackOff: &config.RetryBackOff{}}, &stream.Retry{Max: 1, On: stream.RetryReset}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := forwarded(t, action(config.RouteAction{ClusterName: "c", RetryPolicy: &c.policy}), get("", "/")).Policy.Retry
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// Even without retries, an attempt has its time.
func TestG14TryTimeoutWithoutRetries(t *testing.T) {
	got := forwarded(t, action(config.RouteAction{ClusterName: "c", RetryPolicy: &config.RetryPolicy{RetryOn: false, RetryTimeout: time.Second}}), get("", "/"))
	if got.Policy.Retry != nil || got.TryTimeout != time.Second || got.Policy.TryTimeout != time.Second {
		t.Errorf("%+v, %v", got.Policy, got.TryTimeout)
	}
}

// The words that the documentation of the key names are those that are known.
func TestG14DocumentedWords(t *testing.T) {
	field, _ := reflect.TypeFor[config.RetryPolicy]().FieldByName("RetryOn")
	doc := field.Tag.Get("doc")
	words := make(map[string]bool)
	for _, w := range strings.FieldsFunc(doc, func(r rune) bool { return strings.ContainsRune(" ,.:()", r) }) {
		words[w] = true
	}
	for word := range retryWords {
		if !words[word] {
			t.Errorf("%q is not in the documentation: %s", word, doc)
		}
	}
}
