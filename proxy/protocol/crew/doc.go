// Package crew is for servers that answer each request in a goroutine of its own:
// a Crew uses goroutines again, as the stack of one that has answered a request is as
// large as the next one needs. It limits nothing, keeps nobody waiting, and knows
// nothing of requests.
package crew
