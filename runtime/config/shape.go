package config

import (
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	proxyconfig "github.com/ottavo-runtime/ottavo/proxy/config"
)

// File is the shape of a configuration file. Load turns it into a Config; the
// schema and the documentation are made from it.
type File struct {
	Runtime        *ShortForm      `json:"runtime" doc:"The runtime in its short form: the keys of grpc_config, and the address to listen on."`
	Servers        []Server        `json:"servers" doc:"The proxy server; one entry at most."`
	ClusterManager *ClusterManager `json:"cluster_manager" doc:"The clusters, to which routes send requests."`

	Tracing           any `json:"tracing" unbuilt:"warn" doc:"Where spans go."`
	Metrics           any `json:"metrics" unbuilt:"warn" doc:"Where metrics go."`
	Admin             any `json:"admin" unbuilt:"warn" doc:"Address of the admin API."`
	Pprof             any `json:"pprof" unbuilt:"warn" doc:"Address of the profiler."`
	DynamicResources  any `json:"dynamic_resources" unbuilt:"warn" doc:"Control plane (xDS)."`
	StaticResources   any `json:"static_resources" unbuilt:"warn" doc:"Clusters of the control plane (xDS)."`
	Node              any `json:"node" unbuilt:"warn" doc:"Who we are to the control plane (xDS)."`
	Pid               any `json:"pid" unbuilt:"warn" doc:"File for the process id."`
	UDSDir            any `json:"uds_dir" unbuilt:"warn" doc:"Folder for the sockets of an upgrade."`
	Plugin            any `json:"plugin" unbuilt:"warn" doc:"Plug-in processes."`
	ThirdPartCodec    any `json:"third_part_codec" unbuilt:"refuse" doc:"Codecs loaded from files."`
	WasmGlobalPlugins any `json:"wasm_global_plugins" unbuilt:"refuse" doc:"WASM modules."`
	Extends           any `json:"extends" unbuilt:"refuse" doc:"Sections of extensions."`
	DisableUpgrade    any `json:"disable_upgrade" unbuilt:"warn" doc:"No smooth upgrade."`
	InheritOldConfig  any `json:"inherit_old_mosnconfig" unbuilt:"warn" doc:"Take the old process's configuration in an upgrade."`
}

// Server is the proxy server.
type Server struct {
	Name            string                 `json:"mosn_server_name" doc:"A label."`
	LogPath         string                 `json:"default_log_path" doc:"Where the log goes: stderr (default), stdout, or a file."`
	LogLevel        string                 `json:"default_log_level" enum:"|TRACE|DEBUG|INFO|WARN|ERROR|FATAL" doc:"What is logged, at least. Default INFO."`
	GlobalLogRoller any                    `json:"global_log_roller" unbuilt:"warn" doc:"When log files are rolled over."`
	UseNetpollMode  bool                   `json:"use_netpoll_mode" unbuilt:"warn" doc:"The Go runtime always polls here."`
	GracefulTimeout time.Duration          `json:"graceful_timeout" default:"30s" min:"0s" doc:"Most time for accepted requests to finish when the process stops. Default 30s."`
	Processor       any                    `json:"processor" unbuilt:"warn" doc:"How many CPUs are used. Go goes by the CPU limit; set GOMAXPROCS to change it."`
	OptimizeWrite   any                    `json:"optimize_local_write" unbuilt:"warn" doc:"Obsolete."`
	Listeners       []proxyconfig.Listener `json:"listeners" doc:"Where connections arrive."`
	Routers         []proxyconfig.Router   `json:"routers" doc:"Tables of routes."`
}

// ClusterManager holds the clusters.
type ClusterManager struct {
	TLSContext        *proxyconfig.TLS      `json:"tls_context" doc:"TLS towards the hosts of clusters with cluster_manager_tls."`
	ClusterPoolEnable bool                  `json:"cluster_pool_enable" unbuilt:"warn" doc:"Connections are not shared between clusters here."`
	Clusters          []proxyconfig.Cluster `json:"clusters" doc:"The clusters."`
	ClustersConfigs   string                `json:"clusters_configs" doc:"A folder with one file (JSON or YAML) per cluster, instead of clusters."`
}

// GRPCFilter is the configuration of the network filter "grpc", which carries
// the runtime in Layotto's form.
type GRPCFilter struct {
	ServerName          string        `json:"server_name" enum:"runtime" doc:"Must be runtime."`
	GracefulStopTimeout time.Duration `json:"graceful_stop_timeout" default:"30s" min:"0s" doc:"Most time for accepted calls to finish when the process stops. Default 30s."`
	GRPCConfig          *Sections     `json:"grpc_config" doc:"The runtime: its application and its components."`
}

// ShortForm is the section "runtime".
type ShortForm struct {
	Sections
	Listen              string           `json:"listen" doc:"Address of the gRPC API: host:port or unix:/path. Default 127.0.0.1:34904."`
	GracefulStopTimeout time.Duration    `json:"graceful_stop_timeout" default:"30s" min:"0s" doc:"Most time for accepted calls to finish when the process stops. Default 30s."`
	Actuator            *ActuatorSection `json:"actuator" doc:"The HTTP server for health and info."`
	Log                 *LogSection      `json:"log" doc:"What is logged, how, and where to."`
}

// ActuatorSection configures the actuator in the short form.
type ActuatorSection struct {
	Listen  string `json:"listen" doc:"Address: host:port or unix:/path. Default 127.0.0.1:34999, unless a listener of servers has the stream filter actuator_filter."`
	Enabled bool   `json:"enabled" default:"true" doc:"false: no actuator. Default true."`
}

