package components

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Env is the surroundings a component is made in.
type Env struct {
	// AppID is the id of the application beside us; may be "".
	AppID string
	// DataDir is the folder in which embedded backends keep their files by
	// default. A component that uses it creates it.
	DataDir string
	// Log is for the component; it carries the component's kind, name and type.
	Log *slog.Logger
	// Secrets and Configuration are the stores that the component's component_ref
	// names: a secret.Store and a configuration.Store. nil when it names none.
	Secrets, Configuration any
}

// Config is what one component is made from.
type Config struct {
	// Name is the component's name: the key in the configuration.
	Name string
	// Type is the name of the backend, as in the table.
	Type string
	// Kind is the name of the kind, as of the table, which sets it.
	Kind string
	// Path is where the component stands in the configuration, for messages:
	// `runtime.state.orders`.
	Path string
	// Section is the key below Path that holds the settings; "" is "metadata".
	Section string
	// Metadata holds the settings, environment expanded and secrets filled in;
	// nil when there are none. It must not be changed.
	Metadata map[string]any
	// Rest holds the component's other keys, for kinds that have more than
	// `type` and `metadata` (hellos: `hello`); nil when there are none.
	Rest map[string]any
	// Refs are the references that the configuration has; for components that do
	// more with them than take Metadata and Env as they are.
	Refs Refs
	// Warn takes what is odd but no error; may be nil.
	Warn func(decode.Problem)
	// Checked says that Metadata was decoded once already, by the loader, and
	// its warnings were given.
	Checked bool
}

// Refs are a component's references to stores.
type Refs struct {
	// Secrets are the settings that came from secret stores.
	Secrets []SecretRef
	// SecretStore and ConfigStore name the stores that the component may use; "": none.
	SecretStore, ConfigStore string
}

// SecretRef says where a setting came from.
type SecretRef struct {
	// StoreName, Key and SubKey name the secret; InjectAs is the setting, SubKey if "".
	StoreName, Key, SubKey, InjectAs string
}

// Decode fills dst, a pointer to a struct that holds the defaults, from
// Metadata. Unknown keys are warned of (unless Checked), anything else is an error
// of type decode.Problems.
func (c Config) Decode(dst any) error {
	warnings, err := decode.Into(dst, c.Metadata, c.SettingsPath())
	if c.Warn != nil && !c.Checked {
		for _, w := range warnings {
			c.Warn(w)
		}
	}
	return err
}

// SettingsPath is where Metadata stands in the configuration, for messages.
func (c Config) SettingsPath() string {
	if c.Section == "" {
		return c.Path + ".metadata"
	}
	return decode.Join(c.Path, c.Section)
}

// Checker is an optional ability of a component: to tell whether it can serve
// right now. Check must return before ctx ends, and be safe for concurrent use.
// The runtime calls it every few seconds and reports the result as health.
type Checker interface {
	Check(ctx context.Context) error
}

// Teller is an optional ability of a component: to tell people how it stands, such as
// how full something of its own is. Tell returns numbers and texts by their names, none
// of them secret, at once, and must be safe for concurrent use. The runtime shows them
// with its info.
type Teller interface {
	Tell() map[string]any
}

// Reconfigurer is an optional ability of a component: to take new settings while
// it runs. metadata is the whole of them, not a change; what is wrong is an error
// that changes nothing. Calls come one after the other.
type Reconfigurer interface {
	Reconfigure(ctx context.Context, metadata map[string]string) error
}

// Factory makes a ready component or returns an error, having closed what it
// had opened. ctx bounds the making only, not the component's life.
type Factory[T any] func(ctx context.Context, env Env, cfg Config) (T, error)

// Row is one type of component in a table.
type Row[T any] struct {
	// Type is the name by which a configuration asks for it.
	Type string
	// Doc says in one line what it is, for help and documentation.
	Doc string
	// Metadata is a pointer to the struct that the metadata is decoded into,
	// holding the defaults; it is only read, for the schema. nil: Keys says them.
	Metadata any
	// Keys returns the keys of metadata where no struct does: of a backend that reads
	// its settings itself. It opens nothing. nil, and no Metadata: nobody can say.
	Keys func() []decode.Key
	// Stores says that the type takes Env.Secrets and Env.Configuration. Where it is
	// not set the loader warns of a component_ref, unless there is neither Metadata nor
	// Keys.
	Stores bool
	// Beside are the keys beside metadata that the type has (Config.Rest), where the
	// types of a kind differ in that: address and timeout of configuration stores.
	Beside []string
	// New makes one.
	New Factory[T]
}

// Table lists the types of one kind of component. It is not changed after it
// was made, and safe for concurrent use.
type Table[T any] struct {
	kind string
	rows map[string]Row[T]
}

// NewTable makes a table. A type that is listed twice is an error.
func NewTable[T any](kind string, rows ...Row[T]) (*Table[T], error) {
	t := &Table[T]{kind: kind, rows: make(map[string]Row[T], len(rows))}
	for _, r := range rows {
		if _, dup := t.rows[r.Type]; dup {
			return nil, fmt.Errorf("components: %s type %q is listed twice", kind, r.Type)
		}
		t.rows[r.Type] = r
	}
	return t, nil
}

// Kind returns the name of the kind: "state".
func (t *Table[T]) Kind() string { return t.kind }

// Types returns the names of all types, sorted.
func (t *Table[T]) Types() []string { return slices.Sorted(maps.Keys(t.rows)) }

// Row returns the row of a type.
func (t *Table[T]) Row(typ string) (Row[T], bool) {
	r, ok := t.rows[typ]
	return r, ok
}

// New makes the component that cfg describes. The error names the component,
// its type and the cause; for an unknown type it lists the known ones.
func (t *Table[T]) New(ctx context.Context, env Env, cfg Config) (T, error) {
	var none T
	row, ok := t.rows[cfg.Type]
	if !ok {
		p := decode.Problem{
			Path:    cfg.Path + ".type",
			Message: fmt.Sprintf("unknown %s type %q", t.kind, cfg.Type),
			Remedy:  "known types: " + strings.Join(t.Types(), ", "),
		}
		if near := decode.Nearest(cfg.Type, t.Types()); near != "" {
			p.Message += fmt.Sprintf(", did you mean %q?", near)
		}
		return none, decode.Problems{p}
	}
	cfg.Kind = t.kind
	if row.Keys != nil && cfg.Warn != nil && !cfg.Checked {
		for _, p := range decode.UnknownKeys(cfg.Metadata, row.Keys(), cfg.SettingsPath()) {
			cfg.Warn(p)
		}
		cfg.Checked = true
	}
	c, err := row.New(ctx, env, cfg)
	if err != nil {
		return none, fmt.Errorf("%s component %q (type %s): %w", t.kind, cfg.Name, cfg.Type, err)
	}
	return c, nil
}
