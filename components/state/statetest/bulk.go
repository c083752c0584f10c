package statetest

import (
	"errors"
	"fmt"

	"github.com/ottavo-runtime/ottavo/components/state"
)

func testBulkGet(s *suite) {
	bg := s.store.(state.BulkGetter)
	a, b, no := s.key("a"), s.key("b"), s.key("no")
	s.set(a, "1")
	s.set(b, "")
	res, err := bg.BulkGet(s.ctx, []state.Get{{Key: no}, {Key: b}, {Key: a}, {Key: ""}, {Key: a}, {Key: no}})
	if err != nil {
		s.Fatal(err)
	}
	if len(res) != 6 {
		s.Fatalf("%d results for 6 requests", len(res))
	}
	for i, want := range map[int]string{1: "", 2: "1", 4: "1"} {
		if res[i].Err != nil || res[i].Item == nil || string(res[i].Item.Value) != want {
			s.Errorf("result %d: %+v, want value %q", i, res[i], want)
			continue
		}
		if single := s.get(res[i].Item.Key); single == nil || single.ETag != res[i].Item.ETag {
			s.Errorf("result %d: key %q, etag %q differ from Get", i, res[i].Item.Key, res[i].Item.ETag)
		}
	}
	for _, i := range []int{0, 5} {
		if res[i].Err != nil || res[i].Item != nil {
			s.Errorf("result %d: %+v, want nothing", i, res[i])
		}
	}
	if !errors.Is(res[3].Err, state.ErrInvalid) || res[3].Item != nil {
		s.Errorf("result of the empty key: %+v, want ErrInvalid", res[3])
	}
	if res, err := bg.BulkGet(s.ctx, nil); err != nil || len(res) != 0 {
		s.Errorf("BulkGet of nothing: %v, %v", res, err)
	}
}

func testBulkWrite(s *suite) {
	bw := s.store.(state.BulkWriter)
	a, b, c := s.key("a"), s.key("b"), s.key("c")
	s.set(a, "1")
	s.set(b, "1")
	ops := []state.Op{
		{Key: a, Value: []byte("2")},
		{Key: "", Value: []byte("2")},
		{Key: b, Delete: true},
		{Key: c, Value: []byte("2")},
		{Key: c, Value: []byte("3")},
		{Key: s.key("no"), Delete: true},
	}
	want := []error{nil, state.ErrInvalid, nil, nil, nil, nil}
	if s.store.Features().ETag {
		ops = append(ops,
			state.Op{Key: a, Value: []byte("4"), ETag: s.opts.ForeignETag, HasETag: true},
			state.Op{Key: a, Value: []byte("5"), ETag: "no etag", HasETag: true},
			state.Op{Key: s.key("new"), Value: []byte("1"), Options: state.Options{Concurrency: state.FirstWrite}},
			state.Op{Key: s.key("new"), Value: []byte("2"), Options: state.Options{Concurrency: state.FirstWrite}},
			state.Op{Key: s.key("last"), Value: []byte("1")},
		)
		want = append(want, state.ErrETagMismatch, state.ErrETagInvalid, nil, state.ErrETagMismatch, nil)
	}
	errs := bw.BulkWrite(s.ctx, ops)
	if len(errs) != len(ops) {
		s.Fatalf("%d errors for %d operations", len(errs), len(ops))
	}
	for i := range errs {
		if !errors.Is(errs[i], want[i]) {
			s.Errorf("%s: error %v, want %v", describe(ops[i]), errs[i], want[i])
		}
	}
	s.want(a, "2")
	s.wantMissing(b)
	s.want(c, "3")
	if s.store.Features().ETag {
		s.want(s.key("new"), "1")
		s.want(s.key("last"), "1")
	}
	if errs := bw.BulkWrite(s.ctx, nil); len(errs) != 0 {
		s.Errorf("BulkWrite of nothing: %v", errs)
	}
}

func testBulkMany(s *suite) {
	bw := s.store.(state.BulkWriter)
	bg := s.store.(state.BulkGetter)
	const n = 3000
	ops, gets := make([]state.Op, n), make([]state.Get, n)
	for i := range n {
		k := s.key(fmt.Sprint(i))
		ops[i], gets[i] = state.Op{Key: k, Value: []byte(k)}, state.Get{Key: k}
	}
	for i, err := range bw.BulkWrite(s.ctx, ops) {
		if err != nil {
			s.Fatalf("operation %d: %v", i, err)
		}
	}
	res, err := bg.BulkGet(s.ctx, gets)
	if err != nil {
		s.Fatal(err)
	}
	for i, r := range res {
		if r.Err != nil || r.Item == nil || r.Item.Key != gets[i].Key || string(r.Item.Value) != gets[i].Key {
			s.Fatalf("result %d: %+v", i, r)
		}
	}
}
