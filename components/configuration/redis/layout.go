package redis

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ottavo-runtime/ottavo/components/configuration"
)

const (
	// separator parts content, version and tags; Dapr reads the first two.
	separator = "||"
	// placed is what the keys of items in a group or under a label begin with. The
	// keys of locks, and of checks, begin with it, too.
	placed = "ottavo" + separator
)

var (
	escaper   = strings.NewReplacer("%", "%25", "|", "%7C")
	unescaper = strings.NewReplacer("%25", "%", "%7C", "|")
)

// placeOf is what the keys of a group and label begin with.
func placeOf(group, label string) string {
	if group == "" && label == "" {
		return ""
	}
	return placed + escaper.Replace(group) + separator + escaper.Replace(label) + separator
}

// keyOf is the key of Redis that an item is in.
func keyOf(group, label, key string) string { return placeOf(group, label) + key }

// itemAt says which item is in a key of Redis; false when that is none of the
// configuration.
func itemAt(key string) (item configuration.Item, ok bool) {
	rest, in := strings.CutPrefix(key, placed)
	if !in {
		return configuration.Item{Key: key}, key != ""
	}
	parts := strings.SplitN(rest, separator, 3)
	if len(parts) < 3 || parts[2] == "" {
		return item, false
	}
	item = configuration.Item{Group: unescaper.Replace(parts[0]), Label: unescaper.Replace(parts[1]), Key: parts[2]}
	return item, keyOf(item.Group, item.Label, item.Key) == key
}

// version is the key of an item's metadata that holds its version.
const version = "version"

// encode returns an item as Redis has it.
func encode(item configuration.Item) (key, value string, err error) {
	key, value = keyOf(item.Group, item.Label, item.Key), item.Content
	tags := ""
	if len(item.Tags) > 0 {
		text, err := json.Marshal(item.Tags)
		if err != nil {
			return "", "", fmt.Errorf("%w: tags of item %q: %w", configuration.ErrInvalid, item.Key, err)
		}
		tags = separator + string(text)
	}
	if v := item.Metadata[version]; v != "" || tags != "" {
		value += separator + v + tags
	}
	if back, ok := itemAt(key); !ok || back.Key != item.Key || back.Group != item.Group || back.Label != item.Label {
		return "", "", fmt.Errorf("%w: a key cannot begin with %q, which is for items in groups: choose another than %q", configuration.ErrInvalid, placed, item.Key)
	}
	content, v, _ := decode(value)
	if content != item.Content || v != item.Metadata[version] {
		return "", "", fmt.Errorf("%w: item %q: in Dapr's layout %q ends the content and the version, so neither can hold it: encode them (base64), or use a store of another type",
			configuration.ErrInvalid, item.Key, separator)
	}
	return key, value, nil
}

// decode reads what Redis has of an item. What is behind the version and no tags of
// ours has no meaning, as in Dapr.
func decode(value string) (content, v string, tags map[string]string) {
	content, rest, _ := strings.Cut(value, separator)
	v, text, tagged := strings.Cut(rest, separator)
	if tagged && json.Unmarshal([]byte(text), &tags) != nil {
		tags = nil
	}
	return content, v, tags
}

// fill completes an item with what Redis has of it.
func fill(item configuration.Item, value string) configuration.Item {
	var v string
	if item.Content, v, item.Tags = decode(value); v != "" {
		item.Metadata = map[string]string{version: v}
	}
	return item
}

// globber makes a text a pattern of Redis that fits this text only.
var globber = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`, "^", `\^`)

// patternOf fits the keys of a group and label, and others perhaps.
func patternOf(group, label string) string {
	if group == configuration.Any || label == configuration.Any {
		return "*"
	}
	return globber.Replace(placeOf(group, label)) + "*"
}
