package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// shortestSecret is how long a text must be to be hidden: a shorter one is in every
// other word.
const shortestSecret = 3

// hidden are a component's texts that nobody may see in what it says.
type hidden []string

// secretsIn collects the values of secret keys in settings, at any depth.
func secretsIn(settings map[string]any) hidden {
	var found hidden
	var walk func(v any, secret bool, depth int)
	walk = func(v any, secret bool, depth int) {
		const deepest = 100
		if depth > deepest {
			return
		}
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				walk(value, secret || decode.Secret(key), depth+1)
			}
		case []any:
			for _, value := range v {
				walk(value, secret, depth+1)
			}
		case nil, bool:
		default:
			if text := fmt.Sprint(v); secret || decode.SecretText(text) {
				found = found.with(text)
			}
		}
	}
	walk(settings, false, 0)
	return found
}

// with adds a secret. A switch (multipleKeyValuesPerSecret: "true") is none.
func (h hidden) with(text string) hidden {
	if len(text) < shortestSecret || text == "true" || text == "false" {
		return h
	}
	return append(h, text)
}

// in returns err, or, when its text shows one of the secrets, an error with the text
// without them.
func (h hidden) in(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	clean := text
	// The longest first: of one that begins like another nothing remains.
	for _, s := range slices.SortedFunc(slices.Values(h), func(a, b string) int { return cmp.Compare(len(b), len(a)) }) {
		clean = strings.ReplaceAll(clean, s, decode.Hidden)
	}
	if clean == text {
		return err
	}
	return errors.New(clean)
}
