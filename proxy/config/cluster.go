package config

import "time"

// Cluster is a named set of hosts that serve the same.
type Cluster struct {
	Name           string        `json:"name" doc:"Name by which routes refer to it."`
	Type           string        `json:"type" enum:"|SIMPLE|STATIC|EDS|STRICT_DNS|ORIGINAL_DST" doc:"Where the hosts come from. SIMPLE (default) or STATIC: the list below. EDS: a control plane or the API. STRICT_DNS: what the names in the list stand for in DNS. ORIGINAL_DST: where the caller wanted to go."`
	LBType         string        `json:"lb_type" doc:"How a host is chosen; default LB_ROUNDROBIN."`
	Hosts          []Host        `json:"hosts" doc:"The hosts."`
	ConnectTimeout time.Duration `json:"connect_timeout" doc:"Most time to connect to a host. Default 3s."`
	IdleTimeout    time.Duration `json:"idle_timeout" doc:"Close a connection unused for this long. 0: never."`

	PoolMode  string     `json:"pool_mode" enum:"|multiplex|ping_pong|binding" doc:"How requests share connections to a host. multiplex (default where the protocol can): many at a time on each. ping_pong: one at a time on each. binding: each connection of a caller has one of its own, and the end of either is the end of both (RPC protocols)."`
	Keepalive *Keepalive `json:"keepalive" doc:"Heartbeats that find hosts which are gone, for the protocols that have them."`

	MaxRequestPerConn   int               `json:"max_request_per_conn" doc:"Close a connection after so many requests. 0: no limit."`
	CircuitBreakers     []Breaker         `json:"circuit_breakers" doc:"Limits; the first entry counts."`
	HealthCheck         *HealthCheck      `json:"health_check" doc:"Active health checks."`
	OutlierDetection    *OutlierDetection `json:"outlier_detection" doc:"Take out hosts at which too many requests fail."`
	PanicThreshold      float64           `json:"healthy_panic_threshold" min:"0" max:"100" doc:"While fewer than this percentage of the hosts are healthy, use all of them. 0 (default): never."`
	LBSubsetConfig      *Subsets          `json:"lb_subset_config" doc:"Choose among hosts with certain labels."`
	OriginalDstLBConfig *OriginalDst      `json:"original_dst_lb_config" doc:"How the address that the caller wanted is found out."`
	LBConfig            map[string]any    `json:"lbconfig" doc:"Options of the load balancer."`
	SlowStart           *SlowStart        `json:"slow_start" doc:"Give a new host its share gradually; for the balancers that go by weight."`
	ClusterManagerTLS   bool              `json:"cluster_manager_tls" doc:"Use the cluster manager's TLS context."`
	TLSContext          *TLS              `json:"tls_context" doc:"TLS towards the hosts."`
	DNSRefreshRate      time.Duration     `json:"dns_refresh_rate" doc:"How often names are looked up. Default 5s."`
	RespectDNSTTL       bool              `json:"respect_dns_ttl" doc:"Look up again when the answer expires, instead of at dns_refresh_rate."`
	DNSLookupFamily     string            `json:"dns_lookup_family" enum:"|V4_ONLY|V6_ONLY|AUTO|ALL" doc:"Addresses to use: V4_ONLY (default), V6_ONLY, AUTO (IPv6, or IPv4 where there is none) or ALL."`
	DNSResolvers        *DNSResolvers     `json:"dns_resolvers" doc:"Name servers, instead of those of dns_resolver_file."`
	DNSResolverFile     string            `json:"dns_resolver_file" doc:"A resolv.conf. Default /etc/resolv.conf."`
	DNSResolverPort     string            `json:"dns_resolver_port" doc:"Port of the name servers in dns_resolver_file. Default 53."`
	Mark                int               `json:"mark" doc:"SO_MARK of connections to the hosts (Linux; needs CAP_NET_ADMIN). 0: none."`
	Metadata            any               `json:"metadata" doc:"Labels for whoever reads the configuration."`
	EDSClusterConfig    any               `json:"eds_cluster_config" unbuilt:"warn: hosts come by the API; there is no control plane yet" doc:"Hosts from a control plane."`

	ConnBufferLimitBytes int    `json:"conn_buffer_limit_bytes" unbuilt:"warn" doc:"Bytes."`
	SubType              string `json:"sub_type" unbuilt:"warn" doc:"Ignored."`
	Spec                 any    `json:"spec" unbuilt:"warn" doc:"Ignored."`
	ClusterPoolEnable    bool   `json:"cluster_pool_enable" doc:"Accepted: connections are never shared between clusters here."`
}

// How requests share connections to a host.
const (
	PoolMultiplex = "multiplex"
	PoolPingPong  = "ping_pong"
	PoolBinding   = "binding"
)

