package contrib

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dapr/components-contrib/metadata"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/settings"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Base returns a component's name and settings as contrib takes them: every
// value is a text. A list becomes its texts with commas between them, an object
// JSON. Settings with null are left out.
func Base(cfg components.Config) metadata.Base {
	return metadata.Base{Name: cfg.Name, Properties: settings.Texts(cfg.Metadata)}
}

// WarnUnknown warns of settings that the backend does not have, by what it tells
// about itself, if it does; own are keys that are ours. Backends compare keys in lower case.
func WarnUnknown(cfg components.Config, backend any, own ...string) {
	teller, ok := backend.(interface {
		GetComponentMetadata() metadata.MetadataMap
	})
	if cfg.Warn == nil || !ok {
		return
	}
	known := teller.GetComponentMetadata()
	if len(known) == 0 {
		return
	}
	names := slices.Clone(own)
	for name, field := range known {
		names = append(names, name)
		names = append(names, field.Aliases...)
	}
	slices.Sort(names)
	for key := range cfg.Metadata {
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, key) }) {
			continue
		}
		p := decode.Problem{Path: decode.Join(cfg.SettingsPath(), key), Message: "unknown key, it has no effect", Remedy: "known keys: " + strings.Join(names, ", ")}
		if near := decode.Nearest(key, names); near != "" {
			p.Remedy = fmt.Sprintf("did you mean %q?", near)
		}
		cfg.Warn(p)
	}
}
