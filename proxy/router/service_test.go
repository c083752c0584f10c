package router

import (
	"fmt"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// services returns the index of a router with a route for each of n services,
// and one for all others behind them, and a request to the last of the services
// that looks as one by Bolt does.
func services(t testing.TB, n int) (*index, *stream.Request) {
	t.Helper()
	list := make([]config.Route, 0, n+1)
	for i := range n {
		list = append(list, serviceRoute(fmt.Sprintf("com.example.service.Facade%d:1.0", i)))
	}
	table := compile(t, routes(append(list, serviceRoute(".*"))...))
	req := &stream.Request{Protocol: "bolt", Method: "charge"}
	for _, f := range [][2]string{
		{"sofa_head_target_app", "pay"},
		{"sofa_head_method_name", "charge"},
		{"sofa_head_target_service", fmt.Sprintf("com.example.service.Facade%d:1.0", n-1)},
		{"rpc_trace_context.sofaTraceId", "0a0fe8f5169209123456710011234"},
		{"rpc_trace_context.sofaRpcId", "0.1"},
		{"service", fmt.Sprintf("com.example.service.Facade%d:1.0", n-1)},
	} {
		req.Header.Add(f[0], f[1])
	}
	return table.domains.find("").routes, req
}

func serviceRoute(value string) config.Route {
	return config.Route{
		Name: value, Match: config.Match{Headers: []config.HeaderMatch{{Name: "service", Value: value}}},
		Route: to("c"),
	}
}

// Of a thousand services, the last is found like the first: one route is looked
// at besides the one for all, and nothing is allocated.
func TestServicesAreIndexed(t *testing.T) {
	for _, n := range []int{1, 10, 1000} {
		x, req := services(t, n)
		want := fmt.Sprintf("com.example.service.Facade%d:1.0", n-1)
		if r := x.match(req); r == nil || r.name != want {
			t.Fatalf("%d services: %+v, want %s", n, r, want)
		}
		if routes := x.fields.get("service").values[want]; len(routes) != 1 || len(x.rest) != 1 {
			t.Errorf("%d services: %d routes are looked at for the service, %d always", n, len(routes), len(x.rest))
		}
		if allocs := testing.AllocsPerRun(100, func() { x.match(req) }); allocs > 0 {
			t.Errorf("%d services: %.1f allocations", n, allocs)
		}
		req.Header.Set("service", "com.example.service.Unknown:1.0")
		if r := x.match(req); r == nil || r.name != ".*" {
			t.Errorf("%d services: an unknown one has route %+v", n, r)
		}
	}
}

// BenchmarkService finds the last of 1, 1,000 and 100,000 services.
func BenchmarkService(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x, req := services(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if x.match(req) == nil {
					b.Fatal("no route")
				}
			}
		})
	}
}
