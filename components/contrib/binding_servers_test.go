package contrib_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dapr/components-contrib/bindings/graphql"
	"github.com/dapr/components-contrib/bindings/mysql"
	"github.com/dapr/components-contrib/bindings/postgres"
	"github.com/dapr/components-contrib/bindings/redis"

	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/binding/bindingtest"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestRedisBinding(t *testing.T) {
	addr := testserver.Redis(t).Addr
	bindingtest.RunOutput(t, bindingtest.Output{
		New: func(t *testing.T) binding.Binding {
			return newBinding(t, contrib.Binding(redis.NewRedis), map[string]any{"redisHost": addr})
		},
		Request: binding.Request{Operation: "create", Data: []byte("value"), Metadata: map[string]string{"key": "k"}},
		Wrong:   &binding.Request{Operation: "get"},
	})
}

func TestMySQLBinding(t *testing.T) {
	matrix.Backend(t, "binding", "mysql")
	addr := testserver.MariaDB(t).Addr
	bindingtest.RunOutput(t, bindingtest.Output{
		New: func(t *testing.T) binding.Binding {
			return newBinding(t, contrib.Binding(mysql.NewMysql), map[string]any{"url": "ottavo:" + testserver.SQLPassword + "@tcp(" + addr + ")/"})
		},
		Request: binding.Request{Operation: "query", Metadata: map[string]string{"sql": "SELECT 17 AS answer"}},
		Want:    "17",
		Wrong:   &binding.Request{Operation: "query", Metadata: map[string]string{"sql": "SELECT nonsense FROM nowhere"}},
	})
}

func TestPostgresBinding(t *testing.T) {
	matrix.Backend(t, "binding", "postgres")
	addr := testserver.Postgres(t).Addr
	bindingtest.RunOutput(t, bindingtest.Output{
		New: func(t *testing.T) binding.Binding {
			return newBinding(t, contrib.Binding(postgres.NewPostgres), map[string]any{"connectionString": "postgres://ottavo:" + testserver.SQLPassword + "@" + addr + "/postgres?sslmode=disable"})
		},
		Request: binding.Request{Operation: "query", Metadata: map[string]string{"sql": "SELECT 17 AS answer"}},
		Want:    "17",
		Wrong:   &binding.Request{Operation: "query", Metadata: map[string]string{"sql": "SELECT nonsense FROM nowhere"}},
	})
}

func TestGraphQLBinding(t *testing.T) {
	matrix.Backend(t, "binding", "graphql")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Query string }
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || !strings.Contains(q.Query, "answer") {
			_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"message": "no such field"}}})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]int{"answer": 17}})
	}))
	t.Cleanup(s.Close)
	bindingtest.RunOutput(t, bindingtest.Output{
		New: func(t *testing.T) binding.Binding {
			return newBinding(t, contrib.Binding(graphql.NewGraphQL), map[string]any{"endpoint": s.URL})
		},
		Request: binding.Request{Operation: "query", Metadata: map[string]string{"query": "query { answer }"}},
		Want:    "17",
		Wrong:   &binding.Request{Operation: "query", Metadata: map[string]string{"query": "query { nonsense }"}},
	})
}
