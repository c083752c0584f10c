package traffic

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// Tests of changes at run time through the API: rows G22, H5 and H21.

// TestG22RoutesByAPI: routes and routers come and go while a connection is open.
func TestG22RoutesByAPI(t *testing.T) {
	r := start(t, `
clusters: [{name: a, hosts: [{address: "10.0.0.1:80"}]}]
routers: [{router_config_name: main, virtual_hosts: [{domains: [shop.example], routers: [{match: {path: /x}, route: {cluster_name: a}}]}]}]
`)
	r.numbered(1)
	const url = "http://shop.example"
	ctx := t.Context()
	if a := r.get(url + "/y"); a.status != 404 {
		t.Errorf("no route yet: %s", a)
	}
	must(t, r.AddRoute(ctx, "main", "shop.example", config.Route{Match: config.Match{Path: "/y"}, Route: &config.RouteAction{ClusterName: "a"}}))
	r.want("200 1", url+"/y")
	r.want("200 1", url+"/x")
	must(t, r.RemoveRoutes(ctx, "main", "Shop.Example"))
	if a := r.get(url + "/x"); a.status != 404 {
		t.Errorf("all routes are gone: %s", a)
	}
	must(t, r.SetRouter(ctx, config.Router{Name: "main", VirtualHosts: []config.VirtualHost{{Domains: []string{"*"}, Routes: []config.Route{
		{DirectResponse: &config.DirectResponse{Status: 200, Body: "new table"}},
	}}}}))
	r.want("200 new table", url+"/x")
	for what, err := range map[string]error{
		`there is no router "mian"; did you mean "main"?`: r.AddRoute(ctx, "mian", "*", config.Route{}),
		`there is no domain "other.example"`:              r.AddRoute(ctx, "main", "other.example", config.Route{}),
		`status`:                                          r.AddRoute(ctx, "main", "*", config.Route{DirectResponse: &config.DirectResponse{Status: 9}}),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %s", err, what)
		}
	}
	r.want("200 new table", url+"/x") // what is wrong changes nothing
	if n := r.Status(t, "in").Accepted; n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestH5ClustersByAPI: clusters and hosts come and go.
func TestH5ClustersByAPI(t *testing.T) {
	r := start(t, balanced(1, "lb_type: LB_ROUNDROBIN")+`
routers: [{router_config_name: main, virtual_hosts: [{domains: ["*"], routers: [{route: {cluster_header: x-cluster, cluster_name: a}}]}]}]
`)
	r.numbered(3)
	ctx := t.Context()
	hosts := func(numbers ...int) (list []config.Host) {
		for _, n := range numbers {
			list = append(list, config.Host{Address: fmt.Sprintf("10.0.0.%d:80", n)})
		}
		return list
	}
	must(t, r.AppendHosts("a", hosts(2)))
	if got := r.shares(4, "/"); got["200 1"] != 2 || got["200 2"] != 2 {
		t.Errorf("one more: %v", got)
	}
	must(t, r.RemoveHosts("a", []string{"10.0.0.1:80", "10.9.9.9:80"}))
	if got := r.shares(4, "/"); got["200 2"] != 4 {
		t.Errorf("one less: %v", got)
	}
	must(t, r.SetHosts("a", hosts(3, 1)))
	if got := r.shares(4, "/"); got["200 1"] != 2 || got["200 3"] != 2 {
		t.Errorf("others: %v", got)
	}
	must(t, r.SetCluster(ctx, config.Cluster{Name: "b", Hosts: hosts(2)}))
	r.want("200 2", "/", "x-cluster: b")
	must(t, r.SetCluster(ctx, config.Cluster{Name: "b", Hosts: hosts(3)}))
	r.want("200 3", "/", "x-cluster: b")
	must(t, r.RemoveCluster(ctx, "b"))
	if a := r.get("/", "x-cluster: b"); a.status != 404 {
		t.Errorf("the cluster is gone: %s", a)
	}
	for what, err := range map[string]error{
		`there is no cluster "c"`:       r.SetHosts("c", hosts(1)),
		`hosts[0].address`:              r.AppendHosts("a", []config.Host{{Address: "nowhere"}}),
		`unknown load balancer "LB_NO"`: r.SetCluster(ctx, config.Cluster{Name: "a", LBType: "LB_NO"}),
		`there is no cluster "bb"`:      r.RemoveCluster(ctx, "bb"),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %s", err, what)
		}
	}
	if got := r.shares(4, "/"); got["200 1"] != 2 || got["200 3"] != 2 {
		t.Errorf("what is wrong changes nothing: %v", got)
	}
}

// TestH5HostsUnderLoad: a hundred hosts come and go under load, and no call fails.
func TestH5HostsUnderLoad(t *testing.T) {
	r := start(t, balanced(1, "lb_type: LB_LEAST_REQUEST"))
	r.numbered(101)
	var list []config.Host
	for i := range 100 {
		list = append(list, config.Host{Address: fmt.Sprintf("10.0.0.%d:80", i+2)})
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	hosts := make(map[string]int)
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a := r.get("/")
				if a.status != 200 {
					t.Errorf("%s", a)
				}
				mu.Lock()
				hosts[a.body]++
				mu.Unlock()
			}
		})
	}
	used := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(hosts)
	}
	// A busy machine may let callers have their turn late.
	for begin, rounds := time.Now(), 0; rounds < 5 || used() < 20 && time.Since(begin) < time.Minute; rounds++ {
		for i := range list {
			must(t, r.AppendHosts("a", list[i:i+1]))
		}
		for i := range list {
			must(t, r.RemoveHosts("a", []string{list[i].Address}))
		}
	}
	close(stop)
	wg.Wait()
	if len(hosts) < 20 {
		t.Errorf("only %d hosts got requests", len(hosts))
	}
	if n := len(r.Clusters()[0].Hosts); n != 1 {
		t.Errorf("%d hosts are left", n)
	}
}

// TestH5HealthStays: what is known of a host that stays is kept, through new
// hosts and through a new configuration.
func TestH5HealthStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const checks = "health_check: {interval: 60s, initial_delay: 1s}"
		r := start(t, balanced(2, checks))
		r.numbered(3)
		r.hosts["2"].kill()
		time.Sleep(2 * time.Second)
		sick := r.health("10.0.0.2:80")
		if sick == "healthy" {
			t.Fatal("host 2 is killed, and healthy")
		}
		must(t, r.AppendHosts("a", []config.Host{{Address: "10.0.0.3:80"}, {Address: "10.0.0.2:80", Weight: 5}}))
		if got := r.health("10.0.0.2:80"); got != sick {
			t.Errorf("after a change of hosts: %s", got)
		}
		r.apply(balanced(3, "lb_type: LB_RANDOM\n"+checks))
		if got := r.health("10.0.0.2:80"); got != sick {
			t.Errorf("after a new configuration: %s", got)
		}
		if got := r.shares(20, "/"); got["200 1"]+got["200 3"] != 20 {
			t.Errorf("%v", got)
		}
		if n := r.Network.Dials("10.0.0.1:80"); n > 3 { // the checks', and one of requests
			t.Errorf("%d connections to the host that stayed", n)
		}
	})
}
