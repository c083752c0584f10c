package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/embedded"
	"github.com/ottavo-runtime/ottavo/components/sequencer/etcd"
	"github.com/ottavo-runtime/ottavo/components/sequencer/memory"
	"github.com/ottavo-runtime/ottavo/components/sequencer/mongo"
	"github.com/ottavo-runtime/ottavo/components/sequencer/redis"
	"github.com/ottavo-runtime/ottavo/components/sequencer/snowflake"
	"github.com/ottavo-runtime/ottavo/components/sequencer/sql"
	"github.com/ottavo-runtime/ottavo/components/sequencer/zookeeper"
)

// sequencers are the makers of ids.
func sequencers() []components.Row[sequencer.Sequencer] {
	return []components.Row[sequencer.Sequencer]{
		{Type: memory.Type, Doc: "in this process; begins anew when it ends", Metadata: preset[memory.Metadata](), New: memory.New},
		{Type: embedded.Type, Doc: "a file of this process; survives a crash", Metadata: preset[embedded.Metadata](), New: embedded.New},
		{Type: redis.Type, Doc: "Redis, one server or behind sentinels; Layotto's layout", Metadata: preset[redis.Metadata](), New: redis.New},
		{Type: etcd.Type, Doc: "etcd 3; what a majority has counted is not lost; goes on where Layotto stopped", Metadata: preset[etcd.Metadata](), New: etcd.New},
		{Type: zookeeper.Type, Doc: "ZooKeeper; numbers of 64 bits that outlive sessions", Metadata: preset[zookeeper.Metadata](), New: zookeeper.New},
		{Type: mongo.Type, Doc: "MongoDB; Layotto's layout", Metadata: preset[mongo.Metadata](), New: mongo.New},
		{Type: sql.MySQLType, Doc: "a table in MySQL or MariaDB", Metadata: preset[sql.MySQLMetadata](), New: sql.NewMySQL},
		{Type: sql.PostgresType, Doc: "a table in PostgreSQL", Metadata: preset[sql.PostgresMetadata](), New: sql.NewPostgres},
		{Type: snowflake.Type, Doc: "time, worker and count, made without asking anybody; workers' numbers from MySQL or MariaDB", Metadata: preset[snowflake.Metadata](), New: snowflake.New},
	}
}
