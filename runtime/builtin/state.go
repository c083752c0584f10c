package builtin

import (
	contribconsul "github.com/dapr/components-contrib/state/hashicorp/consul"
	contribmemcached "github.com/dapr/components-contrib/state/memcached"
	contribmongodb "github.com/dapr/components-contrib/state/mongodb"
	contribmysql "github.com/dapr/components-contrib/state/mysql"
	contribpostgresql "github.com/dapr/components-contrib/state/postgresql/v1"
	contribpostgresqlv2 "github.com/dapr/components-contrib/state/postgresql/v2"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
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
		{Type: "postgresql", Doc: "PostgreSQL, the first layout of Dapr, which is Layotto's", Keys: contrib.StateKeys(contribpostgresql.NewPostgreSQLStateStore, postgresKeys()...), New: postgresql.V1()},
		{Type: "postgres", Doc: "another name of `postgresql`", Keys: contrib.StateKeys(contribpostgresql.NewPostgreSQLStateStore, postgresKeys()...), New: postgresql.V1()},
		{Type: "postgresql/v2", Doc: "PostgreSQL, the second layout of Dapr: faster; does not read the first one's data", Keys: contrib.StateKeys(contribpostgresqlv2.NewPostgreSQLStateStore, postgresKeys()...), New: postgresql.V2()},
		{Type: "mysql", Doc: "MySQL and MariaDB; the layout of Dapr and Layotto", Keys: contrib.StateKeys(contribmysql.NewMySQLStateStore), New: mysql.New()},
		{Type: "etcd", Doc: "etcd; the first layout of Dapr", Metadata: &etcd.Metadata{}, New: etcd.V1},
		{Type: "etcd/v2", Doc: "etcd; the second layout of Dapr, which holds the end of an item", Metadata: &etcd.Metadata{}, New: etcd.V2},
		{Type: "zookeeper", Doc: "ZooKeeper; no times to live", Metadata: &zookeeper.Metadata{}, New: zookeeper.New},
		{Type: "mongodb", Doc: "MongoDB; with transactions when the settings name a replica set", Keys: contrib.StateKeys(contribmongodb.NewMongoDB), New: mongodb.New()},
		{Type: "memcached", Doc: "memcached; no etags, no transactions", Keys: contrib.StateKeys(contribmemcached.NewMemCacheStateStore), New: memcached.New()},
		{Type: "consul", Doc: "Consul's key-value store; no etags, no times to live, no transactions", Keys: contrib.StateKeys(contribconsul.NewConsulStateStore), New: consul.New()},
	}, statesOfFull()...)
}
