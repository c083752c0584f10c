// Package grpcapi is the gRPC server that the APIs are served by. It is made
// from a list of services (layotto.New and its like; a Service is one API
// flavour) and adds what every one of them needs:
//
//   - listeners: TCP and unix sockets (Serve), and connections that
//     somebody else accepted (ServeConn);
//   - server reflection, v1 and v1alpha, and grpc.health.v1;
//   - recovery from panics: the caller sees INTERNAL and a request id, the log
//     has the id and the stack, the process lives;
//   - limits: sizes of messages and headers, calls per connection, time to
//     begin;
//   - a graceful end: Shutdown lets every accepted call finish, until the time
//     given for it is over;
//   - one place to watch calls from (Options.Observe).
//
// It knows no component, no capability and no message of any API, and never
// imports the proxy. It is meant for hostile clients: whatever the bytes, a
// client can use up no more than its own calls and connections.
package grpcapi
