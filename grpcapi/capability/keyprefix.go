package capability

import (
	"fmt"
	"strings"
)

// keySeparator stands between a prefix and a key. Neither may hold it, else the
// keys of two applications could be the same.
const keySeparator = "||"

// Strategies of prefixes, as `keyPrefix` of a component's metadata names them.
// Any other value is itself the prefix.
const (
	PrefixNone  = "none"  // the key alone
	PrefixAppID = "appid" // the application's id; without one, as PrefixNone
	PrefixName  = "name"  // the component's name
)

// KeyPrefix is what a component puts before every key. The zero value puts
// nothing there.
type KeyPrefix struct {
	lead string // with the separator; "" is none
}

// ParseKeyPrefix reads the value of `keyPrefix`. It is compared, and used as a
// prefix, in lower case; "" stands for fallback. An error names the value.
func ParseKeyPrefix(value, fallback, appID, component string) (KeyPrefix, error) {
	strategy := strings.ToLower(value)
	if strategy == "" {
		strategy = fallback
	}
	prefix, what := strategy, "value"
	switch strategy {
	case PrefixNone, "":
		return KeyPrefix{}, nil
	case PrefixAppID:
		prefix, what = appID, "application's id"
	case PrefixName:
		prefix, what = component, "component's name"
	}
	if strings.Contains(prefix, keySeparator) {
		return KeyPrefix{}, fmt.Errorf(`keyPrefix %q: the %s %q must not contain %q, which separates prefix and key`,
			value, what, prefix, keySeparator)
	}
	if prefix == "" {
		return KeyPrefix{}, nil
	}
	return KeyPrefix{lead: prefix + keySeparator}, nil
}

// Apply returns the key to store under.
func (p KeyPrefix) Apply(key string) string { return p.lead + key }

// Strip returns the user's key again, of a key that Apply returned.
func (p KeyPrefix) Strip(key string) string { return strings.TrimPrefix(key, p.lead) }
