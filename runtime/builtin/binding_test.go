package builtin

import (
	"slices"
	"testing"
)

// TestWebAddresses: where health looks for the server of a URL.
func TestWebAddresses(t *testing.T) {
	for _, tt := range []struct {
		url  string
		want []string
	}{
		{"http://example.com/path", []string{"example.com:80"}},
		{"https://user:word@example.com", []string{"example.com:443"}},
		{"http://[::1]:8080/", []string{"[::1]:8080"}},
		{"example.com", nil}, // the backend says what is wrong with it
		{"http://a b", nil},
		{"", nil},
	} {
		if got := webAddresses("url")(map[string]string{"URL": tt.url}); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.url, got, tt.want)
		}
	}
	if got := vaultAddresses(map[string]string{}); !slices.Equal(got, []string{"127.0.0.1:8200"}) {
		t.Errorf("Vault without an address: %q", got)
	}
}
