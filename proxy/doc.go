// Package proxy is the L4/L7 core: a Server takes a configuration snapshot,
// listens, and carries requests from callers to hosts through protocols,
// filters, routes, clusters and connection pools.
//
// build.go is the whole stack in one place, in the order in which a request
// passes it. The core knows nothing of the runtime's API or components: network
// filters and stream filters that belong to others are handed in as tables.
package proxy
