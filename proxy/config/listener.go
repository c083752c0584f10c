package config

import "time"

// Snapshot is one whole configuration of the core.
type Snapshot struct {
	Listeners []Listener `json:"listeners"`
	Routers   []Router   `json:"routers"`
	Clusters  []Cluster  `json:"clusters"`
}

// Listener is a place where connections arrive.
type Listener struct {
	Name                    string        `json:"name" doc:"Name of the listener; other parts refer to it, updates find it by it. Default: the address."`
	Type                    string        `json:"type" enum:"|ingress|egress" doc:"Direction of the traffic; a label only."`
	Address                 string        `json:"address" doc:"host:port to listen on, or the path of a unix socket when network is unix (also unix:/path)."`
	Network                 string        `json:"network" enum:"|tcp|unix|udp" doc:"tcp (default), unix, or udp for datagrams."`
	BindPort                bool          `json:"bind_port" default:"true" doc:"false: open no socket; the listener is reached only from inside the process. Default true."`
	UseOriginalDst          any           `json:"use_original_dst" doc:"Connections are brought here by a firewall and wanted to go elsewhere: redirect or tproxy (true is redirect)."`
	AccessLogs              []AccessLog   `json:"access_logs" doc:"Where requests are recorded."`
	ListenerFilters         []Extension   `json:"listener_filters" doc:"Filters for what arrives: original_dst."`
	FilterChains            []FilterChain `json:"filter_chains" doc:"What is done with a connection: one chain of network filters."`
	StreamFilters           []Extension   `json:"stream_filters" doc:"Filters that requests pass, in this order."`
	Inspector               bool          `json:"inspector" doc:"Accept TLS and plaintext on one port."`
	ConnectionIdleTimeout   time.Duration `json:"connection_idle_timeout" doc:"Close a connection on which nothing happened for this long. Default 90s."`
	DefaultReadBufferSize   int           `json:"default_read_buffer_size" unbuilt:"warn" doc:"Bytes; buffers are sized to need here."`
	PerConnBufferLimitBytes int           `json:"per_connection_buffer_limit_bytes" unbuilt:"warn" doc:"Bytes."`
	ReusePort               bool          `json:"reuseport" doc:"Let several processes listen on the address."`
	MaxConnections          int           `json:"max_connections" doc:"Most connections at a time; further ones are closed at once. 0: no limit."`
}

// AccessLog says where and how requests are recorded.
type AccessLog struct {
	Path   string `json:"log_path" doc:"File to append to, or stdout or stderr."`
	Format string `json:"log_format" unbuilt:"warn" doc:"%name% placeholders."`
}

// FilterChain is a list of network filters. The last one answers the connection.
type FilterChain struct {
	Match         string      `json:"match" unbuilt:"warn" doc:"Ignored."`
	TLSContext    *TLS        `json:"tls_context" doc:"TLS towards the caller."`
	TLSContextSet []TLS       `json:"tls_context_set" doc:"Several TLS contexts."`
	Filters       []Extension `json:"filters" doc:"Network filters, in order; the last answers the connection (proxy, grpc, …)."`
}

// Extension names a filter and carries its configuration, which the filter decodes itself.
type Extension struct {
	Type   string         `json:"type" doc:"Name of the filter."`
	Config map[string]any `json:"config" doc:"The filter's own configuration."`
}

// Proxy is the configuration of the network filter "proxy": it reads requests
// of a protocol and routes them.
type Proxy struct {
	Name               string         `json:"name" doc:"A label."`
	DownstreamProtocol string         `json:"downstream_protocol" doc:"Protocol spoken by callers: Http1, Http2; several with commas, or Auto for all that are known, to tell them by their first bytes."`
	UpstreamProtocol   string         `json:"upstream_protocol" doc:"Protocol spoken with hosts; default, and Auto: the one the request came by."`
	RouterConfigName   string         `json:"router_config_name" doc:"Name of the router that decides where requests go."`
	RouterHandlerName  string         `json:"router_handler_name" doc:"How to choose among several routes that take a request: default, the first; usable, the first whose cluster has a host that can be used."`
	ValidateClusters   bool           `json:"validate_clusters" doc:"true: a route to an unknown cluster is an error when the configuration is loaded."`
	SupportDynamic     bool           `json:"support_dynamic_route" unbuilt:"warn" doc:"Obsolete."`
	Fallback           bool           `json:"fallback_for_unknown_protocol" doc:"Pass connections of an unknown protocol to the next filter."`
	ConcurrencyNum     int            `json:"concurrency_num" unbuilt:"warn" doc:"Requests in flight per connection."`
	ExtendConfig       map[string]any `json:"extend_config" doc:"Options of the protocol."`
}

// DefaultConnectionIdleTimeout applies where a listener sets none.
const DefaultConnectionIdleTimeout = 90 * time.Second
