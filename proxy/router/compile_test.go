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
		{"domain twice", hosts("a b", "B"), `router main: virtual_hosts[1].domains[0]: "B" is there already, in virtual host a b`},
		{"domain twice with port", hosts("a:1 A:1"), `router main: virtual_hosts[0].domains[1]: "A:1" is there already, in virtual host a:1 A:1`},
		{"ending twice", hosts("*.a", "*.A"), `"*.A" is there already, in virtual host *.a`},
		{"address twice", hosts("[::1]", "[0::1]"), `"[0::1]" is there already, in virtual host [::1]`},
		{"all twice", hosts("*", "*:*"), `"*:*" is there already, in virtual host *`},
		{"star inside", hosts("a.*"), `"a.*" has a "*" that is not at its beginning`},
		{"star twice", hosts("*.*.a"), `"*.*.a" has a "*" that is not at its beginning`},
		{"only a port", hosts(":80"), `":80" names no host; write "*:80" for all hosts with this port`},
		{
			"empty domain",
			config.Router{Name: "main", VirtualHosts: []config.VirtualHost{{Domains: []string{""}}}},
			`router main: virtual_hosts[0].domains[0]: "" names no host`,
		},
		{"no domains", hosts(""), `router main: virtual_hosts[0].domains: is empty, so the routes would never be used; name the hosts, or "*" for all`},
		{"bad regex", match(config.Match{Regex: "/("}), `router main: virtual_hosts[0].routers[0].match.regex: "/(" is not a regular expression (RE2): `},
		{"regex that closes our group", match(config.Match{Regex: "/a)(b"}), `.match.regex: "/a)(b" is not a regular expression`},
		{"bad header regex", header(config.HeaderMatch{Name: "id", Value: "[", Regex: true}), `.routers[0].match.headers[0].value: "[" is not`},
		{"no header name", header(config.HeaderMatch{Value: "x"}), `.routers[0].match.headers[0].name: is empty`},
		{"no action", routes(config.Route{}), `.routers[0]: has neither route nor direct_response`},
		{
			"two actions", routes(config.Route{Route: to("c"), DirectResponse: &config.DirectResponse{Status: 200}}),
			`.routers[0]: has both route and direct_response`,
		},
		{"no cluster", routes(config.Route{Route: to("")}), `.routers[0].route.cluster_name: is empty`},
		{
			"negative timeout", routes(config.Route{Route: &config.RouteAction{ClusterName: "c", Timeout: -time.Second}}),
			`.routers[0].route.timeout: is -1s, want a time above 0, or 0 for the default of 1m0s`,
		},
		{
			"informational status", routes(config.Route{DirectResponse: &config.DirectResponse{Status: 100}}),
			`.routers[0].direct_response.status: is 100, want 200 to 599`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, err := New(c.cfg, &echo{})
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
	_, err := New(cfg, &echo{})
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range []string{
		"router (unnamed): virtual_hosts[0].routers[0].match.regex", "router (unnamed): virtual_hosts[1].domains[0]",
		"router (unnamed): virtual_hosts[1].routers[1]: has neither",
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
		table, err := New(cfg, &echo{})
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
