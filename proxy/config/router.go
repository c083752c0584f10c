package config

import "time"

// Router is a named table of routes.
type Router struct {
	Name         string        `json:"router_config_name" doc:"Name by which a proxy filter refers to the table."`
	VirtualHosts []VirtualHost `json:"virtual_hosts" doc:"Routes grouped by the host that the caller asked for."`

	RouterConfigs string `json:"router_configs" doc:"A folder with one file (JSON or YAML) per virtual host, instead of virtual_hosts."`
	HeaderChanges
}

// HeaderChanges are made at the route first, then at the virtual host, then at
// the router; at each, fields are added first. Values may hold variables,
// "%name%"; a field whose variables have no value is left out. Fields that frame
// the message or belong to the connection cannot be changed; "Host" is the
// host that is asked for.
type HeaderChanges struct {
	RequestHeadersToAdd     []HeaderToAdd `json:"request_headers_to_add" doc:"Header fields added to requests."`
	RequestHeadersToRemove  []string      `json:"request_headers_to_remove" doc:"Header fields removed from requests."`
	ResponseHeadersToAdd    []HeaderToAdd `json:"response_headers_to_add" doc:"Header fields added to responses."`
	ResponseHeadersToRemove []string      `json:"response_headers_to_remove" doc:"Header fields removed from responses."`
}

// HeaderToAdd is a header field to add.
type HeaderToAdd struct {
	Header HeaderValue `json:"header" doc:"The field."`
	Append *bool       `json:"append" doc:"Keep a field of that name, and append to its value with a comma; else it is replaced. Default true."`
}

// HeaderValue is a header field.
type HeaderValue struct {
	Key   string `json:"key" doc:"Name."`
	Value string `json:"value" doc:"Value; %name% stands for a variable, %% for a percent sign."`
}

// VirtualHost holds the routes for some domains.
type VirtualHost struct {
	Name    string   `json:"name" doc:"A name for records."`
	Domains []string `json:"domains" doc:"Host names: exact, *.suffix, or * for all; with or without :port."`
	Routes  []Route  `json:"routers" doc:"Tried in order; the first whose conditions all hold is taken."`

	HeaderChanges
	PerFilterConfig map[string]any `json:"per_filter_config" doc:"Configuration of filters for these routes, by filter type."`
	RequireTLS      string         `json:"require_tls" enum:"|NONE|EXTERNAL_ONLY|ALL" doc:"ALL: plaintext requests are redirected to https. EXTERNAL_ONLY: unless the caller is on this machine."`
}

// Route is one rule: requests that match are sent to a cluster, sent elsewhere
// or answered at once.
type Route struct {
	Name           string          `json:"name" doc:"A name for records; default: its place in the table."`
	Match          Match           `json:"match" doc:"Conditions; all that are given must hold. None: every request."`
	Route          *RouteAction    `json:"route" doc:"Send the request to a cluster."`
	Redirect       *Redirect       `json:"redirect" doc:"Send the caller elsewhere."`
	DirectResponse *DirectResponse `json:"direct_response" doc:"Answer the request at once."`

	Metadata              any            `json:"metadata" doc:"Labels for whoever reads the configuration."`
	PerFilterConfig       map[string]any `json:"per_filter_config" doc:"Configuration of filters for this route, by filter type."`
	RequestMirrorPolicies []MirrorPolicy `json:"request_mirror_policies" single:"true" doc:"Send copies elsewhere."`
	HeaderChanges
}

// Match is the condition of a route.
type Match struct {
	Prefix          string          `json:"prefix" doc:"The path starts with this."`
	Path            string          `json:"path" doc:"The path is this, ignoring case."`
	Regex           string          `json:"regex" doc:"This regular expression (RE2) matches somewhere in the path; ^ and $ stand for its ends."`
	Headers         []HeaderMatch   `json:"headers" doc:"Header fields that must match, all of them."`
	QueryParameters []HeaderMatch   `json:"query_parameters" doc:"Query parameters that must match, all of them, decoded. Of a parameter that is repeated the first counts."`
	Variables       []VariableMatch `json:"variables" doc:"Variables that must match; one without a value does not."`
	DSLExpressions  []DSLExpression `json:"dsl_expressions" doc:"CEL expressions that must all be true."`
}

