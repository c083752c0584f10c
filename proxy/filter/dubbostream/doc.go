// Package dubbostream is the stream filter "dubbo_stream": it lets RPC requests be
// routed by tables that are written for HTTP, as Istio makes them. To the router,
// the service that is called is the host, and the path is "/":
//
//	virtual_hosts:
//	  - domains: [com.example.Pay]
//	    routers: [{match: {prefix: /}, route: {cluster_name: pay}}]
//
// Nothing of that is sent to anybody, or recorded: once a route is chosen, the
// request is what it was. Requests of HTTP pass as they are, and without the filter
// routes go by the header field "service" all the same.
//
// The filter also counts the calls of each service and method (filter.Calls).
package dubbostream
