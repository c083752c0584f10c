package main

import (
	"context"
	"errors"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// notLinked are libraries that the default build does without, since they are big or
// of one cloud: who needs one takes ottavo-full. Each is the beginning of import paths.
var notLinked = []string{
	"github.com/redis/go-redis/", // a second client of Redis beside v8, which ours use
	"cloud.google.com/go", "google.golang.org/api/", "firebase.google.com/",
	"k8s.io/client-go/", "k8s.io/api/", "sigs.k8s.io/controller-runtime",
	"github.com/aws/aws-sdk-go/", // the first one
	"github.com/Azure/azure-event-hubs-go", "github.com/Azure/go-amqp", "github.com/microsoft/",
	"github.com/oracle/", "github.com/sijms/go-ora", "github.com/godror/",
	"github.com/aliyun/", "github.com/alibabacloud-go/", "github.com/tencentcloud/", "github.com/huaweicloud/", "github.com/qiniu/",
	"github.com/open-policy-agent/", "modernc.org/", "github.com/mattn/go-sqlite3",
	"github.com/apache/pulsar-client-go", "github.com/apache/rocketmq", "github.com/hazelcast/", "github.com/aerospike/", "github.com/couchbase/",
	"github.com/gocql/", "github.com/apache/cassandra-gocql-driver", "github.com/cloudflare/cloudflare-go", "github.com/camunda/", "github.com/solace",
	"github.com/tetratelabs/wazero", "github.com/dgraph-io/", "github.com/cockroachdb/",
}

const (
	contrib = "github.com/dapr/components-contrib/"
	own     = "github.com/ottavo-runtime/ottavo/"
)

// linkedBy are libraries that the default build has only for what is named here: what
// else needs one goes into ottavo-full, or gets a backend of our own without it.
var linkedBy = []struct {
	name string
	by   []string // exactly those that import it, but for the library itself
	is   []string // the beginnings of its import paths
}{
	{
		name: "AWS", is: []string{"github.com/aws/", "github.com/mikeee/aws_credential_helper", "github.com/vmware/vmware-go-kcl-v2/"},
		by: []string{
			contrib + "common/aws", contrib + "common/aws/auth", contrib + "common/component/kafka", contrib + "configuration/postgres", // logins
			own + "components/internal/cloudapi", // its signatures only
		},
	},
	{
		name: "Azure", is: []string{"github.com/Azure/", "github.com/AzureAD/"},
		by: []string{contrib + "common/authentication/azure", contrib + "common/authentication/postgresql"},
	},
	{
		name: "contrib's logins at clouds", is: []string{contrib + "common/aws", contrib + "common/authentication/azure"},
		by: []string{
			contrib + "common/component/kafka",                                                                 // Kafka
			contrib + "bindings/postgres", contrib + "configuration/postgres", contrib + "state/postgresql/v2", // PostgreSQL
			contrib + "common/authentication/postgresql", contrib + "common/component/postgresql/v1",
		},
	},
	{
		name: "tokens of JWT", is: []string{"github.com/lestrrat-go/jwx/"},
		by: []string{contrib + "common/component/kafka"},
	},
}

// begins tells whether a path begins with one of some.
func begins(path string, some []string) bool {
	return slices.ContainsFunc(some, func(s string) bool { return strings.HasPrefix(path, s) })
}

// The default build stays small: what it links of heavy libraries is written down here.
func TestHeavyLibrariesAreNotLinked(t *testing.T) {
	if testing.Short() {
		t.Skip("asks go list; not with -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-f", `{{$by := .ImportPath}}{{range .Imports}}{{$by}} {{.}}{{"\n"}}{{end}}`, ".")
	out, err := list.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("there is no go command here")
	}
	if err != nil {
		exit, _ := errors.AsType[*exec.ExitError](err)
		if exit != nil {
			t.Fatalf("%v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	by := map[string]map[string]bool{} // who imports each of linkedBy
	imports := 0
	for line := range strings.Lines(string(out)) {
		from, to, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		imports++
		if begins(to, notLinked) && !begins(from, notLinked) {
			t.Errorf("%s imports %s, which is not for the default build: move its row to runtime/builtin/*_full.go, or do without", from, to)
		}
		for _, library := range linkedBy {
			if !begins(to, library.is) || begins(from, library.is) {
				continue
			}
			if by[library.name] == nil {
				by[library.name] = map[string]bool{}
			}
			by[library.name][from] = true
		}
	}
	if imports < 1000 {
		t.Fatalf("go list tells of %d imports only", imports)
	}
	for _, library := range linkedBy {
		got, want := slices.Sorted(maps.Keys(by[library.name])), slices.Sorted(slices.Values(library.by))
		if !slices.Equal(got, want) {
			t.Errorf("%s is linked by\n  %s\nand is to be by\n  %s\nA new one belongs into ottavo-full; one that is gone, off this list", library.name, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	}
}
