package statetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/state"
)

func testSetGetDelete(s *suite) {
	k := s.key("k")
	s.wantMissing(k)
	s.set(k, "one")
	if item := s.want(k, "one"); !item.ExpiresAt.IsZero() {
		s.Errorf("an item without a TTL expires at %s", item.ExpiresAt)
	}
	s.set(k, "two")
	s.want(k, "two")
	s.write(state.Op{Key: k, Delete: true})
	s.wantMissing(k)
	s.write(state.Op{Key: k, Delete: true})
	s.set(k, "three")
	s.want(k, "three")
	for _, c := range []state.Consistency{state.Eventual, state.Strong} {
		s.write(state.Op{Key: k, Value: []byte("four"), Options: state.Options{Consistency: c}})
		item, err := s.store.Get(s.ctx, state.Get{Key: k, Consistency: c, Metadata: map[string]string{"x": "y"}})
		if err != nil || item == nil || string(item.Value) != "four" {
			s.Fatalf("consistency %d: %v, %v", c, item, err)
		}
	}
}

func testValues(s *suite) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), (s.opts.MaxValue+15)/16)[:s.opts.MaxValue]
	for name, v := range map[string][]byte{
		"nil": nil, "empty": {}, "zero": {0}, "crlf": []byte("\r\n$-1\r\n"), "all": all, "invalid-utf8": {0xff, 0xfe, 0x80},
		"json": []byte(`{"a": [1, 2]}`), "number": []byte("42"), "big": big,
	} {
		if s.opts.Values != nil && !s.opts.Values(v) {
			continue
		}
		k := s.key(name)
		s.write(state.Op{Key: k, Value: v})
		s.want(k, string(v))
	}
	k := s.key("shrink")
	s.set(k, string(big))
	s.set(k, "")
	s.want(k, "")
	s.write(state.Op{Key: k, Delete: true})
	s.wantMissing(k)
}

func testKeys(s *suite) {
	names := []string{
		"a", "A", "a||b", "a:b", "a/../b", "../x", " ", "{tag}x", "日本語🗝", "e\u0301", "\u00e9", "a\x00b", "a\x00", "\xff\xfe", "%s%d", "*", strings.Repeat("k", 1000),
	}
	if takes := s.opts.Keys; takes != nil {
		names = slices.DeleteFunc(names, func(n string) bool {
			k := s.key(n)
			if takes(k) {
				return false
			}
			s.wantErr(state.Op{Key: k, Value: []byte("v")}, state.ErrInvalid)
			if item, err := s.store.Get(s.ctx, state.Get{Key: k}); item != nil || !errors.Is(err, state.ErrInvalid) {
				s.Errorf("Get(%q): %v, %v, want ErrInvalid", k, item, err)
			}
			return true
		})
	}
	for _, n := range names {
		s.set(s.key(n), n)
	}
	for _, n := range names {
		s.want(s.key(n), n)
	}
	s.write(state.Op{Key: s.key("a"), Delete: true})
	for _, n := range names[1:] {
		s.want(s.key(n), n)
	}
}

// testLongKeys has keys that are longer than most stores take: one that does not
// take them says so, and remains as it is.
func testLongKeys(s *suite) {
	rnd := rand.New(rand.NewPCG(1, 2)) // what compresses well may fit where this does not
	for _, size := range []int{4 << 10, 70 << 10, 600 << 10} {
		name := make([]byte, size)
		for i := range name {
			name[i] = 'a' + byte(rnd.IntN(26))
		}
		k := s.key(string(name))
		err := s.store.Write(s.ctx, state.Op{Key: k, Value: []byte("v")})
		item, gerr := s.store.Get(s.ctx, state.Get{Key: k})
		derr := s.store.Write(s.ctx, state.Op{Key: k, Delete: true})
		switch {
		case err == nil && (gerr != nil || item == nil || string(item.Value) != "v" || derr != nil):
			s.Errorf("a key of %d bytes was written; Get: %s, %v; Delete: %v", size, stored(item), gerr, derr)
		case err != nil && (!errors.Is(err, state.ErrInvalid) || item != nil || gerr != nil && !errors.Is(gerr, state.ErrInvalid) || derr != nil && !errors.Is(derr, state.ErrInvalid)):
			s.Errorf("a key of %d bytes was not written: %s, want ErrInvalid; Get: %s, %s; Delete: %s", size, cutOff(err), stored(item), cutOff(gerr), cutOff(derr))
		}
	}
	s.set(s.key("after"), "v")
	s.want(s.key("after"), "v")
}

func stored(item *state.Item) string {
	if item == nil {
		return "nothing"
	}
	return fmt.Sprintf("%q", short(string(item.Value)))
}

// cutOff is an error's text without all of a long key.
func cutOff(err error) string {
	if err == nil {
		return "no error"
	}
	text := err.Error()
	if len(text) > 400 {
		text = text[:200] + "..." + text[len(text)-200:]
	}
	return text
}

func testInvalidRequests(s *suite) {
	if _, err := s.store.Get(s.ctx, state.Get{}); !errors.Is(err, state.ErrInvalid) {
		s.Errorf("Get of an empty key: error %v, want ErrInvalid", err)
	}
	s.wantErr(state.Op{Value: []byte("v")}, state.ErrInvalid)
	s.wantErr(state.Op{Delete: true}, state.ErrInvalid)
	s.wantErr(state.Op{Key: s.key("k"), TTL: -time.Second}, state.ErrInvalid)
	s.wantMissing(s.key("k"))
}

