// Package telemetry writes one record per request, when its exchange is over:
// which listener took it, which route, cluster and host it went to, what came
// back and how long it took. It is the outermost handler of a stack; the layers
// below add facts to stream.Info and report no success themselves.
package telemetry
