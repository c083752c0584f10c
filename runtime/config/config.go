package config

import (
	"log/slog"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	proxyconfig "github.com/ottavo-runtime/ottavo/proxy/config"
)

// Defaults of what the short form leaves out.
const (
	DefaultListen         = "127.0.0.1:34904"
	DefaultActuatorListen = "127.0.0.1:34999"
	DefaultDataDir        = ".data"
	DefaultMaxRecvBytes   = 4 << 20
	DefaultTimeout        = 30 * time.Second // for requests and calls to finish at the end
)

// Names of what the short form adds to the proxy's configuration, and of the
// filters by which the runtime finds its listeners.
const (
	RuntimeListener  = "runtime"
	ActuatorListener = "actuator"
	ActuatorRouter   = "actuator_dont_need_router"
	GRPCFilterType   = "grpc"
	ActuatorFilter   = "actuator_filter"
	RuntimeServer    = "runtime" // server_name of the grpc filter
)

// Levels of the log that slog has no name for.
const (
	LevelTrace = slog.LevelDebug - 4
	LevelFatal = slog.LevelError + 4
)

// Config is a whole configuration, checked. It is not changed after Load.
type Config struct {
	// Proxy is what the proxy core does, the runtime's and the actuator's
	// listeners among the others. Every listener has a name.
	Proxy *proxyconfig.Snapshot
	// Paths says where the parts of Proxy stand in the file.
	Paths proxyconfig.Paths
	// Runtime is the API and its components; nil when the file has none, and
	// the process is a proxy only.
	Runtime *Runtime
	// Actuator says whether there is an actuator, and where.
	Actuator Actuator
	// Log says what is logged and where to.
	Log Log
	// ServerName is a label, "" when there is none.
	ServerName string
	// ShutdownTimeout is the most time that accepted requests of the proxy have
	// to finish when the process stops.
	ShutdownTimeout time.Duration
}

// Runtime is what the gRPC API serves.
type Runtime struct {
	// Listener is the name of the listener in Config.Proxy that carries the API:
	// its network filter is of type "grpc".
	Listener string
	// Path is where the section stands in the file: "runtime".
	Path string
	// AppID is the id of the application beside us, may be "".
	AppID string
	// DataDir is the folder for the files of embedded backends.
	DataDir string
	// MaxRecvBytes is the largest message that the API accepts.
	MaxRecvBytes int
	// GracefulStopTimeout is the most time that accepted calls have to finish.
	GracefulStopTimeout time.Duration
	// App is the application beside us, as far as it is called by us.
	App App
	// Components are the components of every kind, sorted by name, by their
	// section: Components[States]. Those of a user's own kind are in
	// CustomComponents, a dot, and the kind.
	Components map[string][]Component
}

// The sections of components, as the keys of grpc_config.
const (
	SecretStores     = "secret_store"
	ConfigStores     = "config_store"
	CustomComponents = "custom_component"
	Hellos           = "hellos"
	States           = "state"
	RPCs             = "rpcs"
	Bindings         = "bindings"
	PubSubs          = "pub_subs"
	Files            = "file"
	ObjectStores     = "oss"
	Locks            = "lock"
	Sequencers       = "sequencer"
	Ciphers          = "cryption"
	EmailSenders     = "email"
	PhoneCallers     = "phone"
	SMSSenders       = "sms"
)

// Component is one component to be made.
type Component struct {
	// Name is the key in the file.
	Name string
	// Type is the name of the backend.
	Type string
	// Path is where the component stands in the file: "runtime.state.orders".
	Path string
	// Section is the key below Path that holds the settings: "metadata", for
	// RPCs "config".
	Section string
	// Metadata holds the settings, nil when there are none. It must not be changed.
	Metadata map[string]any
	// Rest holds the other keys: "hello" of a greeter. nil when there are none.
	Rest map[string]any
	// SecretRefs say which settings come from secret stores.
	SecretRefs []SecretRef
	// ComponentRef names the stores that the component may use.
	ComponentRef ComponentRef

	listed bool // Metadata is a list in the file, which ClientsKey holds
}

// Actuator says whether there is an actuator.
type Actuator struct {
	Enabled bool
	// Listener is the name of the listener in Config.Proxy whose stream filter
	// is the actuator; "" when not Enabled.
	Listener string
}

// Log says what is logged and where to.
type Log struct {
	// Path is "stderr", "stdout" or the name of a file.
	Path  string
	Level slog.Level
	// JSON says that each record is a JSON object; otherwise it is text.
	JSON bool
}

// Options are what Load and Schema need to know from outside.
type Options struct {
	// Strict makes every warning an error.
	Strict bool
	// Known is what the proxy core has code for. Known.Paths is not used.
	Known proxyconfig.Known
	// Kinds are the kinds of components that are built in, with their types. A
	// kind that is not listed is not checked.
	Kinds []Kind
	// Customs tells whether the program brings components of a user's own kind; nil: it
	// is not asked.
	Customs func(kind string, components []Component) bool
	// LookupEnv finds environment variables; nil is os.LookupEnv.
	LookupEnv func(name string) (value string, ok bool)
}

// Kind is a kind of component, by the key of its section in the file: Hellos,
// States, …
type Kind struct {
	Section string
	Types   []Type
	// Keys are settings that every component of the kind may have, whatever its type
	// says: they are the runtime's, not the backend's.
	Keys []decode.Key
	// Elsewhere says what else there is to know of a type that is not in Types, for
	// the message; nil: nothing.
	Elsewhere func(typ string) string
}

// Type is one backend of a kind.
type Type struct {
	// Name is the name by which a file asks for it.
	Name string
	// Doc says in a line what it is.
	Doc string
	// Metadata is a pointer to the struct that the settings are decoded into,
	// holding the defaults. It is only read. nil: Keys says what there may be.
	Metadata any
	// Keys returns the keys that the settings may have where no struct says them. nil,
	// and no Metadata: not checked.
	Keys func() []decode.Key
	// Stores says that the type takes the stores of component_ref, and Beside which of
	// the keys beside the settings it has, where a kind's types differ in that: address
	// and timeout of configuration stores. A type without Metadata and Keys may have all.
	Stores bool
	Beside []string
	// Check finds what decoding the settings cannot, in settings that can be
	// decoded: its error, decode.Problems, and what is odd, given to warn. nil:
	// there is nothing more to find.
	Check func(c Component, warn func(decode.Problem)) error
}
