package layotto_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// broken is a store in which keys that begin with "bad" fail.
type broken struct{ state.Store }

var errDisk = errors.New("disk on fire")

func (b broken) Get(ctx context.Context, req state.Get) (*state.Item, error) {
	if strings.HasPrefix(req.Key, "bad") {
		return nil, errDisk
	}
	return b.Store.Get(ctx, req)
}

func (b broken) Write(ctx context.Context, op state.Op) error {
	if strings.HasPrefix(op.Key, "bad") {
		return errDisk
	}
	return b.Store.Write(ctx, op)
}

// hanging is a store that waits for the end of the caller's time.
type hanging struct{ state.Store }

func (hanging) Get(ctx context.Context, _ state.Get) (*state.Item, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func item(key, value string) *runtimev1.StateItem {
	return &runtimev1.StateItem{Key: key, Value: []byte(value)}
}

func upsert(it *runtimev1.StateItem) *runtimev1.TransactionalStateOperation {
	return &runtimev1.TransactionalStateOperation{OperationType: "upsert", Request: it}
}

func TestStateRoundTrip(t *testing.T) {
	client, _ := serve(t, states(map[string]state.Store{"s": newStore(t)}))
	ctx := timeout(t)
	get := func(key string) *runtimev1.GetStateResponse {
		t.Helper()
		resp, err := client.GetState(ctx, &runtimev1.GetStateRequest{
			StoreName: "s", Key: key,
			Consistency: runtimev1.StateOptions_CONSISTENCY_STRONG,
		})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	if resp := get("none"); len(resp.GetData()) != 0 || resp.GetEtag() != "" {
		t.Errorf("a missing key has %v", resp)
	}
	value := "bytes \x00\xff as they are"
	mortal := item("mortal", "x")
	mortal.Metadata = map[string]string{"ttlInSeconds": "1000"}
	if _, err := client.SaveState(ctx, &runtimev1.SaveStateRequest{
		StoreName: "s",
		States:    []*runtimev1.StateItem{item("a", value), item("b", ""), mortal},
	}); err != nil {
		t.Fatal(err)
	}
	a := get("a")
	if string(a.GetData()) != value || a.GetEtag() == "" || len(a.GetMetadata()) != 0 {
		t.Errorf("a is %v", a)
	}
	if b := get("b"); len(b.GetData()) != 0 || b.GetEtag() == "" {
		t.Errorf("an empty value is %v", b)
	}
	end, err := time.Parse(time.RFC3339, get("mortal").GetMetadata()["ttlExpireTime"])
	if left := time.Until(end); err != nil || left > 1000*time.Second || left < 900*time.Second {
		t.Errorf("ttlExpireTime is in %v, %v", left, err)
	}

	bulk, err := client.GetBulkState(ctx, &runtimev1.GetBulkStateRequest{StoreName: "s", Keys: []string{"mortal", "none", "a", "a"}, Parallelism: 10})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, it := range bulk.GetItems() {
		keys = append(keys, it.GetKey())
	}
	if !slices.Equal(keys, []string{"mortal", "none", "a", "a"}) || string(bulk.GetItems()[3].GetData()) != value ||
		bulk.GetItems()[2].GetEtag() != a.GetEtag() || bulk.GetItems()[1].GetEtag() != "" || bulk.GetItems()[0].GetMetadata()["ttlExpireTime"] == "" {
		t.Errorf("GetBulkState = %v", bulk)
	}
	if bulk, err := client.GetBulkState(ctx, &runtimev1.GetBulkStateRequest{StoreName: "s"}); err != nil || len(bulk.GetItems()) != 0 {
		t.Errorf("GetBulkState of nothing = %v, %v", bulk, err)
	}

	if _, err := client.ExecuteStateTransaction(ctx, &runtimev1.ExecuteStateTransactionRequest{
		StoreName: "s",
		Operations: []*runtimev1.TransactionalStateOperation{
			upsert(item("c", "new")), {OperationType: "delete", Request: item("a", "")},
		},
	}); err != nil {
		t.Fatal(err)
	}
	if c, a := get("c"), get("a"); string(c.GetData()) != "new" || a.GetEtag() != "" {
		t.Errorf("after the transaction: %v, %v", c, a)
	}
	if _, err := client.DeleteBulkState(ctx, &runtimev1.DeleteBulkStateRequest{
		StoreName: "s",
		States:    []*runtimev1.StateItem{item("b", ""), item("none", "")},
	}); err != nil {
		t.Error(err)
	}
	if _, err := client.DeleteState(ctx, &runtimev1.DeleteStateRequest{StoreName: "s", Key: "c"}); err != nil {
		t.Errorf("delete without an etag: %v", err)
	}
	if b, c := get("b"), get("c"); b.GetEtag() != "" || c.GetEtag() != "" {
		t.Errorf("after the deletes: %v, %v", b, c)
	}
}

func TestStateETags(t *testing.T) {
	client, _ := serve(t, states(map[string]state.Store{"s": newStore(t)}))
	ctx := timeout(t)
	firstWrite := &runtimev1.StateOptions{Concurrency: runtimev1.StateOptions_CONCURRENCY_FIRST_WRITE}
	saveAs := func(etag *runtimev1.Etag, o *runtimev1.StateOptions) error {
		_, err := client.SaveState(ctx, &runtimev1.SaveStateRequest{
			StoreName: "s",
			States:    []*runtimev1.StateItem{{Key: "k", Value: []byte("v"), Etag: etag, Options: o}},
		})
		return err
	}
	if err := saveAs(nil, firstWrite); err != nil {
		t.Fatal(err)
	}
	aborted := func(err error) {
		t.Helper()
		if status.Code(err) != codes.Aborted || !strings.HasPrefix(status.Convert(err).Message(), `failed saving state in state store s: key "k": possible etag mismatch`) {
			t.Errorf("%v, want ABORTED", err)
		}
	}
	aborted(saveAs(nil, firstWrite))
	aborted(saveAs(&runtimev1.Etag{Value: "999"}, nil))
	// Clients that never had an etag send an empty one: it is none.
	if err := saveAs(&runtimev1.Etag{Value: "0"}, nil); err != nil {
		t.Errorf("the etag that Layotto's client for Node has for none: %v", err)
	}
	if err := saveAs(&runtimev1.Etag{}, nil); err != nil {
		t.Errorf("with an empty etag: %v", err)
	}
	aborted(saveAs(&runtimev1.Etag{}, firstWrite))
	resp, err := client.GetState(ctx, &runtimev1.GetStateRequest{StoreName: "s", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if err := saveAs(&runtimev1.Etag{Value: resp.GetEtag()}, firstWrite); err != nil {
		t.Errorf("with the right etag: %v", err)
	}

	_, err = client.DeleteState(ctx, &runtimev1.DeleteStateRequest{StoreName: "s", Key: "k", Etag: &runtimev1.Etag{Value: resp.GetEtag()}})
	if status.Code(err) != codes.Aborted || !strings.HasPrefix(status.Convert(err).Message(), "failed deleting state with key k: possible etag mismatch") {
		t.Errorf("delete with an old etag: %v", err)
	}
	// One code for all transactions and bulk deletes, told apart by the details.
	stale := &runtimev1.StateItem{Key: "k", Etag: &runtimev1.Etag{Value: resp.GetEtag()}}
	_, err = client.ExecuteStateTransaction(ctx, &runtimev1.ExecuteStateTransactionRequest{
		StoreName:  "s",
		Operations: []*runtimev1.TransactionalStateOperation{upsert(stale)},
	})
	wantStatus(t, err, codes.Internal, status.Convert(err).Message(), "ETAG_MISMATCH")
	if !strings.HasPrefix(status.Convert(err).Message(), "error while executing state transaction: ") {
		t.Errorf("transaction: %v", err)
	}
	_, err = client.DeleteBulkState(ctx, &runtimev1.DeleteBulkStateRequest{StoreName: "s", States: []*runtimev1.StateItem{stale}})
	wantStatus(t, err, codes.Unknown, status.Convert(err).Message(), "ETAG_MISMATCH")
	_, err = client.DeleteState(ctx, &runtimev1.DeleteStateRequest{StoreName: "s", Key: "k", Etag: &runtimev1.Etag{Value: "no etag of this store"}})
	wantStatus(t, err, codes.InvalidArgument, status.Convert(err).Message(), "ETAG_INVALID")
}

// eachState calls every method of the state API with a key.
func eachState(ctx context.Context, c runtimev1.RuntimeClient, store, key string) map[string]error {
	items := []*runtimev1.StateItem{item(key, "v")}
	_, get := c.GetState(ctx, &runtimev1.GetStateRequest{StoreName: store, Key: key})
	_, bulk := c.GetBulkState(ctx, &runtimev1.GetBulkStateRequest{StoreName: store, Keys: []string{key}})
	_, save := c.SaveState(ctx, &runtimev1.SaveStateRequest{StoreName: store, States: items})
	_, del := c.DeleteState(ctx, &runtimev1.DeleteStateRequest{StoreName: store, Key: key})
	_, delBulk := c.DeleteBulkState(ctx, &runtimev1.DeleteBulkStateRequest{StoreName: store, States: items})
	_, tx := c.ExecuteStateTransaction(ctx, &runtimev1.ExecuteStateTransactionRequest{
		StoreName:  store,
		Operations: []*runtimev1.TransactionalStateOperation{upsert(items[0])},
	})
	return map[string]error{"GetState": get, "GetBulkState": bulk, "SaveState": save, "DeleteState": del, "DeleteBulkState": delBulk, "ExecuteStateTransaction": tx}
}

func TestStateBadRequests(t *testing.T) {
	client, _ := serve(t, states(map[string]state.Store{"s": newStore(t)}))
	none, _ := serve(t, layotto.Config{})
	const separator = `key "a||b" can't contain "||", which separates prefix and key: choose another key`
	for _, tc := range []struct {
		test       string
		client     runtimev1.RuntimeClient
		store, key string
		code       codes.Code
		text       string
		reason     string
	}{
		{"none configured", none, "s", "k", codes.FailedPrecondition, "state store is not configured", "NOT_CONFIGURED"},
		{"unknown store", client, "x", "k", codes.InvalidArgument, "state store x is not found", "UNKNOWN_COMPONENT"},
		{"empty key", client, "s", "", codes.InvalidArgument, "the key is empty: every item needs one", "INVALID_ARGUMENT"},
		{"separator", client, "s", "a||b", codes.Unknown, separator, "ILLEGAL_KEY"},
	} {
		for method, err := range eachState(timeout(t), tc.client, tc.store, tc.key) {
			t.Run(tc.test+"/"+method, func(t *testing.T) { wantStatus(t, err, tc.code, tc.text, tc.reason) })
		}
	}
}

// TestStateLongKey has keys that would fill an error's text, and leave no room for
// what is wrong.
func TestStateLongKey(t *testing.T) {
	client, _ := serve(t, states(map[string]state.Store{"s": newStore(t), "b": broken{newStore(t)}}))
	long := strings.Repeat("k", 10_000)
	for _, tc := range []struct{ store, key, reason string }{
		{"b", "bad" + long, errDisk.Error()},
		{"s", long + "||", "which separates prefix and key"},
	} {
		for method, err := range eachState(timeout(t), client, tc.store, tc.key) {
			if tc.store == "b" && (method == "GetBulkState" || method == "ExecuteStateTransaction") {
				continue // the one has it in the item, the other is not supported
			}
			if text := status.Convert(err).Message(); !strings.Contains(text, tc.reason) {
				t.Errorf("%s: %q does not say %q", method, text, tc.reason)
			}
		}
	}
}

func TestStateFailures(t *testing.T) {
	client, _ := serve(t, states(map[string]state.Store{"b": broken{newStore(t)}, "slow": hanging{newStore(t)}, "s": newStore(t)}))
	errs := eachState(timeout(t), client, "b", "bad")
	for method, want := range map[string]struct {
		code codes.Code
		text string
	}{
		"GetState":        {codes.Internal, "fail to get bad from state store b: disk on fire"},
		"SaveState":       {codes.Internal, `failed saving state in state store b: key "bad": disk on fire`},
		"DeleteState":     {codes.Internal, "failed deleting state with key bad: disk on fire"},
		"DeleteBulkState": {codes.Unknown, "failed deleting states in state store b: disk on fire"},
	} {
		t.Run(method, func(t *testing.T) { wantStatus(t, errs[method], want.code, want.text, "INTERNAL") })
	}
	t.Run("one key of many", func(t *testing.T) {
		bulk, err := client.GetBulkState(timeout(t), &runtimev1.GetBulkStateRequest{StoreName: "b", Keys: []string{"good", "bad"}})
		if err != nil || bulk.GetItems()[0].GetError() != "" || bulk.GetItems()[1].GetError() != "disk on fire" || bulk.GetItems()[1].GetKey() != "bad" {
			t.Errorf("GetBulkState = %v, %v", bulk, err)
		}
	})
	t.Run("one item of many", func(t *testing.T) {
		_, err := client.SaveState(timeout(t), &runtimev1.SaveStateRequest{StoreName: "b", States: []*runtimev1.StateItem{item("x", ""), item("bad", ""), item("y", "")}})
		wantStatus(t, err, codes.Internal,
			`failed saving state in state store b: item 2 of 3, key "bad", failed and the items after it were not tried: disk on fire`, "INTERNAL")
	})
	t.Run("no transactions", func(t *testing.T) {
		_, err := client.ExecuteStateTransaction(timeout(t), &runtimev1.ExecuteStateTransactionRequest{StoreName: "b"})
		wantStatus(t, err, codes.Unimplemented, "state store b doesn't support transaction", "NOT_SUPPORTED")
	})
	t.Run("operation type", func(t *testing.T) {
		_, err := client.ExecuteStateTransaction(timeout(t), &runtimev1.ExecuteStateTransactionRequest{
			StoreName:  "s",
			Operations: []*runtimev1.TransactionalStateOperation{{OperationType: "merge", Request: item("k", "")}},
		})
		wantStatus(t, err, codes.Unimplemented, "operation type merge not supported", "NOT_SUPPORTED")
	})
	t.Run("operation without a request", func(t *testing.T) {
		_, err := client.ExecuteStateTransaction(timeout(t), &runtimev1.ExecuteStateTransactionRequest{
			StoreName:  "s",
			Operations: []*runtimev1.TransactionalStateOperation{upsert(item("k", "v")), upsert(nil)},
		})
		wantStatus(t, err, codes.InvalidArgument,
			"operation 1 (upsert) of the transaction has no request: add one or leave the operation out", "INVALID_ARGUMENT")
	})
	t.Run("time to live", func(t *testing.T) {
		bad := item("k", "v")
		bad.Metadata = map[string]string{"ttlInSeconds": "soon"}
		_, err := client.SaveState(timeout(t), &runtimev1.SaveStateRequest{StoreName: "s", States: []*runtimev1.StateItem{bad}})
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), `ttlInSeconds "soon"`) || !strings.Contains(err.Error(), `"k"`) {
			t.Errorf("%v, want INVALID_ARGUMENT", err)
		}
	})
	t.Run("unknown options", func(t *testing.T) {
		_, err := client.DeleteState(timeout(t), &runtimev1.DeleteStateRequest{StoreName: "s", Key: "k", Options: &runtimev1.StateOptions{Concurrency: 9}})
		wantStatus(t, err, codes.InvalidArgument, "concurrency 9 is unknown: the known values are 0, 1 and 2", "INVALID_ARGUMENT")
		_, err = client.GetState(timeout(t), &runtimev1.GetStateRequest{StoreName: "s", Key: "k", Consistency: -1})
		wantStatus(t, err, codes.InvalidArgument, "consistency -1 is unknown: the known values are 0, 1 and 2", "INVALID_ARGUMENT")
	})
	t.Run("nil item", func(t *testing.T) {
		_, err := client.SaveState(timeout(t), &runtimev1.SaveStateRequest{StoreName: "s", States: []*runtimev1.StateItem{nil}})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v, want INVALID_ARGUMENT", err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := client.GetState(ctx, &runtimev1.GetStateRequest{StoreName: "slow", Key: "k"})
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("%v, want DEADLINE_EXCEEDED", err)
		}
	})
	t.Run("a key of a megabyte", func(t *testing.T) {
		// The answer must fit into what clients take for trailers.
		_, err := client.GetState(timeout(t), &runtimev1.GetStateRequest{StoreName: "b", Key: "bad" + strings.Repeat("ü", 1<<19)})
		if s := status.Convert(err); s.Code() != codes.Internal || len(s.Message()) > 2000 || !strings.HasPrefix(s.Message(), "fail to get badü") {
			t.Errorf("%v with a text of %d bytes", s.Code(), len(s.Message()))
		}
	})
}

// Many clients, one store: every read sees a whole write.
func TestStateConcurrently(t *testing.T) {
	client, _ := serve(t, states(map[string]state.Store{"s": newStore(t)}))
	ctx := timeout(t)
	done := make(chan error)
	const clients, rounds = 8, 50
	for c := range clients {
		go func() {
			done <- func() error {
				key := "k" + strconv.Itoa(c%2)
				for i := range rounds {
					v := strings.Repeat(strconv.Itoa(i%10), 1000)
					if _, err := client.SaveState(ctx, &runtimev1.SaveStateRequest{StoreName: "s", States: []*runtimev1.StateItem{item(key, v)}}); err != nil {
						return err
					}
					resp, err := client.GetState(ctx, &runtimev1.GetStateRequest{StoreName: "s", Key: key})
					if err != nil {
						return err
					}
					if d := string(resp.GetData()); len(d) != 1000 || strings.Trim(d, d[:1]) != "" {
						return errors.New("a torn value: " + d)
					}
				}
				return nil
			}()
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
