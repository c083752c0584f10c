package dynamodb_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/dynamodb"
)

// service answers like DynamoDB, and keeps what it was asked for. The suite is run
// against an emulator, by make test-wide.
type service struct {
	mu     sync.Mutex
	asked  []string // "PutItem" and so on, with the request
	answer []string // what is answered next; "" is success
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, call, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	s.mu.Lock()
	defer s.mu.Unlock()
	if call == "GetItem" { // to see whether the table is there
		_, _ = io.WriteString(w, "{}")
		return
	}
	s.asked = append(s.asked, call+" "+string(body))
	answer := "{}"
	if len(s.answer) > 0 {
		if s.answer[0] != "" {
			answer = s.answer[0]
			w.WriteHeader(http.StatusBadRequest)
		}
		s.answer = s.answer[1:]
	}
	_, _ = io.WriteString(w, answer)
}

// open makes a store on a service that gives these answers.
func open(t *testing.T, answers ...string) (state.Store, *service) {
	t.Helper()
	s := &service{answer: answers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	store, err := dynamodb.New()(t.Context(), components.Env{}, components.Config{Name: "s", Metadata: map[string]any{
		"endpoint": server.URL, "region": "eu-1", "accessKey": "k", "secretKey": "s", "table": "t", "ttlAttributeName": "ends",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store, s
}

func cancelled(reasons ...string) string {
	var all []map[string]string
	for _, r := range reasons {
		all = append(all, map[string]string{"Code": r})
	}
	b, _ := json.Marshal(map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", "CancellationReasons": all})
	return string(b)
}

// TestTransaction: of several operations on a key the first one's condition and the
// last one's effect are sent, a delete has its etag, and an item that has ended counts
// as gone.
func TestTransaction(t *testing.T) {
	store, s := open(t)
	err := store.(state.Transactor).Transact(t.Context(), []state.Op{
		{Key: "a", Value: []byte("1"), ETag: "aa", HasETag: true},
		{Key: "b", Delete: true, ETag: "bb", HasETag: true},
		{Key: "a", Value: []byte("2")},
		{Key: "c", Value: []byte("3"), Options: state.Options{Concurrency: state.FirstWrite}},
	})
	if err != nil || len(s.asked) != 1 {
		t.Fatalf("%v, %d requests", err, len(s.asked))
	}
	var sent struct {
		TransactItems []map[string]struct {
			ConditionExpression       string
			ExpressionAttributeValues map[string]map[string]string
			Item                      map[string]map[string]any
		}
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(s.asked[0], "TransactWriteItems ")), &sent); err != nil || len(sent.TransactItems) != 3 {
		t.Fatalf("%v: %s", err, s.asked[0])
	}
	a, b, c := sent.TransactItems[0]["Put"], sent.TransactItems[1]["Delete"], sent.TransactItems[2]["Put"]
	const alive = " AND (attribute_not_exists(#ends) OR #ends > :now)"
	if a.ConditionExpression != "#etag = :etag"+alive || a.ExpressionAttributeValues[":etag"]["S"] != "aa" || a.Item["value"]["B"] != "Mg==" {
		t.Errorf("a: %+v", a)
	}
	if b.ConditionExpression != "#etag = :etag"+alive || b.ExpressionAttributeValues[":etag"]["S"] != "bb" {
		t.Errorf("b: %+v", b)
	}
	if c.ConditionExpression != "attribute_not_exists(#etag) OR #ends <= :now" {
		t.Errorf("c: %+v", c)
	}
}

// TestSameKey: an operation that cannot hold after those before it fails the
// transaction, and nothing is sent.
func TestSameKey(t *testing.T) {
	first := state.Options{Concurrency: state.FirstWrite}
	for name, ops := range map[string][]state.Op{
		"an etag after a write":         {{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2"), ETag: "aa", HasETag: true}},
		"an etag after a delete":        {{Key: "a", Delete: true}, {Key: "a", Delete: true, ETag: "aa", HasETag: true}},
		"a first write after a write":   {{Key: "a", Value: []byte("1"), Options: first}, {Key: "a", Value: []byte("2"), Options: first}},
		"three, of which one is so bad": {{Key: "a", Delete: true}, {Key: "b", Delete: true}, {Key: "a", Value: []byte("2")}, {Key: "a", Value: []byte("2"), Options: first}},
	} {
		store, s := open(t)
		if err := store.(state.Transactor).Transact(t.Context(), ops); !errors.Is(err, state.ErrETagMismatch) || len(s.asked) != 0 {
			t.Errorf("%s: %v, %d requests", name, err, len(s.asked))
		}
	}
}

// TestErrors: what the service says has its error; a conflict of two transactions is
// tried again.
func TestErrors(t *testing.T) {
	const namespace = `{"__type":"com.amazonaws.dynamodb.v20120810#`
	plain := []state.Op{{Key: "a", Value: []byte("1")}}
	for _, tt := range []struct {
		answers []string
		want    error
		calls   int
	}{
		{[]string{cancelled("None", "ConditionalCheckFailed")}, state.ErrETagMismatch, 1},
		{[]string{cancelled("TransactionConflict", "None"), cancelled("TransactionConflict"), ""}, nil, 3},
		{[]string{namespace + `ValidationException","message":"Item size has exceeded the maximum"}`}, state.ErrInvalid, 1},
	} {
		store, s := open(t, tt.answers...)
		if err := store.(state.Transactor).Transact(t.Context(), plain); !errors.Is(err, tt.want) || len(s.asked) != tt.calls {
			t.Errorf("%s: %v after %d requests, want %v after %d", tt.answers, err, len(s.asked), tt.want, tt.calls)
		}
	}
	store, s := open(t, namespace+`ConditionalCheckFailedException"}`)
	if err := store.Write(t.Context(), state.Op{Key: "a", Delete: true, ETag: "aa", HasETag: true}); !errors.Is(err, state.ErrETagMismatch) {
		t.Errorf("a delete whose etag is another: %v", err)
	}
	for _, op := range []state.Op{{Key: strings.Repeat("k", 2049), Delete: true}, {Key: "\xff", Delete: true}} {
		if err := store.Write(t.Context(), op); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("key %.10q: %v", op.Key, err)
		}
	}
	if err := store.Write(t.Context(), state.Op{Key: "a", Delete: true, ETag: "-1", HasETag: true}); !errors.Is(err, state.ErrETagInvalid) {
		t.Errorf("no etag: %v", err)
	}
	if !slices.ContainsFunc(s.asked, func(call string) bool { return strings.HasPrefix(call, "DeleteItem ") }) || len(s.asked) != 1 {
		t.Errorf("asked for %q", s.asked)
	}
}
