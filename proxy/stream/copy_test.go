package stream_test

import (
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

type caller struct{ stream.Caller }

// A copy asks for the same, whatever fields a Request gets in time, and
// neither sees what is done to the other.
func TestRequestCopyFrom(t *testing.T) {
	body := io.NopCloser(strings.NewReader("x"))
	src := &stream.Request{Body: body, Tunnel: body, Caller: caller{}, Native: "frame", Info: stream.Info{ID: "1"}}
	left := map[string]bool{"Body": true, "Trailer": true, "Tunnel": true, "Caller": true, "Native": true, "Info": true}
	v := reflect.ValueOf(src).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		switch p := f.Addr().Interface().(type) {
		case *string:
			*p = v.Type().Field(i).Name
		case *bool:
			*p = true
		case *int64:
			*p = 7
		case *uint64:
			*p = 8
		case *time.Duration:
			*p = time.Second
		case *time.Time:
			*p = time.Unix(1, 0)
		case *stream.Header:
			p.Add("a", "1")
		case *stream.Vars:
			p.Set("v", "1")
		case *[]string:
			*p = []string{"tried"}
		case *[]stream.Label:
			*p = []stream.Label{{Key: "k", Value: "v"}}
		case **stream.Policy:
			*p = &stream.Policy{}
		case *stream.Filter:
			*p = func(h stream.Handler) stream.Handler { return h }
		case *io.ReadCloser, *any, *stream.Caller, *stream.Info:
		default:
			t.Fatalf("field %s: this test does not know type %s", v.Type().Field(i).Name, f.Type())
		}
	}
	var dst stream.Request
	dst.Header.Add("old", "1")
	dst.Tried = append(dst.Tried, "old", "older")
	dst.CopyFrom(src)
	w := reflect.ValueOf(&dst).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		switch a, b := v.Field(i).Interface(), w.Field(i).Interface(); {
		case left[name]:
			if !w.Field(i).IsZero() {
				t.Errorf("%s was copied", name)
			}
		case name == "PerHost":
			if w.Field(i).IsNil() {
				t.Error("PerHost was not copied")
			}
		case !reflect.DeepEqual(a, b) && name != "Header" && name != "Vars":
			t.Errorf("%s: %v, want %v", name, b, a)
		}
	}

	dst.Header.Set("a", "2")
	dst.Header.Add("b", "2")
	dst.Vars.Set("v", "2")
	dst.Tried[0] = "other"
	if src.Header.Len() != 1 || src.Header.Get("a") != "1" || src.Tried[0] != "tried" {
		t.Errorf("a change of the copy reached the original: %+v", src)
	}
	if got, _ := src.Vars.Get("v"); got != "1" {
		t.Errorf("the original's variable is %q now", got)
	}
	if got, _ := dst.Vars.Get("v"); got != "2" || dst.Header.Get("a") != "2" || dst.Header.Get("old") != "" {
		t.Errorf("the copy is %+v", dst)
	}
}
