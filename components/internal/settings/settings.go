// Package settings is about a component's settings on their way to a backend that
// takes texts only: how a value becomes one, and which of them must not be seen in
// what the backend says. It never logs anything.
package settings

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Texts returns settings as texts. Those with null are left out.
func Texts(metadata map[string]any) map[string]string {
	out := make(map[string]string, len(metadata))
	for key, value := range metadata {
		if text, ok := Text(value); ok {
			out[key] = text
		}
	}
	return out
}

// Text returns a value as a text: a list becomes its texts with commas between
// them, an object JSON. null is none.
func Text(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", false
	case string:
		return v, true
	case []any:
		parts := make([]string, 0, len(v))
		for _, e := range v {
			if part, ok := Text(e); ok {
				parts = append(parts, part)
			}
		}
		return strings.Join(parts, ","), true
	case map[string]any:
		out, err := json.Marshal(v)
		return string(out), err == nil
	}
	return fmt.Sprint(value), true
}

// passwordIn finds passwords in connection strings: of URLs, of MySQL's DSN and
// of lists like "user=x password=y".
var passwordIn = regexp.MustCompile(`(?i)(?:password|pwd|accountkey|sharedaccesskey)\s*=\s*'?([^;&\s']+)|[^:/@\s]*:([^@\s]+)@`)

// Secrets returns the texts of a component's settings that must not be seen: those
// of keys that say so, of the keys in also, and passwords in connection strings. The
// longest come first, for Hide: of one that begins like another nothing remains.
func Secrets(texts map[string]string, also ...string) []string {
	var found []string
	add := func(text string) {
		// A short text is in every other word, and a switch (multipleKeyValuesPerSecret)
		// is no secret.
		if len(text) >= 3 && text != "true" && text != "false" {
			found = append(found, text)
			if plain, err := url.QueryUnescape(text); err == nil && plain != text {
				found = append(found, plain)
			}
		}
	}
	for key, value := range texts {
		if decode.Secret(key) || decode.SecretText(value) {
			add(value)
		}
		for _, text := range nested(value) {
			add(text)
		}
		for _, match := range passwordIn.FindAllStringSubmatch(value, -1) {
			add(match[1])
			add(match[2])
		}
	}
	for _, key := range also {
		add(texts[key])
	}
	slices.SortFunc(found, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return found
}

// nested returns the secrets in a value that was an object, or a list of them, before
// Text made it a text.
func nested(value string) []string {
	if !strings.HasPrefix(value, "{") && !strings.HasPrefix(value, "[") {
		return nil
	}
	var list []any
	if json.Unmarshal([]byte("["+value+"]"), &list) != nil {
		return nil
	}
	var found []string
	var walk func(v any, secret bool)
	walk = func(v any, secret bool) {
		switch v := v.(type) {
		case map[string]any:
			for key, below := range v {
				walk(below, secret || decode.Secret(key))
			}
		case []any:
			for _, below := range v {
				walk(below, secret)
			}
		case string:
			if secret || decode.SecretText(v) {
				found = append(found, v)
			}
		}
	}
	walk(list, false)
	return found
}

// Hide returns the text without the secrets.
func Hide(text string, secrets []string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, decode.Hidden)
	}
	return text
}

// HideIn returns err, or, when its text holds one of the secrets, an error with the
// text without them.
func HideIn(err error, secrets []string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if hidden := Hide(text, secrets); hidden != text {
		return errors.New(hidden)
	}
	return err
}
