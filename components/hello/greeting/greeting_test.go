package greeting_test

import (
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/hello"
	"github.com/ottavo-runtime/ottavo/components/hello/greeting"
	"github.com/ottavo-runtime/ottavo/components/hello/hellotest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestSuite(t *testing.T) {
	matrix.Backend(t, "hello", "helloworld")
	hellotest.Run(t, hellotest.Options{
		Open: func(t *testing.T) hello.Greeter {
			g, err := greeting.New(t.Context(), components.Env{}, components.Config{Rest: map[string]any{"hello": "grüß dich"}})
			if err != nil {
				t.Fatal(err)
			}
			return g
		},
		Want: func(name string) string {
			if name == "" {
				return "grüß dich"
			}
			return "grüß dich, " + name
		},
	})
}

func TestHello(t *testing.T) {
	for _, tc := range []struct {
		test string
		rest map[string]any
		name string
		want string
	}{
		{"greeting and name", map[string]any{"hello": "greeting"}, "eva", "greeting, eva"},
		{"no name", map[string]any{"hello": "greeting"}, "", "greeting"},
		{"no greeting", nil, "eva", ", eva"},
		{"nothing", map[string]any{"hello": nil}, "", ""},
		{"no ASCII", map[string]any{"hello": "grüß dich"}, "伊娃", "grüß dich, 伊娃"},
	} {
		t.Run(tc.test, func(t *testing.T) {
			g, err := greeting.New(t.Context(), components.Env{}, components.Config{Rest: tc.rest})
			if err != nil {
				t.Fatal(err)
			}
			got, err := g.Hello(t.Context(), tc.name)
			if err != nil || got != tc.want {
				t.Errorf("Hello(%q) = %q, %v; want %q", tc.name, got, err, tc.want)
			}
		})
	}
}

func TestGreetingMustBeText(t *testing.T) {
	g, err := greeting.New(t.Context(), components.Env{}, components.Config{
		Path: "runtime.hellos.demo",
		Rest: map[string]any{"hello": []any{"a"}},
	})
	if err == nil {
		t.Fatalf("New = %v, want an error", g)
	}
	for _, part := range []string{"runtime.hellos.demo.hello", "[a]", "string"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not name %q", err, part)
		}
	}
}

// A greeter takes a new greeting while it greets, and refuses settings without one.
func TestReconfigure(t *testing.T) {
	g, err := greeting.New(t.Context(), components.Env{}, components.Config{Rest: map[string]any{"hello": "greeting"}})
	if err != nil {
		t.Fatal(err)
	}
	r := g.(components.Reconfigurer)
	if err := r.Reconfigure(t.Context(), map[string]string{"helo": "x"}); err == nil || !strings.Contains(err.Error(), `"hello"`) {
		t.Errorf("without the key: %v", err)
	}
	if text, _ := g.Hello(t.Context(), "eva"); text != "greeting, eva" {
		t.Errorf("a refused change changed the greeting to %q", text)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			if text, _ := g.Hello(t.Context(), ""); text != "greeting" && text != "goodbye" {
				t.Errorf("greeting %q", text)
			}
		}
	}()
	if err := r.Reconfigure(t.Context(), map[string]string{"hello": "goodbye"}); err != nil {
		t.Error(err)
	}
	<-done
	if text, _ := g.Hello(t.Context(), "eva"); text != "goodbye, eva" {
		t.Errorf("after the change: %q", text)
	}
}
