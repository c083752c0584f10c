package contrib

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// UUIDETag is StateTraits.ETag of stores whose etags are UUIDs.
func UUIDETag(text string) bool { return uuid.Validate(text) == nil }

// TextValue is StateTraits.Value of stores that keep values as texts, without other
// bytes or in place of them.
func TextValue(value []byte) error {
	if !utf8.Valid(value) {
		return errors.New("this store keeps texts: write it as base64, or JSON")
	}
	return nil
}

// TextKey is StateTraits.Key of stores that keep keys as texts.
func TextKey(key string) error {
	if !utf8.ValidString(key) || strings.ContainsRune(key, 0) {
		return errors.New("this store takes UTF-8 without zero bytes")
	}
	return nil
}