// Keepalive says how a silent host is asked whether it is alive.
type Keepalive struct {
	Interval         time.Duration `json:"interval" min:"1ms" doc:"How long nothing may come from a host before it is asked, and again. Default 15s."`
	Timeout          time.Duration `json:"timeout" min:"1ms" doc:"How long the answer may take. Default 1s, or interval if that is less."`
	FailCountToClose int           `json:"fail_count_to_close" min:"1" max:"1000" doc:"How many answers in a row may be missing: then the connection is closed, and the calls on it fail. Default 6."`
}

// Breaker holds a cluster's limits; 0 is no limit.
type Breaker struct {
	Priority           string       `json:"priority" unbuilt:"warn" doc:"Ignored."`
	MaxConnections     int          `json:"max_connections" doc:"Most connections to one host."`
	MaxPendingRequests int          `json:"max_pending_requests" doc:"Most requests of the cluster that wait for a connection at a time. With it, a request over max_connections waits its turn; without, it is refused at once."`
	MaxRequests        int          `json:"max_requests" doc:"Most requests in flight in the cluster; further ones are refused at once."`
	MaxRetries         int          `json:"max_retries" doc:"Most retries in flight in the cluster; further ones are not made."`
	RetryBudget        *RetryBudget `json:"retry_budget" doc:"Most retries in flight as a share of the requests in flight."`
}

// RetryBudget limits retries to a share of the requests.
type RetryBudget struct {
	Percent        float64 `json:"budget_percent" default:"20" min:"0" max:"100" doc:"Percentage of the requests in flight that may be retries."`
	MinConcurrency int     `json:"min_retry_concurrency" default:"3" min:"0" doc:"So many retries are allowed in any case."`
}

// Host is one address of a cluster.
type Host struct {
	Address    string    `json:"address" doc:"host:port."`
	Hostname   string    `json:"hostname" doc:"A name for records, and for auto_host_rewrite."`
	Weight     int       `json:"weight" doc:"1 to 128; used by weighted balancers."`
	Metadata   *Metadata `json:"metadata" doc:"Labels, for lb_subset_config."`
	TLSDisable bool      `json:"tls_disable" doc:"Speak with this host without TLS although the cluster has it."`
}

// Metadata holds labels by who reads them.
type Metadata struct {
	Filter FilterMetadata `json:"filter_metadata" doc:"Labels by who reads them."`
}

// FilterMetadata holds the labels that the load balancer reads.
type FilterMetadata struct {
	LB     map[string]string `json:"mosn.lb" doc:"Labels that hosts are chosen by."`
	Others map[string]any    `json:"-" rest:"true"`
}

// Labels returns the labels that hosts are chosen by; nil if there are none.
func (m *Metadata) Labels() map[string]string {
	if m == nil {
		return nil
	}
	return m.Filter.LB
}

// Subsets divides hosts by their labels.
type Subsets struct {
	FallBackPolicy int               `json:"fall_back_policy" min:"0" max:"2" doc:"Where no host has the labels that a route asks for: 0 none is used, 1 any, 2 those of default_subset."`
	Default        map[string]string `json:"default_subset" doc:"Labels of the hosts for fall_back_policy 2."`
	Selectors      [][]string        `json:"subset_selectors" doc:"Lists of the names of labels that routes can ask for together."`
}

// OriginalDst says how the address is found that the caller wanted.
type OriginalDst struct {
	UseHeader    bool   `json:"use_header" doc:"It is the value of a header field, instead of what the connection was made to."`
	HeaderName   string `json:"header_name" doc:"That header field. Default host."`
	ReplaceLocal bool   `json:"replace_local" doc:"Put 127.0.0.1 in the place of the host, keeping the port."`
}

// SlowStart gives a new host less than its share for a while.
type SlowStart struct {
	Mode             string        `json:"mode" enum:"|duration" doc:"duration: the window begins when the host is added or becomes healthy."`
	Duration         time.Duration `json:"slow_start_duration" doc:"Length of the window."`
	Aggression       float64       `json:"aggression" default:"1" min:"0" doc:"1: the share grows linearly; above: faster at first."`
	MinWeightPercent float64       `json:"min_weight_percent" default:"0.1" min:"0" max:"1" doc:"Least share of the weight, 0 to 1."`
}

// DNSResolvers are name servers and how to ask them.
type DNSResolvers struct {
	Servers  []string `json:"servers" doc:"Addresses of the servers, with or without port."`
	Search   []string `json:"search" doc:"Domains to append to short names."`
	Port     string   `json:"port" doc:"Port of servers without one. Default 53."`
	Ndots    int      `json:"ndots" default:"1" min:"0" doc:"Names with so many dots are tried as they are first."`
	Timeout  int      `json:"timeout" default:"5" min:"1" doc:"Seconds to wait for one answer."`
	Attempts int      `json:"attempts" default:"2" min:"1" doc:"How often each server is asked."`
}

// DefaultConnectTimeout applies where a cluster sets none.
const DefaultConnectTimeout = 3 * time.Second
