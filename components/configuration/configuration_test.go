package configuration_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		value any
		want  string
	}{
		{[]string{"a:1", " b:2 ", ""}, "[a:1 b:2]"},
		{[]any{"a:1"}, "[a:1]"},
		{nil, "config_store.c.address: is missing"},
		{[]string{" "}, "config_store.c.address: is missing"},
	} {
		got, err := configuration.Addresses(components.Config{Path: "config_store.c", Rest: map[string]any{"address": tt.value}})
		if text := fmt.Sprint(got); err != nil && len(err.Error()) >= len(tt.want) && err.Error()[:len(tt.want)] != tt.want || err == nil && text != tt.want {
			t.Errorf("%v: %v %v, want %s", tt.value, got, err, tt.want)
		}
	}
}

func TestTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 7 * time.Second, "10": 10 * time.Second, " 0.5 ": 500 * time.Millisecond, "1m30s": 90 * time.Second,
		"0": 0, "-1": 0, "soon": 0, "-5s": 0, "1e30": 0, "NaN": 0,
	} {
		got, err := configuration.Timeout(components.Config{Path: "p", Rest: map[string]any{"timeout": text}}, 7*time.Second)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %s %v, want %s", text, got, err, want)
		}
	}
	if got, err := configuration.Timeout(components.Config{}, time.Second); got != time.Second || err != nil {
		t.Errorf("none: %s %v", got, err)
	}
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		odd := errors.New("odd")
		if err := configuration.Silence(ctx, odd, "x"); !errors.Is(err, odd) {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		if err := configuration.Silence(ctx, ctx.Err(), "the server"); !errors.Is(err, configuration.ErrUnavailable) || !strings.Contains(err.Error(), "the server does not answer") {
			t.Error(err)
		}
		if err := configuration.Silence(ctx, nil, "x"); err != nil {
			t.Error(err)
		}
	})
}

// state brings the items of a change into a form that can be compared.
func state(items []configuration.Item) string {
	s := ""
	for _, i := range items {
		s += fmt.Sprintf("%s/%s/%s=%s,%t ", i.Group, i.Label, i.Key, i.Content, i.Deleted)
	}
	return s
}

func TestBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := configuration.NewBoard()
		everything := configuration.Select(configuration.Scope{AppID: "a", Group: configuration.Any, Label: configuration.Any}, nil)
		groupG := configuration.Select(configuration.Scope{AppID: "a", Group: "g"}, nil)
		var told []string
		ended := make(chan error, 1)
		busy := make(chan struct{})
		go func() {
			ended <- b.Watch(t.Context(), everything, func(c configuration.Change) error {
				told = append(told, state(c.Items))
				<-busy
				return nil
			})
		}()
		synctest.Wait()
		put := func(app string, items ...configuration.Item) {
			t.Helper()
			if err := b.Put(app, items...); err != nil {
				t.Fatal(err)
			}
		}
		put("a", configuration.Item{Key: "1", Group: "g", Content: "x"}, configuration.Item{Key: "2", Group: "g", Content: "x"})
		put("a", configuration.Item{Key: "1", Group: "g", Content: "y"})
		put("a", configuration.Item{Key: "3", Group: "h", Content: "x"}, configuration.Item{Key: "none", Deleted: true})
		put("other", configuration.Item{Key: "1", Group: "g", Content: "other"})
		busy <- struct{}{}
		synctest.Wait()
		// The same as before is no change, nor is what lies outside.
		put("a", configuration.Item{Key: "1", Group: "g", Content: "y"})
		if err := b.Replace(groupG, []configuration.Item{{Key: "1", Group: "g", Content: "z"}, {Key: "4", Group: "h", Content: "outside"}}); err != nil {
			t.Fatal(err)
		}
		busy <- struct{}{}
		synctest.Wait()
		want := []string{"", "g//2=x,false g//1=y,false h//3=x,false ", "g//1=z,false g//2=,true "}
		if fmt.Sprint(told) != fmt.Sprint(want) {
			t.Errorf("told %q\nwant %q", told, want)
		}
		b.Forget(groupG)
		if items, err := b.Get(everything); err != nil || state(items) != "h//3=x,false " {
			t.Errorf("after Forget: %v %v", items, err)
		}
		b.Close()
		b.Close()
		busy <- struct{}{}
		if err := <-ended; !errors.Is(err, configuration.ErrClosed) {
			t.Errorf("Watch after Close: %v", err)
		}
		if _, err := b.Get(everything); !errors.Is(err, configuration.ErrClosed) {
			t.Errorf("Get after Close: %v", err)
		}
	})
}
