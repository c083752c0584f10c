// Package udp passes datagrams on to the hosts of a cluster, without looking at
// them: the network filter "udp_proxy", with a socket of its own.
//
// Each client has a session: a socket connected to one host, whose answers go
// back to that client, from the address that it wrote to. A session ends when
// nothing passed in either direction for the idle timeout. What cannot be sent
// at once is dropped and counted, as a network would: nobody waits for anybody
// else. A host that refuses is left for another one.
//
// A quiet session holds a socket and a goroutine, and no buffer. The number of
// sessions is limited; when the limit is reached, new clients are turned away
// and those that have a session keep it, so that a flood from invented
// addresses does not throw out who was there before.
package udp
