package contrib

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"unicode"

	"github.com/dapr/components-contrib/metadata"
	stateutils "github.com/dapr/components-contrib/state/utils"
	"github.com/dapr/kit/logger"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Keys tells the settings of one of contrib's backends: what it says itself, and
// more, those that it does not tell of. It makes a backend when it is called, which
// opens nothing before its Init, and no sooner. nil when the backend tells nothing
// and there are no more.
func Keys[B any](newBackend func(logger.Logger) B, more ...string) func() []decode.Key {
	return func() []decode.Key {
		return keysOf(newBackend(NewLogger(slog.New(slog.DiscardHandler))), more)
	}
}

// StateKeys is Keys for a state store. Its settings have a time to live for all
// items in some stores.
func StateKeys[B any](newBackend func(logger.Logger) B, more ...string) func() []decode.Key {
	return Keys(newBackend, append(more, stateutils.MetadataTTLKey)...)
}

// PubSubKeys is Keys for a broker.
func PubSubKeys[B any](newBackend func(logger.Logger) B, more ...string) func() []decode.Key {
	return Keys(newBackend, append(more, pubsub.ConsumerKey)...)
}

// BindingKeys is Keys for a binding.
func BindingKeys[B any](newBackend func(logger.Logger) B, more ...string) func() []decode.Key {
	return Keys(newBackend, append(more, directionKey)...)
}

// keysOf asks a backend.
func keysOf(backend any, more []string) []decode.Key {
	var told metadata.MetadataMap
	if teller, ok := backend.(interface {
		GetComponentMetadata() metadata.MetadataMap
	}); ok {
		told = teller.GetComponentMetadata()
	}
	if len(told) == 0 && len(more) == 0 {
		return nil
	}
	keys := make([]decode.Key, 0, len(told)+len(more))
	for name, field := range told {
		keys = append(keys, decode.Key{Name: lowerFirst(name), Kind: kindOf(field.Type), Aliases: slices.Clone(field.Aliases), AnyCase: true})
	}
	slices.SortFunc(keys, func(a, b decode.Key) int { return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	for _, name := range more {
		if known := slices.ContainsFunc(keys, func(k decode.Key) bool {
			return slices.ContainsFunc(k.Names(), func(n string) bool { return strings.EqualFold(n, name) })
		}); !known {
			keys = append(keys, decode.Key{Name: name})
		}
	}
	return keys
}

// lowerFirst writes the name of a Go field as keys are written: the backend reads the
// key of a field that has no other name.
func lowerFirst(name string) string {
	runes := []rune(name)
	for i, r := range runes {
		if !unicode.IsUpper(r) || i > 0 && i+1 < len(runes) && unicode.IsLower(runes[i+1]) {
			break
		}
		runes[i] = unicode.ToLower(r)
	}
	return string(runes)
}

// kindOf brings the name of a Go type into words.
func kindOf(goType string) decode.ValueKind {
	typ := strings.TrimPrefix(goType, "*")
	switch {
	case strings.HasSuffix(typ, "Duration") && !strings.HasPrefix(typ, "[]"):
		return decode.DurationValue
	case strings.HasSuffix(typ, "ByteSize"):
		return decode.SizeValue
	case typ == "bool":
		return decode.BooleanValue
	case strings.HasPrefix(typ, "int"), strings.HasPrefix(typ, "uint"), strings.HasPrefix(typ, "float"):
		return decode.NumberValue
	case strings.HasPrefix(typ, "[]") && typ != "[]byte" && typ != "[]uint8":
		return decode.ListValue
	}
	return decode.TextValue
}
