package decode

import (
	"maps"
	"reflect"
	"strings"
)

// Hidden stands in the place of a value that must not be shown.
const Hidden = "***"

// secretWords make a key secret when they are part of its name.
var secretWords = []string{
	"password", "passwd", "pwd", "passphrase", "secret", "token", "credential", "private",
	"apikey", "accesskey", "accountkey", "masterkey", "sharedkey", "signingkey", "encryptionkey",
	"clientkey", "authkey", "assertionkey",
	"connectionstring",
}

// openEnds are endings of names that lead to a secret without being one.
var openEnds = []string{"file", "path", "ref", "refs", "store", "stores", "uri", "endpoint"}

// Secret reports whether the value of a key with this name should be kept out
// of messages, logs and dumps. Case, "_", "-" and "." make no difference. A name
// that says where a secret is to be found (secret_store, tokenFile, token_uri) is not
// secret.
func Secret(name string) bool {
	name = squash(name)
	for _, end := range openEnds {
		if strings.HasSuffix(name, end) {
			return false
		}
	}
	for _, word := range secretWords {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// SecretText reports whether a text is a secret whatever the name of its key: a
// private key in PEM.
func SecretText(text string) bool { return strings.Contains(text, "PRIVATE KEY-----") }

// Redact returns a deep copy of a tree in which the values of secret keys, everything
// below them, and secret texts are replaced by Hidden. tree itself is not changed.
func Redact(tree any) any { return redact(tree, false, 0) }

func redact(v any, hide bool, depth int) any {
	if depth > maxDepth {
		return Hidden // a tree this deep, or one that contains itself, is nobody's configuration
	}
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = redact(value, hide || Secret(key), depth+1)
		}
		return out
	case map[string]string:
		out := maps.Clone(v)
		for key := range out {
			if hide || Secret(key) || SecretText(out[key]) {
				out[key] = Hidden
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = redact(value, hide, depth+1)
		}
		return out
	}
	if text, ok := v.(string); ok && SecretText(text) || hide && !blank(reflect.ValueOf(v)) {
		return Hidden
	}
	return v
}

// squash makes names comparable: lower case, without separators.
func squash(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == '.' {
			return -1
		}
		return r
	}, strings.ToLower(name))
}
