package capability_test

import (
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

func TestKeyPrefix(t *testing.T) {
	for _, tc := range []struct{ value, fallback, app, want string }{
		{"none", capability.PrefixAppID, "app", "k"},
		{"NONE", capability.PrefixAppID, "app", "k"},
		{"", capability.PrefixNone, "app", "k"},
		{"", capability.PrefixAppID, "app", "app||k"},
		{"appid", capability.PrefixNone, "app", "app||k"},
		{"appId", capability.PrefixNone, "App", "App||k"}, // the id is as it is
		{"appid", capability.PrefixNone, "", "k"},
		{"name", capability.PrefixNone, "app", "orders||k"},
		{"Custom", capability.PrefixNone, "app", "custom||k"},
		{"a|b", capability.PrefixNone, "app", "a|b||k"},
	} {
		p, err := capability.ParseKeyPrefix(tc.value, tc.fallback, tc.app, "orders")
		if err != nil {
			t.Errorf("ParseKeyPrefix(%q): %v", tc.value, err)
			continue
		}
		if got := p.Apply("k"); got != tc.want || p.Strip(got) != "k" {
			t.Errorf("keyPrefix %q: key %q, back %q; want %q", tc.value, got, p.Strip(got), tc.want)
		}
	}
	for _, tc := range []struct{ value, app, component string }{
		{"a||b", "app", "orders"}, {"||", "app", "orders"}, {"appid", "a||b", "orders"}, {"name", "app", "||"},
	} {
		_, err := capability.ParseKeyPrefix(tc.value, capability.PrefixNone, tc.app, tc.component)
		if err == nil || !strings.Contains(err.Error(), `"||"`) || !strings.Contains(err.Error(), `keyPrefix "`+tc.value+`"`) {
			t.Errorf("ParseKeyPrefix(%q, %q, %q) = %v, want an error that names value and separator", tc.value, tc.app, tc.component, err)
		}
	}
}

func FuzzKeyPrefix(f *testing.F) {
	f.Add("appid", "app", "orders", "k")
	f.Add("a|", "app", "orders", "|k")
	f.Add("İ", "", "", "")
	f.Fuzz(func(t *testing.T, value, app, component, key string) {
		p, err := capability.ParseKeyPrefix(value, capability.PrefixAppID, app, component)
		if err != nil {
			return
		}
		stored := p.Apply(key)
		if !strings.HasSuffix(stored, key) || p.Strip(stored) != key {
			t.Errorf("key %q became %q and %q again", key, stored, p.Strip(stored))
		}
		if prefix, ok := strings.CutSuffix(stored, "||"+key); stored != key && (!ok || prefix == "" || strings.Contains(prefix, "||")) {
			t.Errorf("key %q became %q", key, stored)
		}
	})
}

func FuzzParseTTL(f *testing.F) {
	for _, s := range []string{"", "0", "-1", "-2", "10", "1.5", " 1", "9223372036", "9223372037", "abc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ttl, err := capability.ParseTTL(map[string]string{capability.TTLKey: s})
		if ttl < 0 || err != nil && ttl != 0 {
			t.Errorf("ParseTTL(%q) = %v, %v", s, ttl, err)
		}
	})
}

func FuzzParseRPCTimeout(f *testing.F) {
	for _, s := range []string{"", "0", "-1", "3000", "2147483647", "2147483648", "1e3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := capability.ParseRPCTimeout(s)
		if (err == nil) != (d > 0) {
			t.Errorf("ParseRPCTimeout(%q) = %v, %v", s, d, err)
		}
	})
}
