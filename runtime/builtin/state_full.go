//go:build full

package builtin

import (
	"github.com/dapr/components-contrib/state/aerospike"
	"github.com/dapr/components-contrib/state/alicloud/tablestore"
	contribdynamodb "github.com/dapr/components-contrib/state/aws/dynamodb"
	blobstoragev1 "github.com/dapr/components-contrib/state/azure/blobstorage/v1"
	blobstoragev2 "github.com/dapr/components-contrib/state/azure/blobstorage/v2"
	"github.com/dapr/components-contrib/state/azure/cosmosdb"
	"github.com/dapr/components-contrib/state/azure/tablestorage"
	contribcassandra "github.com/dapr/components-contrib/state/cassandra"
	workerskv "github.com/dapr/components-contrib/state/cloudflare/workerskv"
	"github.com/dapr/components-contrib/state/cockroachdb"
	"github.com/dapr/components-contrib/state/coherence"
	"github.com/dapr/components-contrib/state/couchbase"
	"github.com/dapr/components-contrib/state/gcp/firestore"
	contribhazelcast "github.com/dapr/components-contrib/state/hazelcast"
	contribjetstream "github.com/dapr/components-contrib/state/jetstream"
	"github.com/dapr/components-contrib/state/oci/objectstorage"
	"github.com/dapr/components-contrib/state/oracledatabase"
	"github.com/dapr/components-contrib/state/ravendb"
	"github.com/dapr/components-contrib/state/rethinkdb"
	contribsqlite "github.com/dapr/components-contrib/state/sqlite"
	"github.com/dapr/components-contrib/state/sqlserver"
	sqlserverv2 "github.com/dapr/components-contrib/state/sqlserver/v2"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/cassandra"
	"github.com/ottavo-runtime/ottavo/components/state/dynamodb"
	"github.com/ottavo-runtime/ottavo/components/state/hazelcast"
	"github.com/ottavo-runtime/ottavo/components/state/jetstream"
	"github.com/ottavo-runtime/ottavo/components/state/sqlite"
)

