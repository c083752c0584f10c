package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/consul"
	"github.com/ottavo-runtime/ottavo/components/state/embedded"
	"github.com/ottavo-runtime/ottavo/components/state/etcd"
	"github.com/ottavo-runtime/ottavo/components/state/memcached"
	"github.com/ottavo-runtime/ottavo/components/state/memory"
	"github.com/ottavo-runtime/ottavo/components/state/mongodb"
	"github.com/ottavo-runtime/ottavo/components/state/mysql"
	"github.com/ottavo-runtime/ottavo/components/state/postgresql"
	"github.com/ottavo-runtime/ottavo/components/state/redis"
	"github.com/ottavo-runtime/ottavo/components/state/zookeeper"
)

// states are the state stores.
func states() []components.Row[state.Store] {
	return append([]components.Row[state.Store]{
		{Type: memory.Type, Doc: "in this process; gone when it ends", Metadata: &memory.Metadata{}, New: memory.New},
		{Type: embedded.Type, Doc: "a file of this process; survives a crash", Metadata: &embedded.Metadata{}, New: embedded.New},
		{Type: redis.Type, Doc: "Redis 5 and later, one node, sentinel or cluster; the layout of Dapr and Layotto", Metadata: &redis.Metadata{}, New: redis.New},
		{Type: "postgresql", Doc: "PostgreSQL, the first layout of Dapr, which is Layotto's", New: postgresql.V1()},
		{Type: "postgres", Doc: "another name of `postgresql`", New: postgresql.V1()},
		{Type: "postgresql/v2", Doc: "PostgreSQL, the second layout of Dapr: faster; does not read the first one's data", New: postgresql.V2()},
		{Type: "mysql", Doc: "MySQL and MariaDB; the layout of Dapr and Layotto", New: mysql.New()},
		{Type: "etcd", Doc: "etcd; the first layout of Dapr", Metadata: &etcd.Metadata{}, New: etcd.V1},
		{Type: "etcd/v2", Doc: "etcd; the second layout of Dapr, which holds the end of an item", Metadata: &etcd.Metadata{}, New: etcd.V2},
		{Type: "zookeeper", Doc: "ZooKeeper; no times to live", Metadata: &zookeeper.Metadata{}, New: zookeeper.New},
		{Type: "mongodb", Doc: "MongoDB; with transactions when the settings name a replica set", New: mongodb.New()},
		{Type: "memcached", Doc: "memcached; no etags, no transactions", New: memcached.New()},
		{Type: "consul", Doc: "Consul's key-value store; no etags, no times to live, no transactions", New: consul.New()},
	}, statesOfFull()...)
}
