package redisnode

import (
	"reflect"
	"testing"

	goredis "github.com/go-redis/redis/v8"
)

func TestParseSlots(t *testing.T) {
	node := func(fields ...any) any { return fields }
	reply := []any{
		[]any{int64(0), int64(99), node("", int64(7000), "id", []any{}), node("10.0.0.2", int64(7001))},
		[]any{int64(100), int64(16383), node("?", int64(7002), "id"), node("h", int64(7003), "id", []any{"ip", "10.0.0.3"})},
	}
	want := []goredis.ClusterSlot{
		{Start: 0, End: 99, Nodes: []goredis.ClusterNode{{Addr: "asked:7000"}, {Addr: "10.0.0.2:7001"}}},
		{Start: 100, End: 16383, Nodes: []goredis.ClusterNode{{Addr: "h:7003"}}},
	}
	got, err := parseSlots(reply, "asked:1")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range [][]any{
		{"x"},
		{[]any{}},
		{[]any{int64(1), int64(2)}},
		{[]any{"0", int64(2), node("h", int64(1))}},
		{[]any{int64(1), int64(2), "node"}},
		{[]any{int64(1), int64(2), node("h")}},
		{[]any{int64(1), int64(2), node("h", "port")}},
	} {
		if _, err := parseSlots(bad, "asked:1"); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
}
