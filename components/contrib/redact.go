package contrib

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// passwordIn finds passwords in connection strings: of URLs, of MySQL's DSN and
// of lists like "user=x password=y".
var passwordIn = regexp.MustCompile(`(?i)(?:password|pwd|accountkey|sharedaccesskey)\s*=\s*'?([^;&\s']+)|[^:/@\s]*:([^@\s]+)@`)

// secrets returns the texts of a component's settings that must not be seen.
func secrets(properties map[string]string) []string {
	var found []string
	add := func(text string) {
		// A short text is in every other word.
		if len(text) >= 3 {
			found = append(found, text)
			if plain, err := url.QueryUnescape(text); err == nil && plain != text {
				found = append(found, plain)
			}
		}
	}
	for key, value := range properties {
		if decode.Secret(key) {
			add(value)
		}
		for _, match := range passwordIn.FindAllStringSubmatch(value, -1) {
			add(match[1])
			add(match[2])
		}
	}
	return found
}

// hideSecrets returns err, or, when its text holds one of a component's secrets,
// an error with the text without them.
func hideSecrets(err error, properties map[string]string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, s := range secrets(properties) {
		text = strings.ReplaceAll(text, s, decode.Hidden)
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}
