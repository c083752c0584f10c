package redisnode

import (
	"errors"
	"strings"
	"sync/atomic"

	goredis "github.com/go-redis/redis/v8"
)

// A Trial finds out whether writing would work, by commands that the server checks as
// it checks those of the caller (rights, room, being a replica) and then refuses for
// an argument that is wrong, so that they never change anything, whatever the key
// holds. The key is one that the caller has written. The zero value is ready; it is
// safe for concurrent use.
type Trial struct {
	key    atomic.Pointer[string]
	denied atomic.Bool // the key may not be written any more
}

// Wrote notes that a key was written.
func (t *Trial) Wrote(key string) {
	if t.key.Load() == nil || t.denied.Load() {
		t.keep(key)
	}
}

// keep is apart from Wrote, where the key would be copied each time.
func (t *Trial) keep(key string) {
	t.key.Store(&key)
	t.denied.Store(false)
}

// Key returns a key that was written, "" when there was none.
func (t *Trial) Key() string {
	if key := t.key.Load(); key != nil {
		return *key
	}
	return ""
}

// Verdict says what the answer to a trial means: nil when it could have been a write.
// key is what Key had returned; harmless is part of the answer that the wrong argument
// has; it is not "". Where no key was written it is no error that the server's access list forbids
// the key of the trial: it says nothing of those of the caller.
func (t *Trial) Verdict(err error, key, harmless string) error {
	switch {
	case err == nil || strings.Contains(err.Error(), harmless):
		return nil
	case Denied(err) && key == "":
		return nil
	case Denied(err):
		t.denied.Store(true) // the next key that is written is a better one
	}
	return err
}

// denials are parts of the answers of Redis that say that somebody may not do what he
// wants: the first ones of commands, the others of commands in scripts.
var denials = []string{"NOPERM", "can't run this command", "can't access at least one of the keys", "ACL failure"}

// Denied tells whether err is the server's answer that its access list forbids it.
func Denied(err error) bool {
	if _, reply := errors.AsType[goredis.Error](err); !reply {
		return false
	}
	for _, text := range denials {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}