// HeaderMatch is a condition on one header field or query parameter.
type HeaderMatch struct {
	Name  string `json:"name" doc:"Its name."`
	Value string `json:"value" doc:"Value, or regular expression if regex is true; .* is any value of one that is there."`
	Regex bool   `json:"regex" doc:"value is a regular expression (RE2), to match somewhere in the value; ^ and $ stand for its ends."`
}

// VariableMatch is a condition on a variable.
type VariableMatch struct {
	Name  string `json:"name" doc:"The variable."`
	Value string `json:"value" doc:"Its value."`
	Regex string `json:"regex" doc:"A regular expression (RE2) that matches somewhere in its value; ^ and $ stand for its ends."`
	Model string `json:"model" enum:"|and|or" doc:"How this is joined with the next condition: and (default) before or."`
}

// DSLExpression is a condition in CEL.
type DSLExpression struct {
	Expression string `json:"expression" doc:"An expression of type bool over request, source and variables."`
}

// RouteAction sends a request to a cluster.
type RouteAction struct {
	ClusterName      string            `json:"cluster_name" doc:"The cluster. Beside cluster_header or cluster_variable: the one for requests without such a value."`
	ClusterHeader    string            `json:"cluster_header" doc:"Take the cluster's name from this header field. No such cluster: 404."`
	ClusterVariable  string            `json:"cluster_variable" doc:"Take the cluster's name from this variable. No such cluster: 404."`
	WeightedClusters []WeightedCluster `json:"weighted_clusters" doc:"Divide requests among clusters, exactly by weight."`
	UpstreamProtocol string            `json:"upstream_protocol" doc:"Protocol spoken with the cluster's hosts, instead of the proxy filter's."`
	Timeout          time.Duration     `json:"timeout" doc:"Most time for the whole exchange. Default, and 0: 60s. Replaced, by a shorter or a longer time, by header x-mosn-global-timeout (milliseconds) and variable proxy_global_timeout, which goes first. A timeout that the protocol says (grpc-timeout) shortens it, and lengthens only the default."`
	MetadataMatch    *Metadata         `json:"metadata_match" doc:"Only hosts with these labels."`
	RetryPolicy      *RetryPolicy      `json:"retry_policy" doc:"When to try again."`
	HashPolicy       []HashPolicy      `json:"hash_policy" doc:"What the host is chosen by, for LB_MAGLEV; the first that yields a value counts. Default: the caller's IP address."`

	PrefixRewrite         string         `json:"prefix_rewrite" doc:"Replace the matched prefix (or path) by this. The path that the caller sent goes along as header x-mosn-original-path."`
	RegexRewrite          *RegexRewrite  `json:"regex_rewrite" doc:"Replace the parts of the path that match; not beside prefix_rewrite."`
	HostRewrite           string         `json:"host_rewrite" doc:"Replace the host."`
	AutoHostRewrite       bool           `json:"auto_host_rewrite" doc:"Replace the host by the hostname of the chosen host."`
	AutoHostRewriteHeader string         `json:"auto_host_rewrite_header" doc:"Replace the host by the value of this header field."`
	PerFilterConfig       map[string]any `json:"per_filter_config" doc:"Configuration of filters for this route, by filter type."`
	RequestMirrorPolicies []MirrorPolicy `json:"request_mirror_policies" single:"true" doc:"Send copies elsewhere."`
	HeaderChanges
}

// WeightedCluster is one of several clusters.
type WeightedCluster struct {
	Cluster          ClusterWeight `json:"cluster" doc:"The cluster and its share."`
	RuntimeKeyPrefix string        `json:"runtime_key_prefix" unbuilt:"warn" doc:"Ignored."`
}

// ClusterWeight is a cluster and its share.
type ClusterWeight struct {
	Name          string    `json:"name" doc:"The cluster."`
	Weight        int       `json:"weight" min:"0" doc:"Its share of the sum of weights; 0: nothing."`
	MetadataMatch *Metadata `json:"metadata_match" doc:"Only hosts with these labels."`
}

