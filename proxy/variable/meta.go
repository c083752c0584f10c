package variable

import (
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// EncodeMeta writes labels in the form that RouterMeta has: "key=value", joined
// by commas. A "%", "," or "=" in a key or value, and any control character, is
// written as a percent escape.
func EncodeMeta(labels []stream.Label) string {
	var b strings.Builder
	for i, l := range labels {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(escape(l.Key, metaNeeds))
		b.WriteByte('=')
		b.WriteString(escape(l.Value, metaNeeds))
	}
	return b.String()
}

func metaNeeds(c byte) bool { return c < ' ' || c == 0x7f || c == '%' || c == ',' || c == '=' }

// DecodeMeta is the inverse of EncodeMeta. The labels are sorted by key, each
// key once, as Request.Labels has to be: of a key that is repeated the last
// counts. Items without a key or without "=" are left out; what is not a valid
// escape stays as it is.
func DecodeMeta(text string) []stream.Label {
	var labels []stream.Label
	for text != "" {
		var item string
		item, text, _ = strings.Cut(text, ",")
		key, value, ok := strings.Cut(item, "=")
		if !ok || key == "" {
			continue
		}
		labels = append(labels, stream.Label{Key: Unescape(key, false), Value: Unescape(value, false)})
	}
	return lastOfEach(labels)
}

// lastOfEach sorts labels by key, and keeps the last of each key.
func lastOfEach(labels []stream.Label) []stream.Label {
	slices.Reverse(labels)
	slices.SortStableFunc(labels, func(a, b stream.Label) int { return strings.Compare(a.Key, b.Key) })
	return slices.CompactFunc(labels, func(a, b stream.Label) bool { return a.Key == b.Key })
}