func testSlicesAreCopied(s *suite) {
	k := s.key("k")
	v := []byte("value")
	s.write(state.Op{Key: k, Value: v})
	copy(v, "XXXXX")
	got := s.want(k, "value")
	copy(got.Value, "YYYYY")
	_ = append(got.Value[:0], "ZZZZZZZZZZ"...)
	s.want(k, "value")

	if b, ok := s.store.(state.BulkWriter); ok {
		v := []byte("bulk!")
		if errs := b.BulkWrite(s.ctx, []state.Op{{Key: k, Value: v}}); errs[0] != nil {
			s.Fatal(errs[0])
		}
		copy(v, "XXXXX")
		s.want(k, "bulk!")
	}
	if tx, ok := s.store.(state.Transactor); ok {
		v := []byte("trans")
		if err := tx.Transact(s.ctx, []state.Op{{Key: k, Value: v}}); err != nil {
			s.Fatal(err)
		}
		copy(v, "XXXXX")
		s.want(k, "trans")
	}
	if b, ok := s.store.(state.BulkGetter); ok {
		s.set(k, "value")
		res, err := b.BulkGet(s.ctx, []state.Get{{Key: k}, {Key: k}})
		if err != nil || res[0].Item == nil || res[1].Item == nil {
			s.Fatalf("BulkGet: %v, %v", res, err)
		}
		copy(res[0].Item.Value, "XXXXX")
		if string(res[1].Item.Value) != "value" {
			s.Error("two results of BulkGet share their bytes")
		}
		s.want(k, "value")
	}
}

// everyCall calls all that the store can do with ctx and hands each error over.
func (s *suite) everyCall(ctx context.Context, key string, got func(call string, err error)) {
	ops := []state.Op{{Key: key, Value: []byte("changed")}, {Key: key + "2", Value: []byte("changed")}}
	_, err := s.store.Get(ctx, state.Get{Key: key})
	got("Get", err)
	got("Write", s.store.Write(ctx, ops[0]))
	got("Write (delete)", s.store.Write(ctx, state.Op{Key: key, Delete: true}))
	if b, ok := s.store.(state.BulkGetter); ok {
		_, err := b.BulkGet(ctx, []state.Get{{Key: key}, {Key: key + "2"}})
		got("BulkGet", err)
	}
	if b, ok := s.store.(state.BulkWriter); ok {
		errs := b.BulkWrite(ctx, ops)
		if len(errs) != len(ops) {
			s.Fatalf("BulkWrite of %d operations returned %d errors", len(ops), len(errs))
		}
		for _, err := range errs {
			got("BulkWrite", err)
		}
	}
	if tx, ok := s.store.(state.Transactor); ok {
		got("Transact", tx.Transact(ctx, ops))
	}
}

func testCancelledContext(s *suite) {
	k := s.key("k")
	s.set(k, "v")
	cancelled, cancel := context.WithCancel(s.ctx)
	cancel()
	late, cancelLate := context.WithTimeout(s.ctx, 0)
	defer cancelLate()
	for _, tt := range []struct {
		ctx  context.Context
		want error
	}{{cancelled, context.Canceled}, {late, context.DeadlineExceeded}} {
		s.everyCall(tt.ctx, k, func(call string, err error) {
			if !errors.Is(err, tt.want) {
				s.Errorf("%s: error %v, want %v", call, err, tt.want)
			}
		})
	}
	s.want(k, "v")
	s.wantMissing(k + "2")
}

func testClosed(s *suite) {
	k := s.key("k")
	s.set(k, "v")
	for range 2 {
		if err := s.store.Close(); err != nil {
			s.Fatalf("Close: %v", err)
		}
		s.everyCall(s.ctx, k, func(call string, err error) {
			if !errors.Is(err, state.ErrClosed) {
				s.Errorf("%s after Close: error %v, want ErrClosed", call, err)
			}
		})
	}

	// Closing while others work: they succeed or are told, nobody hangs.
	other := s.opts.New(s.T)
	closed := make(chan struct{})
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() {
			for {
				if err := other.Write(s.ctx, state.Op{Key: k, Value: []byte("v")}); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	go func() {
		defer close(closed)
		if err := other.Close(); err != nil {
			s.Errorf("Close under load: %v", err)
		}
	}()
	<-closed
	for range cap(errs) {
		if err := <-errs; !errors.Is(err, state.ErrClosed) {
			s.Errorf("Write during Close: %v, want ErrClosed", err)
		}
	}
}

func testNotSupported(s *suite) {
	f := s.store.Features()
	k := s.key("k")
	if !f.ETag {
		s.wantErr(state.Op{Key: k, ETag: "1", HasETag: true}, state.ErrNotSupported)
		s.wantErr(state.Op{Key: k, Options: state.Options{Concurrency: state.FirstWrite}}, state.ErrNotSupported)
	}
	if !f.TTL {
		s.wantErr(state.Op{Key: k, TTL: time.Minute}, state.ErrNotSupported)
	}
	s.wantMissing(k)
	if f.ETag && f.TTL {
		s.Log("the store declares everything; what it declares is tested elsewhere")
	}
}

var _ testing.TB = (*suite)(nil)
