package router

import (
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
)

func TestNewRefuses(t *testing.T) {
	match := func(m config.Match) config.Router { return routes(config.Route{Match: m, Route: to("c")}) }
	header := func(h config.HeaderMatch) config.Router { return match(config.Match{Headers: []config.HeaderMatch{h}}) }
	redirected := func(r config.Redirect) config.Router { return routes(config.Route{Redirect: &r}) }
	retrying := func(p config.RetryPolicy) config.Router {
		return action(config.RouteAction{ClusterName: "c", RetryPolicy: &p})
	}
	changing := func(h config.HeaderChanges) config.Router {
		cfg := routes(config.Route{Route: to("c")})
		cfg.HeaderChanges = h
		return cfg
	}
	tooMuch := 101.0
	for _, c := range []struct {
		name string
		cfg  config.Router
		want string
	}{
		{"domain twice", hosts("a b", "B"), `routers[0].virtual_hosts[1].domains[0]: the domain "B" is taken by virtual host a b (a domain belongs`},
		{"domain twice with port", hosts("a:1 A:1"), `.virtual_hosts[0].domains[1]: the domain "A:1" is taken by virtual host a:1 A:1`},
		{"ending twice", hosts("*.a", "*.A"), `the domain "*.A" is taken by virtual host *.a`},
		{"address twice", hosts("[::1]", "[0::1]"), `the domain "[0::1]" is taken by virtual host [::1]`},
		{"all twice", hosts("*", "*:*"), `the domain "*:*" is taken by virtual host *`},
		{"star inside", hosts("a.*"), `"a.*" is no domain ("*" may stand at the start`},
		{"star twice", hosts("*.*.a"), `"*.*.a" is no domain ("*" may stand at the start`},
		{"star in the port", hosts("a:1*"), `"a:1*" is no domain ("*" may stand at the start`},
		{"only a port", hosts(":80"), `":80" names no host (write "*:80" for all hosts with this port)`},
		{"a URL", hosts("http://a"), `"http://a" is no domain (write the host only`},
		{
			"empty domain",
			config.Router{Name: "main", VirtualHosts: []config.VirtualHost{{Domains: []string{""}}}},
			`routers[0].virtual_hosts[0].domains[0]: the domain is empty (write "*" for all)`,
		},
		{"no domains", hosts(""), `routers[0].virtual_hosts[0].domains: the virtual host has no domain, so no request would come here (write ["*"] for all)`},
		{"bad regex", match(config.Match{Regex: "/("}), `routers[0].virtual_hosts[0].routers[0].match.regex: "/(" is no regular expression: `},
		{"regex that closes our group", match(config.Match{Regex: "/a)(b"}), `.match.regex: "/a)(b" is no regular expression`},
		{"bad header regex", header(config.HeaderMatch{Name: "id", Value: "[", Regex: true}), `.routers[0].match.headers[0].value: "[" is no`},
		{"no header name", header(config.HeaderMatch{Value: "x"}), `.routers[0].match.headers[0].name: the name is missing`},
		{"no action", routes(config.Route{}), `.routers[0]: the route does not say what happens with a request`},
		{
			"two actions", routes(config.Route{Route: to("c"), DirectResponse: &config.DirectResponse{Status: 200}}),
			`.routers[0]: the route has more than one of route, redirect and direct_response`,
		},
		{"no cluster", routes(config.Route{Route: to("")}), `.routers[0].route.cluster_name: the name of the cluster is missing`},
		{
			"negative timeout", routes(config.Route{Route: &config.RouteAction{ClusterName: "c", Timeout: -time.Second}}),
			`.routers[0].route.timeout: must not be negative, is -1s (0 is the default of 1m0s)`,
		},
		{
			"informational status", routes(config.Route{DirectResponse: &config.DirectResponse{Status: 100}}),
			`.routers[0].direct_response.status: must be from 200 to 599, is 100`,
		},
		{"redirect and direct", routes(config.Route{Redirect: &config.Redirect{}, DirectResponse: &config.DirectResponse{Status: 200}}), `more than one of route, redirect and direct_response`},
		{"no parameter name", match(config.Match{QueryParameters: []config.HeaderMatch{{Value: "x"}}}), `.match.query_parameters[0].name: the name is missing`},
		{"bad parameter regex", match(config.Match{QueryParameters: []config.HeaderMatch{{Name: "a", Value: "[", Regex: true}}}), `.match.query_parameters[0].value: "[" is no`},
		{"no variable name", match(config.Match{Variables: []config.VariableMatch{{Value: "x"}}}), `.match.variables[0].name: the name is missing`},
		{"no variable value", match(config.Match{Variables: []config.VariableMatch{{Name: "x"}}}), `.match.variables[0]: the condition does not say`},
		{"bad variable regex", match(config.Match{Variables: []config.VariableMatch{{Name: "x", Regex: "["}}}), `.match.variables[0].regex: "[" is no`},
		{"bad variable model", match(config.Match{Variables: []config.VariableMatch{{Name: "x", Value: "1", Model: "xor"}}}), `.match.variables[0].model: unknown model "xor" (known: and, or)`},
		{"bad expression", match(config.Match{DSLExpressions: []config.DSLExpression{{Expression: "reqest.method"}}}), `.match.dsl_expressions[0].expression: line 1`},
		{"bad TLS demand", config.Router{VirtualHosts: []config.VirtualHost{{Domains: []string{"*"}, RequireTLS: "SOME"}}}, `routers[0].virtual_hosts[0].require_tls: unknown value "SOME" (known: NONE, EXTERNAL_ONLY, ALL)`},
		{"redirect status", redirected(config.Redirect{ResponseCode: 200}), `.redirect.response_code: 200 is no status of a redirect`},
		{"redirect path", redirected(config.Redirect{PathRedirect: "x"}), `.redirect.path_redirect: "x" is no path`},
		{"redirect path with a line break", redirected(config.Redirect{PathRedirect: "/x\r\n"}), `.redirect.path_redirect: "/x\r\n" is no path`},
		{"redirect host", redirected(config.Redirect{HostRedirect: "a/b"}), `.redirect.host_redirect: "a/b" is no host`},
		{"redirect scheme", redirected(config.Redirect{SchemeRedirect: "ht tp"}), `.redirect.scheme_redirect: "ht tp" is no scheme`},
		{"prefix rewrite", action(config.RouteAction{ClusterName: "c", PrefixRewrite: "x"}), `.route.prefix_rewrite: "x" is no path`},
		{"prefix rewrite with query", action(config.RouteAction{ClusterName: "c", PrefixRewrite: "/x?y"}), `.route.prefix_rewrite: "/x?y" is no path`},
		{"regex rewrite", action(config.RouteAction{ClusterName: "c", RegexRewrite: pattern("(", "")}), `.route.regex_rewrite.pattern.regex: "(" is no`},
		{"regex rewrite without pattern", action(config.RouteAction{ClusterName: "c", RegexRewrite: pattern("", "x")}), `.route.regex_rewrite.pattern.regex: the pattern is empty`},
		{"substitution", action(config.RouteAction{ClusterName: "c", RegexRewrite: pattern("(a)", `\2`)}), `.route.regex_rewrite.substitution: the pattern has no group "2"`},
		{"substitution, letter behind", action(config.RouteAction{ClusterName: "c", RegexRewrite: pattern("(a)", `$1x`)}), `the pattern has no group "1x" (\1 or ${1} stands`},
		{"host rewrite", action(config.RouteAction{ClusterName: "c", HostRewrite: "a b"}), `.route.host_rewrite: "a b" is no host`},
		{"host header", action(config.RouteAction{ClusterName: "c", AutoHostRewriteHeader: "a b"}), `.route.auto_host_rewrite_header: "a b" is no name`},
		{"cluster header", action(config.RouteAction{ClusterHeader: "a b"}), `.route.cluster_header: "a b" is no name`},
		{"weight", action(divided(1, -1)), `.route.weighted_clusters[1].cluster.weight: must be from 0`},
		{"weights are all zero", action(divided(0, 0)), `.route.weighted_clusters: no cluster has a weight`},
		{"weights too large", action(divided(1<<32, 1<<32-1)), `.route.weighted_clusters: the weights sum up to more`},
		{"weighted without name", action(config.RouteAction{WeightedClusters: make([]config.WeightedCluster, 1)}), `.route.weighted_clusters[0].cluster.name: the name of the cluster is missing`},
		{"retry word", retrying(config.RetryPolicy{RetryOn: []any{"reset", "conect-failure"}}), `.route.retry_policy.retry_on[1]: unknown condition "conect-failure" (did you mean "connect-failure"? known: 5xx, cancelled, connect-failure,`},
		{"retry word in a text", retrying(config.RetryPolicy{RetryOn: "always"}), `.route.retry_policy.retry_on: unknown condition "always"`},
		{"retry number", retrying(config.RetryPolicy{RetryOn: 3}), `.route.retry_policy.retry_on: is neither true or false nor a list: 3`},
		{"retry list of numbers", retrying(config.RetryPolicy{RetryOn: []any{3}}), `.route.retry_policy.retry_on[0]: is no condition: 3`},
		{"retry status", retrying(config.RetryPolicy{RetryOn: true, StatusCodes: []int{500, 5000}}), `.route.retry_policy.status_codes[1]: must be from 100 to 599, is 5000`},
		{"retries", retrying(config.RetryPolicy{RetryOn: true, NumRetries: -1}), `.route.retry_policy.num_retries: must not be negative`},
		{"retry time", retrying(config.RetryPolicy{RetryOn: true, RetryTimeout: -1}), `.route.retry_policy.retry_timeout: must not be negative`},
		{"back-off", retrying(config.RetryPolicy{RetryOn: true, BackOff: &config.RetryBackOff{Base: -1, Max: -1}}), `.route.retry_policy.retry_back_off.max_interval: must not be negative`},
		{"hash of nothing", hashing(config.HashPolicy{}), `.route.hash_policy[0]: does not say what to choose the host by`},
		{"hash of two", hashing(config.HashPolicy{Header: byUser.Header, SourceIP: bySource.SourceIP}), `.route.hash_policy[0]: has more than one of`},
		{"hash header", hashing(config.HashPolicy{Header: &config.HashHeader{}}), `.route.hash_policy[0].header.key: "" is no name`},
		{"hash cookie", hashing(config.HashPolicy{Cookie: &config.HashCookie{Name: "a=b"}}), `.route.hash_policy[0].cookie.name: "a=b" is no name`},
		{"hash cookie path", hashing(config.HashPolicy{Cookie: &config.HashCookie{Name: "a", Path: "/;x"}}), `.route.hash_policy[0].cookie.path: "/;x" is no path`},
		{"hash cookie time", hashing(config.HashPolicy{Cookie: &config.HashCookie{Name: "a", TTL: -1}}), `.route.hash_policy[0].cookie.ttl: must not be negative`},
		{"mirror", action(config.RouteAction{ClusterName: "c", RequestMirrorPolicies: make([]config.MirrorPolicy, 1)}), `.route.request_mirror_policies[0].cluster: the name of the cluster is missing`},
		{"mirror percent", action(config.RouteAction{ClusterName: "c", RequestMirrorPolicies: []config.MirrorPolicy{{Cluster: "s", Percent: &tooMuch}}}), `.route.request_mirror_policies[0].percent: must be from 0 to 100, is 101`},
		{"framing field", changing(config.HeaderChanges{RequestHeadersToAdd: adds("Content-Length=3")}), `routers[0].request_headers_to_add[0].header.key: the field "Content-Length" is written by the core itself`},
		{"framing field of the answer", changing(config.HeaderChanges{ResponseHeadersToAdd: adds("transfer-encoding=x")}), `routers[0].response_headers_to_add[0].header.key: the field`},
		{"connection field removed", changing(config.HeaderChanges{RequestHeadersToRemove: []string{"Connection"}}), `routers[0].request_headers_to_remove[0]: the field`},
		{"host removed", changing(config.HeaderChanges{RequestHeadersToRemove: []string{"Host"}}), `routers[0].request_headers_to_remove[0]: a request cannot do without a host`},
		{"no host", changing(config.HeaderChanges{RequestHeadersToAdd: adds("host=a/b")}), `routers[0].request_headers_to_add[0].header.value: "a/b" is no host`},
		{"pseudo field", changing(config.HeaderChanges{ResponseHeadersToAdd: adds(":status=200")}), `.header.key: ":status" is no name`},
		{"field name", changing(config.HeaderChanges{RequestHeadersToAdd: adds("a b=1")}), `.header.key: "a b" is no name`},
		{"line break in a field", changing(config.HeaderChanges{RequestHeadersToAdd: adds("a=1\nb: 2")}), `routers[0].request_headers_to_add[0].header.value: `},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, _, err := New(c.cfg, Options{Backends: &echo{}}, "routers[0]")
			if err == nil || !strings.Contains(err.Error(), c.want) || table != nil {
				t.Errorf("error %v, want one with %s", err, c.want)
			}
		})
	}
}

