package contrib

import (
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

// WarnUnknown warns of settings that the backend does not have, unless the loader did.
// own are keys that are ours.
func WarnUnknown(cfg components.Config, backend any, own ...string) {
	if cfg.Warn == nil || cfg.Checked {
		return
	}
	keys := keysOf(backend, own)
	if keys == nil {
		return
	}
	for _, p := range decode.UnknownKeys(cfg.Metadata, keys, cfg.SettingsPath()) {
		cfg.Warn(p)
	}
}
