package builtin

import (
	contribpostgres "github.com/dapr/components-contrib/configuration/postgres"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/configuration/apollo"
	"github.com/ottavo-runtime/ottavo/components/configuration/etcd"
	"github.com/ottavo-runtime/ottavo/components/configuration/file"
	"github.com/ottavo-runtime/ottavo/components/configuration/memory"
	"github.com/ottavo-runtime/ottavo/components/configuration/nacos"
	"github.com/ottavo-runtime/ottavo/components/configuration/redis"
	"github.com/ottavo-runtime/ottavo/components/contrib"
)

// configurations are the configuration stores.
func configurations() []components.Row[configuration.Store] {
	served, asked := []string{"address", "timeout"}, []string{"timeout"}
	// Each subscription of Postgres holds a connection of its pool.
	postgres := contrib.Configuration(contribpostgres.NewPostgresConfigurationStore, contrib.ConfigurationTraits{OneSubscription: true})
	postgresSettings := contrib.Keys(contribpostgres.NewPostgresConfigurationStore, postgresKeys("pgNotifyChannel")...)
	return append([]components.Row[configuration.Store]{
		{Type: memory.Type, Doc: "in this process; gone when it ends", Metadata: &memory.Metadata{}, New: memory.New},
		{Type: file.Type, Doc: "a YAML or JSON file, or a folder of files; changes are noticed", Metadata: ptr(file.Defaults()), New: file.New},
		{Type: file.OtherType, Doc: "another name of local.file", Metadata: ptr(file.Defaults()), New: file.New},
		{Type: etcd.Type, Doc: "etcd 3, with Layotto's layout", Metadata: &etcd.Metadata{}, Beside: served, New: etcd.New},
		{Type: apollo.Type, Doc: "Apollo: configuration service and open API", Metadata: ptr(apollo.Defaults()), Beside: served, New: apollo.New},
		{Type: nacos.Type, Doc: "Nacos 1 and 2, over HTTP", Metadata: ptr(nacos.Defaults()), Beside: served, New: nacos.New},
		{Type: redis.Type, Doc: "Redis 5 and later, one server, behind sentinels or a cluster; Dapr's layout; changes are noticed", Metadata: ptr(redis.Defaults()), Beside: asked, New: redis.New},
		{Type: "postgresql", Doc: "a table of PostgreSQL, to read and watch", Keys: postgresSettings, Beside: asked, New: postgres},
		{Type: "postgres", Doc: "another name of postgresql", Keys: postgresSettings, Beside: asked, New: postgres},
	}, configurationsOfFull()...)
}
