//go:build full

package builtin_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/binding/bindingtest"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// azureMetadata are the settings that all components on Azure's storage have.
func azureMetadata(a *testserver.AzuriteServer, more ...string) map[string]any {
	return with(map[string]any{"accountName": testserver.AzuriteAccount, "accountKey": testserver.AzuriteKey, "endpoint": "http://" + a.Addr}, more...)
}

func TestCloudBlobState(t *testing.T) {
	a := testserver.Azurite(t, "blob")
	suite := func(t *testing.T, typ string) {
		t.Helper()
		once := typ == "azure.blobstorage" // it may hold || once
		statetest.Run(t, statetest.Options{
			New: func(t *testing.T) state.Store {
				return cloud(t, "state", cloudTables.States, typ, azureMetadata(a, "containerName", "state"))
			},
			ForeignETag: "0x8DC0000000000000",
			Keys: func(key string) bool {
				return utf8.ValidString(key) && utf8.RuneCountInString(key) <= 1024 && !(once && strings.Count(key, "||") > 1)
			},
		})
	}
	t.Run("v1", func(t *testing.T) {
		matrix.Wide(t, "state", "azure.blobstorage", "azurite")
		suite(t, "azure.blobstorage")
	})
	t.Run("v2", func(t *testing.T) {
		matrix.Wide(t, "state", "azure.blobstorage/v2", "azurite")
		suite(t, "azure.blobstorage/v2")
	})
}

func TestCloudTableState(t *testing.T) {
	matrix.Wide(t, "state", "azure.tablestorage", "azurite")
	a := testserver.Azurite(t, "table")
	metadata := azureMetadata(a, "tableName", "state", "serviceURL", a.URL())
	delete(metadata, "endpoint")
	statetest.Run(t, statetest.Options{
		New: func(t *testing.T) state.Store {
			return cloud(t, "state", cloudTables.States, "azure.tablestorage", metadata)
		},
		MaxValue: 30 << 10, // a text has at most 32 Ki characters
		Keys: func(key string) bool {
			return utf8.ValidString(key) && !strings.ContainsAny(key, "/\\#?\x00") && len(key) <= 512
		},
		Values:      utf8.Valid,
		ForeignETag: `W/"datetime'2001-01-01T00%3A00%3A00.0000000Z'"`,
	})
}

func TestCloudBlobBinding(t *testing.T) {
	matrix.Wide(t, "binding", "azure.blobstorage", "azurite")
	a := testserver.Azurite(t, "blob")
	metadata := azureMetadata(a, "containerName", "files")
	bindingtest.RunOutput(t, bindingtest.Output{
		New: func(t *testing.T) binding.Binding {
			return cloud(t, "binding", cloudTables.Bindings, "azure.blobstorage", metadata)
		},
		Request: binding.Request{Operation: "create", Data: []byte("content"), Metadata: map[string]string{"blobName": "a"}}, Want: "blobURL",
		Wrong: &binding.Request{Operation: "get", Metadata: map[string]string{"blobName": "none"}},
	})
	b := cloud(t, "binding", cloudTables.Bindings, "azure.blobstorage", metadata)
	defer b.Close() //nolint:errcheck // nothing follows
	got, err := b.(binding.Output).Invoke(t.Context(), &binding.Request{Operation: "get", Metadata: map[string]string{"blobName": "a"}})
	if err != nil || string(got.Data) != "content" {
		t.Errorf("what was written is %+v, %v", got, err)
	}
}

func TestCloudQueueBinding(t *testing.T) {
	matrix.Wide(t, "binding", "azure.storagequeues", "azurite")
	a := testserver.Azurite(t, "queue")
	metadata := azureMetadata(a, "queueName", "work", "pollingInterval", "200ms", "visibilityTimeout", "2s")
	open := func(t *testing.T) binding.Binding {
		return cloud(t, "binding", cloudTables.Bindings, "azure.storagequeues", metadata)
	}
	task := binding.Request{Operation: "create", Data: []byte("task")}
	bindingtest.RunOutput(t, bindingtest.Output{New: open, Request: task})
	sender := open(t)
	t.Cleanup(func() { _ = sender.Close() })
	bindingtest.RunInput(t, bindingtest.Input{New: open, Cause: func(t *testing.T) {
		req := task
		if _, err := sender.(binding.Output).Invoke(t.Context(), &req); err != nil {
			t.Error(err)
		}
	}})
}

// What users meet: a wrong key, a server that is away, and one that goes and comes back.
func TestCloudFaultsAzure(t *testing.T) {
	a := testserver.Azurite(t, "blob")
	const wrong = "d3Jvbmctd3Jvbmctd3Jvbmc="
	_, err := makeCloud(t, "state", cloudTables.States, "azure.blobstorage/v2", azureMetadata(a, "containerName", "state", "accountKey", wrong))
	says(t, "a wrong key", err, wrong, "403", a.Addr)
	_, err = makeCloud(t, "state", cloudTables.States, "azure.blobstorage/v2", azureMetadata(a, "containerName", "state", "endpoint", "http://"+nobody))
	says(t, "nobody there", err, testserver.AzuriteKey, "refused", nobody)
	_, err = makeCloud(t, "state", cloudTables.States, "azure.blobstorage/v2", azureMetadata(a, "containerName", "Not_A_Name"))
	says(t, "a name that cannot be", err, testserver.AzuriteKey, "Not_A_Name")
}
