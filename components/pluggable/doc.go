// Package pluggable makes components of processes that somebody else runs. Each
// listens on a unix socket in one of a few folders and tells by gRPC reflection what
// it serves: Discover asks them, once, and Rows says which types of component that
// makes, of which kind. The services are Layotto's (hello), Dapr's (state stores,
// brokers, bindings, secret stores), and for all other kinds those in
// spec/proto/pluggable/v1.
//
// A component has a connection of its own to its process. It initialises the process
// on every connection, before anything else, so that one which was restarted goes on
// by itself; subscriptions are made anew. What comes from the socket is not trusted:
// every wait and every message is bounded, and errors are shown without the secrets
// of the component's settings.
//
// It starts no process and never writes into the folders.
package pluggable
