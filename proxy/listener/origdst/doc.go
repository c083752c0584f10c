// Package origdst finds out where a captured connection wanted to go, and which
// listener is to have it. A firewall rule captures connections in one of two ways:
//
//   - redirect (the target REDIRECT of iptables, redir of nft) rewrites the
//     destination to a listener of ours; connection tracking remembers the
//     original one, and Redirected asks for it.
//   - tproxy (the target TPROXY) rewrites nothing: the connection's local
//     address is the original destination, and Transparent returns it. The
//     listening socket must be transparent, which Config.Prepare sees to.
//
// Both work for IPv4, for IPv6, and for IPv4 that arrives at a socket for both.
// Where a firewall cannot capture (anything but Linux), the configuration is
// accepted, and listening fails with an error that says so.
//
// A destination is the caller's word: it may be anything, and is no proof of
// identity. The package never sets firewall rules or routes, opens no socket,
// reads and writes no byte of a connection, and hands no connection over; the
// listener does that.
package origdst
