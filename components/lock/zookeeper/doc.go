// Package zookeeper is the lock store of type `zookeeper`.
//
// A lock is a persistent node that holds the owner and for how long it was taken;
// the count begins with the node's last change, by the clock of ZooKeeper's leader.
// That clock is read from changes that this process makes, and goes on in between
// with our own, which does not jump. So a lock ends when it was asked to, to within
// a round trip. When the leader changes, whoever wants the lock next has its time
// counted anew by the clock of the new leader, which may show another time: it lasts
// longer then, once. The fencing token is the number of ZooKeeper's transaction that
// granted the lock.
//
// One session serves all locks. They outlive it, and the process: whoever made
// them can give them back through another sidecar. Nodes of locks that have expired
// are removed by the sidecar that made them or one that is started later.
//
// Layotto's nodes live as long as a session of Layotto's. They have the same names,
// so that its sidecars and this one respect each other's locks.
package zookeeper
