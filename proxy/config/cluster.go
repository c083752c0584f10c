package config

import "time"

// Cluster is a named set of hosts that serve the same.
type Cluster struct {
	Name           string        `json:"name" doc:"Name by which routes refer to it."`
	Type           string        `json:"type" enum:"|SIMPLE|STATIC" doc:"Where the hosts come from: SIMPLE or STATIC, the list below."`
	LBType         string        `json:"lb_type" doc:"How a host is chosen: LB_ROUNDROBIN (default), LB_RANDOM."`
	Hosts          []Host        `json:"hosts" doc:"The hosts."`
	ConnectTimeout time.Duration `json:"connect_timeout" doc:"Most time to connect to a host. Default 3s."`
	IdleTimeout    time.Duration `json:"idle_timeout" doc:"Close a connection unused for this long. 0: never."`

	ConnBufferLimitBytes int            `json:"conn_buffer_limit_bytes" unbuilt:"warn" doc:"Bytes."`
	MaxRequestPerConn    int            `json:"max_request_per_conn" doc:"Close a connection after so many requests. 0: no limit."`
	SubType              string         `json:"sub_type" unbuilt:"warn" doc:"Ignored."`
	Spec                 any            `json:"spec" unbuilt:"warn" doc:"Ignored."`
	CircuitBreakers      []Breaker      `json:"circuit_breakers" doc:"Limits; the first entry counts."`
	HealthCheck          any            `json:"health_check" unbuilt:"warn" doc:"Active health checks."`
	LBSubsetConfig       any            `json:"lb_subset_config" unbuilt:"refuse" doc:"Choose among hosts with the same labels."`
	OriginalDstLBConfig  any            `json:"original_dst_lb_config" unbuilt:"refuse" doc:"Send to where the connection wanted to go."`
	LBConfig             map[string]any `json:"lbconfig" unbuilt:"warn" doc:"Options of the load balancer."`
	ClusterManagerTLS    bool           `json:"cluster_manager_tls" doc:"Use the cluster manager's TLS context."`
	TLSContext           *TLS           `json:"tls_context" doc:"TLS towards the hosts."`
	DNSRefreshRate       time.Duration  `json:"dns_refresh_rate" unbuilt:"refuse" doc:"How often names are looked up."`
	RespectDNSTTL        bool           `json:"respect_dns_ttl" unbuilt:"refuse" doc:"Look up again when the answer expires."`
	DNSLookupFamily      string         `json:"dns_lookup_family" unbuilt:"refuse" doc:"V4_ONLY or V6_ONLY."`
	DNSResolvers         any            `json:"dns_resolvers" unbuilt:"refuse" doc:"Name servers."`
	DNSResolverFile      string         `json:"dns_resolver_file" unbuilt:"refuse" doc:"A resolv.conf."`
	DNSResolverPort      string         `json:"dns_resolver_port" unbuilt:"refuse" doc:"Port of the name servers."`
	ClusterPoolEnable    bool           `json:"cluster_pool_enable" unbuilt:"warn" doc:"Connections are not shared between clusters here."`
	SlowStart            any            `json:"slow_start" unbuilt:"warn" doc:"Give a new host its share gradually."`
	Mark                 int            `json:"mark" unbuilt:"warn" doc:"SO_MARK of connections."`
	EDSClusterConfig     any            `json:"eds_cluster_config" unbuilt:"refuse" doc:"Hosts from a control plane."`
	Metadata             any            `json:"metadata" unbuilt:"warn" doc:"Labels."`
}

// Breaker holds a cluster's limits; 0 is no limit.
type Breaker struct {
	Priority           string `json:"priority" unbuilt:"warn" doc:"Ignored."`
	MaxConnections     int    `json:"max_connections" doc:"Most connections to one host."`
	MaxPendingRequests int    `json:"max_pending_requests" unbuilt:"warn" doc:"Most requests waiting for a connection."`
	MaxRequests        int    `json:"max_requests" doc:"Most requests in flight in the cluster; further ones are refused at once."`
	MaxRetries         int    `json:"max_retries" unbuilt:"warn" doc:"Most retries at a time."`
}

// Host is one address of a cluster.
type Host struct {
	Address    string `json:"address" doc:"host:port."`
	Hostname   string `json:"hostname" doc:"A name for records."`
	Weight     int    `json:"weight" doc:"1 to 128; used by weighted balancers."`
	Metadata   any    `json:"metadata" unbuilt:"warn" doc:"Labels."`
	TLSDisable bool   `json:"tls_disable" doc:"Speak with this host without TLS although the cluster has it."`
}

// DefaultConnectTimeout applies where a cluster sets none.
const DefaultConnectTimeout = 3 * time.Second
