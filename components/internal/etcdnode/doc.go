// Package etcdnode connects locks and sequencers to etcd. It holds the settings,
// under Layotto's names, and puts failures into words. What is stored is not its
// business.
package etcdnode