// RetryPolicy says when a request is sent again.
type RetryPolicy struct {
	RetryOn      any           `json:"retry_on" doc:"true: on connect-failure, reset and status. Or a list, also in one text with commas: connect-failure, reset (or reset-before-request), reset-any, refused-stream, per-try-timeout, per-try-timeout-any, 5xx (what true means), gateway-error (the same for 502 to 504), status (or retriable-status-codes), grpc (all of the following), cancelled, deadline-exceeded, internal, resource-exhausted, unavailable."`
	RetryTimeout time.Duration `json:"retry_timeout" doc:"Most time for one attempt. 0, or not below that of the whole exchange: no limit but that. Replaced by header x-mosn-try-timeout (milliseconds) or variable proxy_try_timeout."`
	NumRetries   int           `json:"num_retries" min:"0" doc:"Most attempts after the first. Default 1."`
	StatusCodes  []int         `json:"status_codes" doc:"The only statuses that are retried. Default: 500 and above."`
	BackOff      *RetryBackOff `json:"retry_back_off" doc:"Waiting before a retry. Default: 25ms and 250ms."`
}

// RetryBackOff says how long to wait before a retry.
type RetryBackOff struct {
	Base time.Duration `json:"base_interval" default:"25ms" doc:"Before retry n a random time up to base * 2^(n-1) passes. 0: none."`
	Max  time.Duration `json:"max_interval" default:"250ms" doc:"Longest wait."`
}

// HashPolicy is a value of the request that the host is chosen by.
type HashPolicy struct {
	Header   *HashHeader   `json:"header" doc:"A header field."`
	Cookie   *HashCookie   `json:"cookie" doc:"A cookie, which is made where the caller sends none."`
	SourceIP *HashSourceIP `json:"source_ip" doc:"The caller's IP address."`
}

// HashHeader names a header field.
type HashHeader struct {
	Key string `json:"key" doc:"Name of the field."`
}

// HashCookie names a cookie.
type HashCookie struct {
	Name string        `json:"name" doc:"Its name."`
	Path string        `json:"path" doc:"Its path, if it is made here."`
	TTL  time.Duration `json:"ttl" doc:"Its life, if it is made here. 0: the session."`
}

// HashSourceIP has no options.
type HashSourceIP struct{}

// RegexRewrite replaces parts of a path.
type RegexRewrite struct {
	Pattern      RegexPattern `json:"pattern" doc:"What is replaced."`
	Substitution string       `json:"substitution" doc:"By what; \\1, $1 or ${1} is the first group."`
}

// RegexPattern is a regular expression.
type RegexPattern struct {
	EngineType any    `json:"google_re2" doc:"Accepted; there is one engine."`
	Regex      string `json:"regex" doc:"A regular expression (RE2)."`
}

// MirrorPolicy is a cluster that gets copies of requests.
type MirrorPolicy struct {
	Cluster      string   `json:"cluster" doc:"The cluster."`
	Percent      *float64 `json:"percent" min:"0" max:"100" doc:"Percentage of requests that are copied. Default 100."`
	TraceSampled bool     `json:"trace_sampled" unbuilt:"warn" doc:"Ignored."`
}

// Redirect sends the caller elsewhere.
type Redirect struct {
	ResponseCode   int    `json:"response_code" doc:"301 (default), 302, 303, 307 or 308."`
	PathRedirect   string `json:"path_redirect" doc:"Path instead of the one asked for; with a query if it has a ?, else that of the request is kept."`
	HostRedirect   string `json:"host_redirect" doc:"Host instead of the one asked for."`
	SchemeRedirect string `json:"scheme_redirect" doc:"Scheme instead of the one asked for; the default port of the old one is left out."`
}

// DirectResponse answers a request without a cluster.
type DirectResponse struct {
	Status int    `json:"status" doc:"HTTP status, 200 to 599."`
	Body   string `json:"body" doc:"Body of the answer."`
}

// DefaultRouteTimeout applies where a route sets none.
const DefaultRouteTimeout = 60 * time.Second
