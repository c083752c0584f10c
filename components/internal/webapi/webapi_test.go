package webapi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDo(t *testing.T) {
	var status atomic.Int64
	body := `{"message": "because"}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status.Load() == 0 {
			<-r.Context().Done()
			return
		}
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	c := New("Server", []string{server.URL})
	defer c.Close()
	for code, want := range map[int64]error{
		200: nil, 304: nil, 404: nil, 400: nil, 401: configuration.ErrDenied, 403: configuration.ErrDenied,
		500: configuration.ErrUnavailable, 503: configuration.ErrUnavailable, 429: configuration.ErrUnavailable, 0: configuration.ErrUnavailable,
	} {
		status.Store(code)
		limit := time.Minute
		if code == 0 {
			limit = 200 * time.Millisecond
		}
		a, err := c.Do(t.Context(), Request{Method: http.MethodGet, Path: "/p?token=hush", Limit: limit})
		switch {
		case !errors.Is(err, want) || err == nil && (int64(a.Status) != code || a.OK() != (code == 200)):
			t.Errorf("status %d: %+v %v, want %v", code, a, err, want)
		case err != nil && (strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "/p")):
			t.Errorf("status %d: %v", code, err)
		case components.IsLate(err) != (code == 0):
			t.Errorf("status %d: %v; late: %t", code, err, components.IsLate(err))
		case err != nil && code != 0 && !strings.Contains(err.Error(), "because"):
			t.Errorf("status %d: %v does not say why", code, err)
		}
	}
}

// The server that answers is asked first from then on.
func TestServers(t *testing.T) {
	var asked atomic.Int64
	dead := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer dead.Close()
	alive := httptest.NewServer(http.NotFoundHandler())
	defer alive.Close()
	c := New("Server", nil)
	defer c.Close()
	c.SetServers([]string{dead.URL, alive.URL})
	for range 3 {
		if a, err := c.Do(t.Context(), Request{Method: http.MethodGet, Path: "/", Limit: time.Minute}); err != nil || a.Status != http.StatusNotFound {
			t.Fatal(a, err)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("a server that does not serve was asked %d times", asked.Load())
	}
}

func TestBase(t *testing.T) {
	for in, want := range map[string]string{
		"h:1": "http://h:1", "https://h/x/": "https://h/x", "http://h:1//": "http://h:1",
		"": "", "ftp://h": "", "http://u:p@h": "", "h?x=1": "", "http://a b": "",
	} {
		got, err := Base(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
	}
}