func TestNewTellsAllProblems(t *testing.T) {
	cfg := hosts("a", "a")
	cfg.Name = ""
	cfg.VirtualHosts[0].Routes[0].Match.Regex = "("
	cfg.VirtualHosts[1].Routes = append(cfg.VirtualHosts[1].Routes, config.Route{})
	_, _, err := New(cfg, Options{Backends: &echo{}}, "routers[0]")
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range []string{
		"routers[0].virtual_hosts[0].routers[0].match.regex", "routers[0].virtual_hosts[1].domains[0]",
		"routers[0].virtual_hosts[1].routers[1]: the route does not say",
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("problems %q, want number %d to begin with %s", lines, i, want)
		}
	}
}

// What works, but hardly as meant, is told.
func TestNewWarns(t *testing.T) {
	half := config.RouteAction{ClusterName: "c"}
	for _, c := range []struct {
		name string
		edit func(*config.Route)
		want string
	}{
		{"nothing", func(*config.Route) {}, ""},
		{"two kinds of path", func(r *config.Route) { r.Match = config.Match{Prefix: "/", Regex: "x"} }, `.match: has more than one of prefix, path and regex`},
		{"late variable", func(r *config.Route) {
			r.Match.Variables = []config.VariableMatch{{Name: "upstream_host", Value: "x"}}
		}, `.match.variables[0].name: the variable "upstream_host" has no value`},
		{"late cluster variable", func(r *config.Route) { r.Route.ClusterVariable = "response_code" }, `.route.cluster_variable: the variable "response_code" is of the finished`},
		{"two ways to a cluster", func(r *config.Route) { r.Route.WeightedClusters = divided(1).WeightedClusters }, `.route.weighted_clusters: there are several ways`},
		{"prefix rewrite of nothing", func(r *config.Route) { r.Route.PrefixRewrite = "/x" }, `.route.prefix_rewrite: nothing is replaced`},
		{"two rewrites", func(r *config.Route) {
			r.Match.Prefix, r.Route.PrefixRewrite, r.Route.RegexRewrite = "/", "/x", pattern("a", "b")
		}, `.route.regex_rewrite: prefix_rewrite is there, too, and counts`},
		{"two hosts", func(r *config.Route) { r.Route.HostRewrite, r.Route.AutoHostRewrite = "x", true }, `.route.host_rewrite: there are several ways`},
		{"two other hosts", func(r *config.Route) { r.Route.AutoHostRewriteHeader, r.Route.AutoHostRewrite = "x", true }, `.route.auto_host_rewrite_header: there are several ways`},
		{"redirect to itself", func(r *config.Route) { r.Route, r.Redirect = nil, &config.Redirect{} }, `.redirect: sends the caller to where it came from`},
		{"retries without conditions", func(r *config.Route) { r.Route.RetryPolicy = &config.RetryPolicy{NumRetries: 2} }, `.route.retry_policy.retry_on: is not given`},
		{"statuses without the condition", func(r *config.Route) {
			r.Route.RetryPolicy = &config.RetryPolicy{RetryOn: "reset", StatusCodes: []int{500}}
		}, `.route.retry_policy.status_codes: has no effect`},
		{"void try timeout", func(r *config.Route) {
			r.Route.RetryPolicy = &config.RetryPolicy{RetryOn: true, RetryTimeout: time.Minute}
		}, `.route.retry_policy.retry_timeout: has no effect, as the whole exchange has no more than 1m0s`},
		{"back-off", func(r *config.Route) {
			r.Route.RetryPolicy = &config.RetryPolicy{RetryOn: true, BackOff: &config.RetryBackOff{Base: 2, Max: 1}}
		}, `.route.retry_policy.retry_back_off.max_interval: is below base_interval`},
		{"hash policy that is never reached", func(r *config.Route) {
			r.Route.HashPolicy = []config.HashPolicy{{Cookie: &config.HashCookie{Name: "a"}}, byUser}
		}, `.route.hash_policy[1]: is never used`},
		{"late variable in a field", func(r *config.Route) { r.RequestHeadersToAdd = adds("a=%upstream_host%") }, `.request_headers_to_add[0].header.value: the variable "upstream_host" is of the host`},
		{"added and removed", func(r *config.Route) {
			r.RequestHeadersToAdd, r.RequestHeadersToRemove = adds("a=1"), []string{"A"}
		}, `.request_headers_to_remove[0]: "A" is added at the same place`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := half
			r := config.Route{Route: &a}
			c.edit(&r)
			table, warnings, err := New(routes(r), Options{}, "routers[0]")
			if err != nil || table == nil {
				t.Fatal(err)
			}
			if c.want == "" && len(warnings) > 0 || c.want != "" && (len(warnings) != 1 || !strings.HasPrefix(warnings[0].String(), "routers[0].virtual_hosts[0].routers[0]"+c.want)) {
				t.Errorf("warnings %v, want one of %s", warnings, c.want)
			}
		})
	}
}

// Whatever stands in a Host header or a domain is taken in without harm, and a
// domain that is accepted takes the requests for just that host.
func FuzzAuthority(f *testing.F) {
	for _, s := range []string{"a", "a:1", "*", "*.a:1", "[::1]:80", "[::1", "::1", ":", "[]:", "a:b:c", "*:*", "[fe80::1%25eth0]", "É:É", "[a]b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cfg := routes(config.Route{Route: to("c")})
		cfg.VirtualHosts[0].Domains = []string{s}
		table, _, err := New(cfg, Options{Backends: &echo{}}, "routers[0]")
		if err != nil {
			return
		}
		_ = table.domains.find("shop.example:80")
		host, port := splitAuthority(s)
		if !strings.HasPrefix(host, "*") && port != anyPort && table.domains.find(s) == nil {
			t.Errorf("domain %q does not take its own requests", s)
		}
		if strings.HasPrefix(host, "*") && port != anyPort && table.domains.find("x"+strings.Replace(s, "*", "x", 1)) == nil &&
			!strings.HasPrefix(s, "[") && strings.Count(s, ":") < 2 {
			t.Errorf("domain %q does not take a host that ends so", s)
		}
	})
}
