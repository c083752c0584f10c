package traffic

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
)

// Tests of subsets: rows H15 and H16.

// subsets is a cluster with hosts in two zones and versions; routes by path
// demand labels.
func subsets(more string) string {
	return `
clusters:
  - name: a
    lb_subset_config:
      subset_selectors: [[version], [zone, version]]
` + more + `
    hosts:
      - {address: "10.0.0.1:80", metadata: {filter_metadata: {mosn.lb: {version: "1", zone: east}}}}
      - {address: "10.0.0.2:80", metadata: {filter_metadata: {mosn.lb: {version: "1", zone: west}}}}
      - {address: "10.0.0.3:80", metadata: {filter_metadata: {mosn.lb: {version: "2", zone: west}}}}
      - {address: "10.0.0.4:80"}
routers:
  - router_config_name: main
    virtual_hosts:
      - domains: ["*"]
        routers:
          - {match: {prefix: /none}, route: {cluster_name: a}}
          - {match: {prefix: /v1}, route: {cluster_name: a, metadata_match: {filter_metadata: {mosn.lb: {version: "1"}}}}}
          - {match: {prefix: /v2west}, route: {cluster_name: a, metadata_match: {filter_metadata: {mosn.lb: {version: "2", zone: west}}}}}
          - {match: {prefix: /v3}, route: {cluster_name: a, metadata_match: {filter_metadata: {mosn.lb: {version: "3"}}}}}
          - {match: {prefix: /zone}, route: {cluster_name: a, metadata_match: {filter_metadata: {mosn.lb: {zone: east}}}}}
`
}

// TestH15Subsets: hosts with the labels that the route demands, each with its
// share; what becomes of a demand that no host meets is for the policy to say.
func TestH15Subsets(t *testing.T) {
	all := map[string]int{"200 1": 3, "200 2": 3, "200 3": 3, "200 4": 3}
	for _, c := range []struct {
		more string
		v3   map[string]int // of 12 requests for labels that no host has
	}{
		{"      fall_back_policy: 0", nil},
		{"      fall_back_policy: 1", all},
		{"      fall_back_policy: 2\n      default_subset: {zone: west}", map[string]int{"200 2": 6, "200 3": 6}},
	} {
		r := start(t, subsets(c.more))
		r.numbered(4)
		for url, want := range map[string]map[string]int{
			"/none": all, "/v1": {"200 1": 6, "200 2": 6}, "/v2west": {"200 3": 12}, "/v3": c.v3, "/zone": c.v3,
		} {
			got := r.shares(12, url)
			if want == nil {
				for text, n := range got {
					if !strings.HasPrefix(text, "503 ") || n != 12 {
						t.Errorf("%s, GET %s: %v, want 503", c.more, url, got)
					}
				}
				continue
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s, GET %s: %v, want %v", c.more, url, got, want)
			}
		}
	}
}

// TestH15InnerBalancer: each subset has the cluster's own balancer, weights and all.
func TestH15InnerBalancer(t *testing.T) {
	text := strings.Replace(subsets(""), "name: a\n", "name: a\n    lb_type: LB_WEIGHTED_ROUNDROBIN\n", 1)
	text = strings.Replace(text, `{address: "10.0.0.1:80",`, `{address: "10.0.0.1:80", weight: 3,`, 1)
	r := start(t, text)
	r.numbered(4)
	if got := r.shares(40, "/v1"); got["200 1"] != 30 || got["200 2"] != 10 {
		t.Errorf("%v, want 30 and 10", got)
	}
}

// TestH15DeadSubset: where all hosts of a subset are down, the policy decides, too.
func TestH15DeadSubset(t *testing.T) {
	for policy, want := range map[int]string{0: "503", 1: "200"} {
		r := start(t, strings.Replace(subsets(fmt.Sprintf("      fall_back_policy: %d", policy)), "name: a\n", "name: a\n    health_check: {interval: 10ms, timeout: 10s, initial_delay: 1ms}\n", 1))
		r.numbered(4)
		r.want("200 3", "/v2west")
		r.hosts["3"].kill()
		eventually(t, "host 3 is out", func() bool { return r.health("10.0.0.3:80") != "healthy" })
		if a := r.get("/v2west"); !strings.HasPrefix(a.String(), want) {
			t.Errorf("policy %d: %s, want %s", policy, a, want)
		}
	}
}

// health is what the core thinks of a host.
func (r *rig) health(address string) string { return healthOf(r.Server, address) }

func healthOf(s *proxytest.Server, address string) string {
	for _, c := range s.Clusters() {
		for _, h := range c.Hosts {
			if h.Address == address {
				return h.Health
			}
		}
	}
	return "not there"
}

// eventually waits until ok holds, for a minute at most. It is for what real
// sockets and real time do; in a bubble, nobody needs it.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("not in a minute: %s", what)
		}
	}
}

// TestH16ManySubsets: 8,000 hosts with 15 selectors are taken in while requests
// are under way, and each demand finds its hosts. (How fast that is, is measured
// in proxy/cluster/subset.)
func TestH16ManySubsets(t *testing.T) {
	var selectors []string
	for i := range 15 {
		selectors = append(selectors, fmt.Sprintf("[zone, l%d]", i))
	}
	r := start(t, `
clusters:
  - name: a
    type: EDS
    lb_subset_config: {subset_selectors: [`+strings.Join(selectors, ", ")+`]}
stream_filters:
  - type: header_to_metadata
    config: {request_rules: [{header: x-zone, on_header_present: {key: zone}}, {header: x-l7, on_header_present: {key: l7}}]}
`)
	var hosts []config.Host
	for i := range 8000 {
		labels := map[string]string{"zone": fmt.Sprintf("z%d", i%3)}
		for l := range 15 {
			labels[fmt.Sprintf("l%d", l)] = fmt.Sprintf("v%d", i/3%(l+20))
		}
		hosts = append(hosts, config.Host{
			Address: fmt.Sprintf("10.0.%d.%d:80", i/250, i%250), Metadata: &config.Metadata{Filter: config.FilterMetadata{LB: labels}},
		})
	}
	begin := time.Now()
	must(t, r.SetHosts("a", hosts))
	if d := time.Since(begin); d > time.Minute { // comparing each with all would take hours
		t.Errorf("8,000 hosts took %v", d)
	}
	var want []string
	for i, h := range hosts {
		if i%3 == 1 && i/3%27 == 5 {
			want = append(want, h.Address)
			if len(want) <= 200 {
				r.host(h.Address, h.Address)
			}
		}
	}
	got := r.shares(len(want), "/", "x-zone: z1", "x-l7: v5")
	for _, address := range want {
		if got["200 "+address] != 1 {
			t.Errorf("host %s got %d requests, want 1", address, got["200 "+address])
		}
	}
}
