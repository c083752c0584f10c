package settings_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/internal/settings"
)

// Secrets are found by the names of their keys, at any depth, by their text, and in
// connection strings; what is left of an error shows none of them.
func TestSecrets(t *testing.T) {
	texts := settings.Texts(map[string]any{
		"redisPassword": "hunter2", "host": "public", "url": "amqp://user:swordfish@host:5672/x",
		"account": map[string]any{"id": "public", "accessKeySecret": "nested1"},
		"list":    []any{map[string]any{"token": "nested2"}, map[string]any{"id": "public"}},
		"key":     "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----",
	})
	found := settings.Secrets(texts)
	for _, want := range []string{"hunter2", "//user:swordfish", "nested1", "nested2", texts["key"]} {
		if !slices.Contains(found, want) {
			t.Errorf("%q is not found in %q", want, found)
		}
	}
	if slices.Contains(found, "public") {
		t.Errorf("too much: %q", found)
	}
	found = append(settings.Secrets(map[string]string{"aToken": "hunter", "bToken": "hunter2-long", "cToken": "hunter2", "perSecret": "true"}), found...)
	text := "true hunter2-long hunter2 nested1 nested2 public " + texts["url"] + texts["key"]
	if err := settings.HideIn(errors.New(text), found); err.Error() != "true *** *** *** *** public amqp:***@host:5672/x***" {
		t.Error(err)
	}
}
