// Package dns finds the addresses of hosts that are named in DNS: for clusters
// of type STRICT_DNS, whose hosts are all that their names stand for, and for
// connections to hosts that have a name in place of an address.
//
//   - A Resolver asks the name servers of a cluster, or those of resolv.conf,
//     over UDP and TCP, as resolv.conf(5) has it (search list, ndots, servers
//     in turn, attempts, timeout).
//   - A Watcher keeps the list of a cluster's hosts: it looks their names up
//     again and again, and tells of changes.
//   - A Dialer connects to a name, which it looks up and remembers for a while.
//
// What is not asked for over the network: IP addresses; names that the hosts
// file (/etc/hosts) has, which goes before DNS whatever servers are configured;
// and localhost with all below it, which is 127.0.0.1 and ::1 by RFC 6761.
//
// A name server, and whoever can send packets in its name, is not trusted to
// send well-formed messages: an answer counts only if it comes from the server's
// address to the port of the question, and repeats its id and question; what
// does not is passed over, a limited number of times. Ports and ids are random
// and new for each question. Nothing larger than one DNS message (64 KiB) is
// kept. Answers are not validated with DNSSEC.
//
// The package keeps no state beyond its values, connects to no host but the name
// servers (and, a Dialer, where it is told to), and never changes a cluster.
package dns
