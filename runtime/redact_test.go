package runtime

import (
	"errors"
	"testing"
)

// A secret that begins like another one leaves nothing of that one, in whichever order
// they are found; what shows none stays the error that it is.
func TestHiddenLongestFirst(t *testing.T) {
	found := secretsIn(map[string]any{"aToken": "abc", "bToken": "abcdef", "list": []any{map[string]any{"password": "abcd"}}, "pwd": "ab", "private": "true", "name": "plain"})
	if err := found.in(errors.New("abcdef abcd abc ab plain true")); err.Error() != "*** *** *** ab plain true" {
		t.Error(err)
	}
	plain := errors.New("plain")
	if err := found.in(plain); err != plain { //nolint:errorlint // the same one
		t.Error(err)
	}
}
