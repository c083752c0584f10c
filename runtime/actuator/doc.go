// Package actuator tells the platform how the process is doing: health
// (liveness, readiness) and info, over HTTP paths below /actuator/ that
// Layotto's users know.
//
// Health holds the states and is told of changes; Filter answers requests from
// it, as a stream filter on a listener of the proxy core, so that the actuator
// is served by the same code as any traffic. It shows no configuration values.
package actuator
