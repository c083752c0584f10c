//go:build full

package builtin

import (
	"github.com/dapr/components-contrib/state/aerospike"
	"github.com/dapr/components-contrib/state/alicloud/tablestore"
	"github.com/dapr/components-contrib/state/aws/dynamodb"
	blobstoragev1 "github.com/dapr/components-contrib/state/azure/blobstorage/v1"
	blobstoragev2 "github.com/dapr/components-contrib/state/azure/blobstorage/v2"
	"github.com/dapr/components-contrib/state/azure/cosmosdb"
	"github.com/dapr/components-contrib/state/azure/tablestorage"
	"github.com/dapr/components-contrib/state/cassandra"
	workerskv "github.com/dapr/components-contrib/state/cloudflare/workerskv"
	"github.com/dapr/components-contrib/state/cockroachdb"
	"github.com/dapr/components-contrib/state/coherence"
	"github.com/dapr/components-contrib/state/couchbase"
	"github.com/dapr/components-contrib/state/gcp/firestore"
	"github.com/dapr/components-contrib/state/hazelcast"
	"github.com/dapr/components-contrib/state/jetstream"
	"github.com/dapr/components-contrib/state/oci/objectstorage"
	"github.com/dapr/components-contrib/state/oracledatabase"
	"github.com/dapr/components-contrib/state/ravendb"
	"github.com/dapr/components-contrib/state/rethinkdb"
	"github.com/dapr/components-contrib/state/sqlserver"
	sqlserverv2 "github.com/dapr/components-contrib/state/sqlserver/v2"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/sqlite"
)

// statesOfFull are those of contrib's stores that only the full build has: their
// drivers are big, or their servers few. What they declare is taken at its word.
func statesOfFull() []components.Row[state.Store] {
	word := contrib.StateTraits{}
	return []components.Row[state.Store]{
		{Type: "aerospike", Doc: "Aerospike", New: contrib.State(aerospike.NewAerospikeStateStore, word)},
		{Type: "alicloud.tablestore", Doc: "Alibaba Cloud Tablestore", New: contrib.State(tablestore.NewAliCloudTableStore, word)},
		{Type: "aws.dynamodb", Doc: "Amazon DynamoDB", New: contrib.State(dynamodb.NewDynamoDBStateStore, word)},
		{Type: "azure.blobstorage", Doc: "Azure Blob Storage, the first layout", New: contrib.State(blobstoragev1.NewAzureBlobStorageStore, word)},
		{Type: "azure.blobstorage/v2", Doc: "Azure Blob Storage, the second layout", New: contrib.State(blobstoragev2.NewAzureBlobStorageStore, word)},
		{Type: "azure.cosmosdb", Doc: "Azure Cosmos DB", New: contrib.State(cosmosdb.NewCosmosDBStateStore, word)},
		{Type: "azure.tablestorage", Doc: "Azure Table Storage", New: contrib.State(tablestorage.NewAzureTablesStateStore, word)},
		{Type: "cassandra", Doc: "Apache Cassandra", New: contrib.State(cassandra.NewCassandraStateStore, word)},
		{Type: "cloudflare.workerskv", Doc: "Cloudflare Workers KV", New: contrib.State(workerskv.NewCFWorkersKV, word)},
		{Type: "cockroachdb", Doc: "CockroachDB", New: contrib.State(cockroachdb.New, contrib.StateTraits{Key: contrib.TextKey, BulkGet: true, DeletesExpired: true})},
		{Type: "coherence", Doc: "Oracle Coherence", New: contrib.State(coherence.NewCoherenceStateStore, word)},
		{Type: "couchbase", Doc: "Couchbase", New: contrib.State(couchbase.NewCouchbaseStateStore, word)},
		{Type: "gcp.firestore", Doc: "Google Cloud Firestore", New: contrib.State(firestore.NewFirestoreStateStore, word)},
		{Type: "hazelcast", Doc: "Hazelcast", New: contrib.State(hazelcast.NewHazelcastStore, word)},
		{Type: "jetstream", Doc: "the key-value store of NATS JetStream", New: contrib.State(jetstream.NewJetstreamStateStore, word)},
		{Type: "oci.objectstorage", Doc: "Oracle Cloud object storage", New: contrib.State(objectstorage.NewOCIObjectStorageStore, word)},
		{Type: "oracledatabase", Doc: "Oracle Database", New: contrib.State(oracledatabase.NewOracleDatabaseStateStore, word)},
		{Type: "ravendb", Doc: "RavenDB", New: contrib.State(ravendb.NewRavenDB, word)},
		{Type: "rethinkdb", Doc: "RethinkDB", New: contrib.State(rethinkdb.NewRethinkDBStateStore, word)},
		{Type: "sqlite", Doc: "a file of SQLite; the layout of Dapr", New: sqlite.New()},
		{Type: "sqlite3", Doc: "another name of `sqlite`", New: sqlite.New()},
		{Type: "sqlserver", Doc: "Microsoft SQL Server, the first layout", New: contrib.State(sqlserver.New, word)},
		{Type: "sqlserver/v2", Doc: "Microsoft SQL Server, the second layout", New: contrib.State(sqlserverv2.New, word)},
	}
}
