package config

import "time"

// Router is a named table of routes.
type Router struct {
	Name         string        `json:"router_config_name" doc:"Name by which a proxy filter refers to the table."`
	VirtualHosts []VirtualHost `json:"virtual_hosts" doc:"Routes grouped by the host that the caller asked for."`

	RouterConfigs           string `json:"router_configs" unbuilt:"refuse" doc:"A folder with one file per virtual host."`
	RequestHeadersToAdd     any    `json:"request_headers_to_add" unbuilt:"refuse" doc:"Header fields added to requests."`
	RequestHeadersToRemove  any    `json:"request_headers_to_remove" unbuilt:"refuse" doc:"Header fields removed from requests."`
	ResponseHeadersToAdd    any    `json:"response_headers_to_add" unbuilt:"refuse" doc:"Header fields added to responses."`
	ResponseHeadersToRemove any    `json:"response_headers_to_remove" unbuilt:"refuse" doc:"Header fields removed from responses."`
}

// VirtualHost holds the routes for some domains.
type VirtualHost struct {
	Name    string   `json:"name" doc:"A name for records."`
	Domains []string `json:"domains" doc:"Host names: exact, *.suffix, or * for all; with or without :port."`
	Routes  []Route  `json:"routers" doc:"Tried in order; the first whose conditions all hold is taken."`

	RequestHeadersToAdd     any            `json:"request_headers_to_add" unbuilt:"refuse" doc:"Header fields added to requests."`
	RequestHeadersToRemove  any            `json:"request_headers_to_remove" unbuilt:"refuse" doc:"Header fields removed from requests."`
	ResponseHeadersToAdd    any            `json:"response_headers_to_add" unbuilt:"refuse" doc:"Header fields added to responses."`
	ResponseHeadersToRemove any            `json:"response_headers_to_remove" unbuilt:"refuse" doc:"Header fields removed from responses."`
	PerFilterConfig         map[string]any `json:"per_filter_config" unbuilt:"refuse" doc:"Configuration of filters for these routes."`
	RequireTLS              string         `json:"require_tls" unbuilt:"refuse" doc:"Refuse plaintext."`
}

// Route is one rule: requests that match are sent to a cluster or answered at once.
type Route struct {
	Name           string          `json:"name" doc:"A name for records; default: its place in the table."`
	Match          Match           `json:"match" doc:"Conditions; all that are given must hold. None: every request."`
	Route          *RouteAction    `json:"route" doc:"Send the request to a cluster."`
	DirectResponse *DirectResponse `json:"direct_response" doc:"Answer the request at once."`

	Redirect              any            `json:"redirect" unbuilt:"refuse" doc:"Send the caller elsewhere."`
	Metadata              any            `json:"metadata" unbuilt:"warn" doc:"Labels."`
	PerFilterConfig       map[string]any `json:"per_filter_config" unbuilt:"refuse" doc:"Configuration of filters for this route."`
	RequestMirrorPolicies any            `json:"request_mirror_policies" unbuilt:"refuse" doc:"Send a copy elsewhere."`
}

// Match is the condition of a route.
type Match struct {
	Prefix         string        `json:"prefix" doc:"The path starts with this."`
	Path           string        `json:"path" doc:"The path is this, ignoring case."`
	Regex          string        `json:"regex" doc:"The whole path matches this regular expression (RE2)."`
	Headers        []HeaderMatch `json:"headers" doc:"Header fields that must match, all of them."`
	Variables      any           `json:"variables" unbuilt:"refuse" doc:"Variables that must match."`
	DSLExpressions any           `json:"dsl_expressions" unbuilt:"refuse" doc:"CEL expressions that must be true."`
}

// HeaderMatch is a condition on one header field.
type HeaderMatch struct {
	Name  string `json:"name" doc:"Field name."`
	Value string `json:"value" doc:"Value, or regular expression if regex is true; .* is any value of a field that is there."`
	Regex bool   `json:"regex" doc:"value is a regular expression (RE2) for the whole value."`
}

// RouteAction sends a request to a cluster.
type RouteAction struct {
	ClusterName      string        `json:"cluster_name" doc:"The cluster."`
	UpstreamProtocol string        `json:"upstream_protocol" doc:"Protocol spoken with the cluster's hosts, instead of the proxy filter's."`
	Timeout          time.Duration `json:"timeout" doc:"Most time for the whole exchange. Default 60s."`

	ClusterHeader           any            `json:"cluster_header" unbuilt:"refuse" doc:"Take the cluster's name from a header field."`
	ClusterVariable         any            `json:"cluster_variable" unbuilt:"refuse" doc:"Take the cluster's name from a variable."`
	WeightedClusters        any            `json:"weighted_clusters" unbuilt:"refuse" doc:"Divide requests among clusters."`
	MetadataMatch           any            `json:"metadata_match" unbuilt:"refuse" doc:"Only hosts with these labels."`
	RetryPolicy             any            `json:"retry_policy" unbuilt:"warn" doc:"When to try again."`
	HashPolicy              any            `json:"hash_policy" unbuilt:"refuse" doc:"What the host is chosen by."`
	PrefixRewrite           string         `json:"prefix_rewrite" unbuilt:"refuse" doc:"Replace the matched prefix."`
	RegexRewrite            any            `json:"regex_rewrite" unbuilt:"refuse" doc:"Replace parts of the path."`
	HostRewrite             string         `json:"host_rewrite" unbuilt:"refuse" doc:"Replace the host."`
	AutoHostRewrite         bool           `json:"auto_host_rewrite" unbuilt:"refuse" doc:"Replace the host by the chosen host's name."`
	AutoHostRewriteHeader   string         `json:"auto_host_rewrite_header" unbuilt:"refuse" doc:"Replace the host by a field's value."`
	RequestHeadersToAdd     any            `json:"request_headers_to_add" unbuilt:"refuse" doc:"Header fields added to requests."`
	RequestHeadersToRemove  any            `json:"request_headers_to_remove" unbuilt:"refuse" doc:"Header fields removed from requests."`
	ResponseHeadersToAdd    any            `json:"response_headers_to_add" unbuilt:"refuse" doc:"Header fields added to responses."`
	ResponseHeadersToRemove any            `json:"response_headers_to_remove" unbuilt:"refuse" doc:"Header fields removed from responses."`
	PerFilterConfig         map[string]any `json:"per_filter_config" unbuilt:"refuse" doc:"Configuration of filters for this route."`
	RequestMirrorPolicies   any            `json:"request_mirror_policies" unbuilt:"refuse" doc:"Send a copy elsewhere."`
}

// DirectResponse answers a request without a cluster.
type DirectResponse struct {
	Status int    `json:"status" doc:"HTTP status, 200 to 599."`
	Body   string `json:"body" doc:"Body of the answer."`
}

// DefaultRouteTimeout applies where a route sets none.
const DefaultRouteTimeout = 60 * time.Second
