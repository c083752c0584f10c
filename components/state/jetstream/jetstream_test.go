package jetstream_test

import (
	"regexp"
	"strings"
	"testing"

	natsgo "github.com/nats-io/nats.go"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/jetstream"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver/nats"
)

// server starts one with the bucket "state", and returns the settings of a store in it.
func server(t *testing.T) map[string]any {
	t.Helper()
	url := "nats://" + nats.Start(t, "").Addr
	nc, err := natsgo.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(&natsgo.KeyValueConfig{Bucket: "state"}); err != nil {
		t.Fatal(err)
	}
	return map[string]any{"natsURL": url, "bucket": "state"}
}

var word = regexp.MustCompile(`^[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*$`)

func TestSuite(t *testing.T) {
	matrix.Backend(t, "state", "jetstream")
	statetest.Run(t, statetest.Options{
		New:      statetest.New(jetstream.New(), server(t)),
		MaxValue: 512 << 10, // a message of NATS has at most 1 MiB
		Keys: func(key string) bool {
			return len(key) <= 2048 && word.MatchString(strings.ReplaceAll(key, "||", "."))
		},
	})
}

// TestHealth: a store without any key is well.
func TestHealth(t *testing.T) {
	s := statetest.New(jetstream.New(), server(t))(t)
	defer s.Close() //nolint:errcheck // it is checked by the suite
	if err := s.(components.Checker).Check(t.Context()); err != nil {
		t.Errorf("an empty store: %v", err)
	}
	if item, err := s.Get(t.Context(), state.Get{Key: "none"}); item != nil || err != nil {
		t.Errorf("a key that does not exist: %v, %v", item, err)
	}
}
