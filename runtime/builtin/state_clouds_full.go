//go:build full

package builtin

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/components/contrib"
)

// What the stores of clouds take, as their documentation says; contrib leaves it to
// them to refuse the rest, which they do with errors of many kinds, or takes other keys
// for those that it is asked for.

// blobETag tells the etags of Azure's blobs.
var blobETag = regexp.MustCompile(`^"?0x[0-9A-Fa-f]{1,32}"?$`).MatchString

// tableETag tells the etags of Azure's tables.
var tableETag = regexp.MustCompile(`^W/"datetime'[^'"]{1,60}'"$`).MatchString

// blobKey is for keys that are the names of blobs.
func blobKey(key string) error {
	if !utf8.ValidString(key) || utf8.RuneCountInString(key) > 1024 {
		return errors.New("Azure takes names of blobs of UTF-8 with at most 1024 characters") //nolint:staticcheck // a name
	}
	return nil
}

// blobKeyV1 is for the first layout, which drops what stands before ||; with two of
// them it drops what stands behind, so that many keys would be one.
func blobKeyV1(key string) error {
	if err := oneDelimiter(key); err != nil {
		return err
	}
	return blobKey(key)
}

// oneDelimiter is for layouts that cut a key in two.
func oneDelimiter(key string) error {
	if strings.Count(key, "||") > 1 {
		return errors.New("in this layout a key may hold || once only, which the name of the application before it may have used")
	}
	return nil
}

// tableKey is for keys that are cut into the two of Azure's tables.
func tableKey(key string) error {
	if err := oneDelimiter(key); err != nil {
		return err
	}
	control := func(r rune) bool { return r < 0x20 || r >= 0x7f && r <= 0x9f }
	if !utf8.ValidString(key) || strings.ContainsAny(key, `/\#?`) || strings.ContainsFunc(key, control) {
		return errors.New(`Azure's tables take keys of UTF-8 without / \ # ? and control characters`) //nolint:staticcheck // a name
	}
	for part := range strings.SplitSeq(key, "||") {
		if len(utf16.Encode([]rune(part))) > 512 {
			return errors.New("Azure's tables take keys of at most 512 characters") //nolint:staticcheck // a name
		}
	}
	return nil
}

// tableValue is for values that are a text in Azure's tables.
func tableValue(value []byte) error {
	if err := contrib.TextValue(value); err != nil {
		return err
	}
	if len(value) > 32<<10 && len(utf16.Encode([]rune(string(value)))) > 32<<10 {
		return errors.New("Azure's tables keep texts of at most 32768 characters") //nolint:staticcheck // a name
	}
	return nil
}

// firestoreKey is for keys that are the names of entities.
func firestoreKey(key string) error {
	if !utf8.ValidString(key) || len(key) > 1500 {
		return errors.New("Firestore takes keys of UTF-8 with at most 1500 bytes") //nolint:staticcheck // a name
	}
	if strings.HasPrefix(key, "__") && strings.HasSuffix(key, "__") {
		return errors.New("Firestore keeps keys that begin and end with __ for itself") //nolint:staticcheck // a name
	}
	return nil
}
