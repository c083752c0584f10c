// Package jetstream is the state store in a bucket of NATS JetStream: contrib's. The
// bucket must exist. It has no etags, no times to live and no transactions, and takes
// keys of some characters only.
package jetstream

import (
	"errors"
	"strings"

	"github.com/dapr/components-contrib/state/jetstream"
	"github.com/nats-io/nats.go"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// New returns the constructor of stores. It connects and looks for the bucket.
func New() components.Factory[state.Store] {
	return contrib.State(jetstream.NewJetstreamStateStore, contrib.StateTraits{
		Key: checkKey, Missing: func(err error) bool { return errors.Is(err, nats.ErrKeyNotFound) },
	})
}

// longest is the longest key: what a server reads as one line has 4096 bytes, and
// there is more on it than the key.
const longest = 2048

// checkKey says what is wrong with a key. Dapr's "||" is kept as ".", so that a key with
// the one is that with the other.
func checkKey(key string) error {
	key = strings.ReplaceAll(key, "||", ".")
	switch {
	case len(key) > longest:
		return errors.New("JetStream takes at most 2048 bytes")
	case strings.ContainsFunc(key, func(r rune) bool { return !inKeys(r) }):
		return errors.New(`JetStream takes letters and digits of ASCII, "-", "/", "_", "=", "." and "||"`)
	case strings.HasPrefix(key, ".") || strings.HasSuffix(key, ".") || strings.Contains(key, ".."):
		return errors.New(`JetStream takes "." and "||" between other characters`)
	}
	return nil
}

func inKeys(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-/_=.", r)
}
