package builtin_test

import (
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// TestKeysOfOwnRedis: our backends in the place of contrib's know every setting that
// contrib publishes; what is for a login at Azure is said to have no effect.
func TestKeysOfOwnRedis(t *testing.T) {
	all, err := publishedAll()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"number": "5", "bool": "false", "duration": "3s"}
	for _, section := range []string{config.ConfigStores, config.Bindings} {
		keys := all[section+"/redis"].keys()
		if len(keys) < 25 {
			t.Fatalf("%s: %d keys", section, len(keys))
		}
		settings := map[string]any{}
		for _, key := range keys {
			if value := values[key.Type]; value != "" {
				settings[key.Name] = value
			} else if settings[key.Name] == nil { // some stand there twice
				settings[key.Name] = "x"
			}
		}
		settings["redisType"], settings["redisPort"] = "node", "6379"
		for _, warning := range warningsOf(t, builtin.Tables().ConfigOptions(), section, "redis", settings) {
			if !strings.Contains(warning.Path, ".azure") || !strings.Contains(warning.Message, "it has no effect: use redisUsername and redisPassword") {
				t.Errorf("%s: %v", section, warning)
			}
		}
	}
}