// statesOfFull are those of contrib's stores that only the full build has: their
// drivers are big, or their servers few. What they declare is taken at its word.
func statesOfFull() []components.Row[state.Store] {
	word := contrib.StateTraits{}
	sqliteKeys := contrib.StateKeys(contribsqlite.NewSQLiteStateStore, "url", "timeoutInSeconds", "cleanupIntervalInSeconds")
	return []components.Row[state.Store]{
		{Type: "aerospike", Doc: "Aerospike", Keys: contrib.StateKeys(aerospike.NewAerospikeStateStore), New: contrib.State(aerospike.NewAerospikeStateStore, word)},
		{Type: "alicloud.tablestore", Doc: "Alibaba Cloud Tablestore", Keys: contrib.StateKeys(tablestore.NewAliCloudTableStore), New: contrib.State(tablestore.NewAliCloudTableStore, word)},
		{Type: "aws.dynamodb", Doc: "Amazon DynamoDB", Keys: contrib.StateKeys(contribdynamodb.NewDynamoDBStateStore, awsKeys()...), New: dynamodb.New()},
		{Type: "azure.blobstorage", Doc: "Azure Blob Storage, the first layout", Keys: contrib.StateKeys(blobstoragev1.NewAzureBlobStorageStore, blobKeys()...), New: contrib.State(blobstoragev1.NewAzureBlobStorageStore, contrib.StateTraits{ETag: blobETag, Key: blobKeyV1})},
		{Type: "azure.blobstorage/v2", Doc: "Azure Blob Storage, the second layout", Keys: contrib.StateKeys(blobstoragev2.NewAzureBlobStorageStore, blobKeys()...), New: contrib.State(blobstoragev2.NewAzureBlobStorageStore, contrib.StateTraits{ETag: blobETag, Key: blobKey})},
		{Type: "azure.cosmosdb", Doc: "Azure Cosmos DB", Keys: contrib.StateKeys(cosmosdb.NewCosmosDBStateStore, azureKeys()...), New: contrib.State(cosmosdb.NewCosmosDBStateStore, word)},
		{Type: "azure.tablestorage", Doc: "Azure Table Storage", Keys: contrib.StateKeys(tablestorage.NewAzureTablesStateStore, azureStorageKeys("tableName", "table", "storageAccountTable")...), New: contrib.State(tablestorage.NewAzureTablesStateStore, contrib.StateTraits{ETag: tableETag, Key: tableKey, Value: tableValue, CreatesWithETag: true})},
		{Type: "cassandra", Doc: "Apache Cassandra", Keys: contrib.StateKeys(contribcassandra.NewCassandraStateStore), New: cassandra.New()},
		{Type: "cloudflare.workerskv", Doc: "Cloudflare Workers KV", Keys: contrib.StateKeys(workerskv.NewCFWorkersKV), New: contrib.State(workerskv.NewCFWorkersKV, word)},
		{Type: "cockroachdb", Doc: "CockroachDB", Keys: contrib.StateKeys(cockroachdb.New, postgresKeys()...), New: contrib.State(cockroachdb.New, contrib.StateTraits{Key: contrib.TextKey, BulkGet: true, DeletesExpired: true})},
		{Type: "coherence", Doc: "Oracle Coherence", Keys: contrib.StateKeys(coherence.NewCoherenceStateStore), New: contrib.State(coherence.NewCoherenceStateStore, word)},
		{Type: "couchbase", Doc: "Couchbase", Keys: contrib.StateKeys(couchbase.NewCouchbaseStateStore), New: contrib.State(couchbase.NewCouchbaseStateStore, word)},
		{Type: "gcp.firestore", Doc: "Google Cloud Firestore", Keys: contrib.StateKeys(firestore.NewFirestoreStateStore, "endpoint"), New: contrib.State(firestore.NewFirestoreStateStore, contrib.StateTraits{Key: firestoreKey, Value: contrib.TextValue})},
		{Type: "hazelcast", Doc: "Hazelcast", Keys: contrib.StateKeys(contribhazelcast.NewHazelcastStore), New: hazelcast.New()},
		{Type: "jetstream", Doc: "the key-value store of NATS JetStream", Keys: contrib.StateKeys(contribjetstream.NewJetstreamStateStore), New: jetstream.New()},
		{Type: "oci.objectstorage", Doc: "Oracle Cloud object storage", Keys: contrib.StateKeys(objectstorage.NewOCIObjectStorageStore), New: contrib.State(objectstorage.NewOCIObjectStorageStore, word)},
		{Type: "oracledatabase", Doc: "Oracle Database", Keys: contrib.StateKeys(oracledatabase.NewOracleDatabaseStateStore), New: contrib.State(oracledatabase.NewOracleDatabaseStateStore, word)},
		{Type: "ravendb", Doc: "RavenDB", Keys: contrib.StateKeys(ravendb.NewRavenDB), New: contrib.State(ravendb.NewRavenDB, word)},
		{Type: "rethinkdb", Doc: "RethinkDB", Keys: contrib.StateKeys(rethinkdb.NewRethinkDBStateStore), New: contrib.State(rethinkdb.NewRethinkDBStateStore, word)},
		{Type: "sqlite", Doc: "a file of SQLite; the layout of Dapr", Keys: sqliteKeys, New: sqlite.New()},
		{Type: "sqlite3", Doc: "another name of `sqlite`", Keys: sqliteKeys, New: sqlite.New()},
		{Type: "sqlserver", Doc: "Microsoft SQL Server, the first layout", Keys: contrib.StateKeys(sqlserver.New, sqlServerKeys()...), New: contrib.State(sqlserver.New, word)},
		{Type: "sqlserver/v2", Doc: "Microsoft SQL Server, the second layout", Keys: contrib.StateKeys(sqlserverv2.New, sqlServerKeys()...), New: contrib.State(sqlserverv2.New, word)},
	}
}
