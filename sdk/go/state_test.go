package ottavo_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

func TestGet(t *testing.T) {
	f, client := serve(t)
	s := client.State("orders")

	f.answer = &runtimev1.GetStateResponse{Data: []byte("v"), Etag: "7", Metadata: map[string]string{"ttlExpireTime": "2030-01-02T03:04:05Z"}}
	got, err := s.Get(timeout(t), "k", ottavo.Read{Consistency: ottavo.Strong, Metadata: map[string]string{"a": "b"}})
	want := ottavo.Item{
		Key: "k", Found: true, Value: []byte("v"), ETag: "7", Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		Metadata: map[string]string{"ttlExpireTime": "2030-01-02T03:04:05Z"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	f.wantSent(t, &runtimev1.GetStateRequest{
		StoreName: "orders", Key: "k",
		Consistency: runtimev1.StateOptions_CONSISTENCY_STRONG, Metadata: map[string]string{"a": "b"},
	})

	f.answer = &runtimev1.GetStateResponse{}
	if got, err := s.Get(timeout(t), "k"); err != nil || got.Found || got.Key != "k" {
		t.Errorf("nothing there: %+v, %v", got, err)
	}
	f.answer = &runtimev1.GetStateResponse{Etag: "1"}
	if got, err := s.Get(timeout(t), "k"); err != nil || !got.Found {
		t.Errorf("an empty value: %+v, %v", got, err)
	}
}

func TestGetBulk(t *testing.T) {
	f, client := serve(t)
	f.answer = &runtimev1.GetBulkStateResponse{Items: []*runtimev1.BulkStateItem{
		{Key: "c"}, {Key: "b", Error: "broken"}, {Key: "a", Data: []byte("1"), Etag: "e"},
	}}
	got, err := client.State("s").GetBulk(timeout(t), "a", "b", "c", "d")
	if err != nil || len(got) != 4 {
		t.Fatal(got, err)
	}
	if a := got[0]; !a.Found || a.Err != nil || string(a.Value) != "1" || a.ETag != "e" || a.Key != "a" {
		t.Errorf("a: %+v", a)
	}
	if b := got[1]; b.Found || b.Err == nil || b.Err.Error() != "broken" || b.Key != "b" {
		t.Errorf("b: %+v", b)
	}
	if c := got[2]; c.Found || c.Err != nil || c.Key != "c" {
		t.Errorf("c: %+v", c)
	}
	if d := got[3]; d.Err == nil {
		t.Errorf("d, which the answer lacks: %+v", d)
	}
}

func etag(s string) *runtimev1.Etag { return &runtimev1.Etag{Value: s} }

func TestWrites(t *testing.T) {
	f, client := serve(t)
	s, ctx := client.State("s"), timeout(t)
	firstWrite := &runtimev1.StateOptions{Concurrency: runtimev1.StateOptions_CONCURRENCY_FIRST_WRITE}
	ttl := func(seconds string) map[string]string { return map[string]string{"ttlInSeconds": seconds} }
	put, remove := ottavo.Put("a", []byte("1")), ottavo.Remove("b", ottavo.IfETag("9"))
	for name, c := range map[string]struct {
		call func() error
		sent proto.Message
	}{
		"save": {
			func() error { return s.Save(ctx, "k", []byte("v")) },
			&runtimev1.SaveStateRequest{StoreName: "s", States: []*runtimev1.StateItem{{Key: "k", Value: []byte("v")}}},
		},
		"save with everything": {
			func() error {
				return s.Save(ctx, "k", []byte("v"), ottavo.IfETag("3"), ottavo.FirstWrite(), ottavo.WriteConsistency(ottavo.Eventual),
					ottavo.Metadata(map[string]string{"x": "y"}), ottavo.TTL(90*time.Second))
			},
			&runtimev1.SaveStateRequest{StoreName: "s", States: []*runtimev1.StateItem{{
				Key: "k", Value: []byte("v"), Etag: etag("3"),
				Metadata: map[string]string{"ttlInSeconds": "90", "x": "y"},
				Options: &runtimev1.StateOptions{
					Concurrency: runtimev1.StateOptions_CONCURRENCY_FIRST_WRITE,
					Consistency: runtimev1.StateOptions_CONSISTENCY_EVENTUAL,
				},
			}}},
		},
		"TTL is rounded up": {
			func() error { return s.Save(ctx, "k", nil, ottavo.TTL(1001*time.Millisecond)) },
			&runtimev1.SaveStateRequest{StoreName: "s", States: []*runtimev1.StateItem{{Key: "k", Metadata: ttl("2")}}},
		},
		"no etag is no condition": {
			func() error { return s.Save(ctx, "k", nil, ottavo.IfETag("")) },
			&runtimev1.SaveStateRequest{StoreName: "s", States: []*runtimev1.StateItem{{Key: "k"}}},
		},
		"bulk": {
			func() error { return s.SaveBulk(ctx, put, ottavo.Put("b", nil, ottavo.FirstWrite())) },
			&runtimev1.SaveStateRequest{StoreName: "s", States: []*runtimev1.StateItem{{Key: "a", Value: []byte("1")}, {Key: "b", Options: firstWrite}}},
		},
		"delete": {func() error {
			return s.Delete(ctx, "k", ottavo.IfETag("3"), ottavo.FirstWrite(), ottavo.Metadata(map[string]string{"x": "y"}))
		}, &runtimev1.DeleteStateRequest{StoreName: "s", Key: "k", Etag: etag("3"), Options: firstWrite, Metadata: map[string]string{"x": "y"}}},
		"bulk delete": {
			func() error { return s.DeleteBulk(ctx, remove) },
			&runtimev1.DeleteBulkStateRequest{StoreName: "s", States: []*runtimev1.StateItem{{Key: "b", Etag: etag("9")}}},
		},
		"transaction": {
			func() error { return s.Transact(ctx, put, remove) },
			&runtimev1.ExecuteStateTransactionRequest{StoreName: "s", Operations: []*runtimev1.TransactionalStateOperation{
				{OperationType: "upsert", Request: &runtimev1.StateItem{Key: "a", Value: []byte("1")}},
				{OperationType: "delete", Request: &runtimev1.StateItem{Key: "b", Etag: etag("9")}},
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f.got, f.err = nil, nil
			if err := c.call(); err != nil {
				t.Fatal(err)
			}
			f.wantSent(t, c.sent)
			f.err = status.Error(codes.Aborted, "other etag")
			if err := c.call(); status.Code(err) != codes.Aborted {
				t.Errorf("%v, want the error of the runtime", err)
			}
		})
	}
}

// What makes no sense is not sent.
func TestWritesRefused(t *testing.T) {
	f, client := serve(t)
	s, ctx := client.State("s"), timeout(t)
	put, remove := ottavo.Put("a", nil), ottavo.Remove("b")
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"negative TTL":         {s.Save(ctx, "k", nil, ottavo.TTL(-time.Second)), `key "k": the TTL must be positive`},
		"TTL of a delete":      {s.Delete(ctx, "k", ottavo.TTL(time.Second)), "TTL (1s) with Remove"},
		"in a transaction":     {s.Transact(ctx, put, ottavo.Put("z", nil, ottavo.TTL(0))), `key "z"`},
		"remove in SaveBulk":   {s.SaveBulk(ctx, put, remove), `key "b": SaveBulk takes Puts`},
		"put in DeleteBulk":    {s.DeleteBulk(ctx, remove, put), `key "a": DeleteBulk takes Removes`},
		"made by nobody":       {s.SaveBulk(ctx, ottavo.Op{}), "operation 0"},
		"nobody's transaction": {s.Transact(ctx, put, ottavo.Op{}), "operation 1"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, c.err, c.want)
		}
	}
	if f.got != nil {
		t.Errorf("sent %v", f.got)
	}
}