// LogSection configures the log in the short form.
type LogSection struct {
	Path   string `json:"path" doc:"Where the log goes: stderr (default), stdout, or a file."`
	Level  string `json:"level" enum:"|TRACE|DEBUG|INFO|WARN|ERROR|FATAL" doc:"What is logged, at least. Default INFO."`
	Format string `json:"format" enum:"|text|json" doc:"text (default) or json."`
}

// Sections are the keys that grpc_config and the short form share.
type Sections struct {
	App             App                                   `json:"app" doc:"The application beside us."`
	SecretStore     map[string]SimpleComponent            `json:"secret_store" doc:"Secret stores, by name."`
	ConfigStore     map[string]ConfigStoreComponent       `json:"config_store" doc:"Configuration stores, by name."`
	CustomComponent map[string]map[string]SimpleComponent `json:"custom_component" doc:"Components of your own kinds, by kind and name."`
	Hellos          map[string]HelloComponent             `json:"hellos" doc:"Greeters, by name."`
	State           map[string]SimpleComponent            `json:"state" doc:"State stores, by name."`
	RPCs            map[string]RPCComponent               `json:"rpcs" doc:"Ways to call services, by type: mosn."`
	Bindings        map[string]SimpleComponent            `json:"bindings" doc:"Bindings to other systems, by name."`
	PubSubs         map[string]SimpleComponent            `json:"pub_subs" doc:"Message brokers, by name."`
	File            map[string]FileComponent              `json:"file" doc:"File stores, by name."`
	Files           map[string]FileComponent              `json:"files" doc:"Another name of file, which some of Layotto's samples have."`
	OSS             map[string]SimpleComponent            `json:"oss" doc:"Object stores, by name."`
	Lock            map[string]SimpleComponent            `json:"lock" doc:"Lock services, by name."`
	Sequencer       map[string]SequencerComponent         `json:"sequencer" doc:"Makers of ids, by name."`
	Cryption        map[string]SimpleComponent            `json:"cryption" doc:"Encryption services, by name."`
	Email           map[string]SimpleComponent            `json:"email" doc:"Mail services, by name."`
	Phone           map[string]SimpleComponent            `json:"phone" doc:"Telephone services, by name."`
	SMS             map[string]SimpleComponent            `json:"sms" doc:"Short message services, by name."`
	Extends         any                                   `json:"extends" unbuilt:"warn: no extension reads it" doc:"Configuration of API extensions."`

	DataDir      string `json:"data_dir" doc:"Folder for the files of embedded backends, from the working directory. Default .data."`
	MaxRecvBytes int    `json:"max_recv_bytes" default:"4194304" min:"1" max:"2147483647" doc:"Largest message that the gRPC API accepts, in bytes. Default 4 MiB."`
}

// App is the application beside us.
type App struct {
	ID               string `json:"app_id" doc:"Id of the application; part of keys where keyPrefix is appid."`
	GRPCCallbackPort int    `json:"grpc_callback_port" min:"0" max:"65535" doc:"Port on which the application receives events; 0: it receives none."`
	GRPCCallbackHost string `json:"grpc_callback_host" doc:"Host on which the application receives events. Default 127.0.0.1."`
}

// SimpleComponent is a component that has a type and metadata.
type SimpleComponent struct {
	Type         string         `json:"type" doc:"Which backend."`
	Version      string         `json:"version" doc:"A label."`
	Metadata     map[string]any `json:"metadata" doc:"Settings of the backend."`
	SecretRef    []SecretRef    `json:"secret_ref" doc:"Settings from secret stores."`
	ComponentRef ComponentRef   `json:"component_ref" doc:"Stores that the component may use."`
}

// SecretRef puts a secret into a component's settings.
type SecretRef struct {
	StoreName string `json:"store_name" doc:"Which secret store, by its name."`
	Key       string `json:"key" doc:"Which secret."`
	SubKey    string `json:"sub_key" doc:"Which value of the secret. Default: the only one, or the one named as the key."`
	InjectAs  string `json:"inject_as" doc:"The key of the settings that gets the value, or a path to it: clients[0].accessKeySecret. Default: sub_key."`

	// Place leads to the setting that gets the value; nil: it is the key that the
	// value has in its store. Load fills it in.
	Place []decode.Step `json:"-"`
}

// ComponentRef names the stores that a component may use.
type ComponentRef struct {
	SecretStore string `json:"secret_store" doc:"A secret store, by its name."`
	ConfigStore string `json:"config_store" doc:"A configuration store, by its name."`
}

// ConfigStoreComponent is a configuration store.
type ConfigStoreComponent struct {
	SimpleComponent
	Address []string `json:"address" split:"," doc:"Where the servers are."`
	Timeout string   `json:"timeout" doc:"Most time for one call of the server, in seconds or as a Go duration. Default: the backend's."`
}

// FileComponent is a file store. Its metadata may be a list, one entry for each
// account.
type FileComponent struct {
	Type      string      `json:"type" doc:"Which backend."`
	Metadata  any         `json:"metadata" doc:"Settings of the backend, or a list of them, one for each account."`
	SecretRef []SecretRef `json:"secret_ref" doc:"Settings from secret stores."`
}

// SequencerComponent is a maker of ids.
type SequencerComponent struct {
	SimpleComponent
	BiggerThan map[string]int64 `json:"biggerThan" doc:"Ids of these keys are greater than this."`
}

// HelloComponent is a greeter.
type HelloComponent struct {
	SimpleComponent
	Hello *string `json:"hello" doc:"The greeting."`
}

// RPCComponent is a way to call services. Its key in the file is its type, as
// long as it has no type of its own.
type RPCComponent struct {
	Type      string         `json:"type" doc:"Which invoker. Default: the key."`
	Config    map[string]any `json:"config" doc:"Settings of the invoker."`
	SecretRef []SecretRef    `json:"secret_ref" doc:"Settings from secret stores."`
}
