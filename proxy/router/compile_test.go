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
