package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/components/lock/consul"
	"github.com/ottavo-runtime/ottavo/components/lock/etcd"
	"github.com/ottavo-runtime/ottavo/components/lock/memory"
	"github.com/ottavo-runtime/ottavo/components/lock/mongo"
	"github.com/ottavo-runtime/ottavo/components/lock/redis"
	"github.com/ottavo-runtime/ottavo/components/lock/rediscluster"
	"github.com/ottavo-runtime/ottavo/components/lock/zookeeper"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// locks are the lock services.
func locks() []components.Row[lock.Locker] {
	return []components.Row[lock.Locker]{
		{Type: memory.Type, Doc: "in this process; gone when it ends", Metadata: &memory.Metadata{}, New: memory.New},
		{Type: redis.Type, Doc: "Redis 5 and later, one server or behind sentinels; the layout of Dapr and Layotto", Metadata: preset[redis.Metadata](), New: redis.New},
		{Type: etcd.Type, Doc: "etcd 3; what a majority has granted is not lost; Layotto's layout", Metadata: preset[etcd.Metadata](), New: etcd.New},
		{Type: zookeeper.Type, Doc: "ZooKeeper; locks outlive sessions; what a majority has granted is not lost", Metadata: preset[zookeeper.Metadata](), New: zookeeper.New},
		{Type: mongo.Type, Doc: "MongoDB, with or without a replica set", Metadata: preset[mongo.Metadata](), New: mongo.New},
		{Type: rediscluster.Type, Doc: "several independent Redis servers, of which a majority must agree (Redlock)", Metadata: preset[rediscluster.Metadata](), New: rediscluster.New},
		{Type: consul.Type, Doc: "Consul, with a session for each lock that is held", Metadata: preset[consul.Metadata](), New: consul.New},
	}
}

// preset returns settings that hold what their tags say of defaults.
func preset[T any]() *T {
	settings := new(T)
	decode.Defaults(settings)
	return settings
}
