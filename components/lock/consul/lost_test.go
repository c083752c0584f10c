package consul

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/lock"
)

// deaf is a way to f on which the answer to a transaction with these words is lost,
// once for each time that lose is set.
func deaf(t *testing.T, f *fake, words string) (addr string, lose *atomic.Bool) {
	t.Helper()
	to, err := url.Parse(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	lose = new(atomic.Bool)
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: func(*http.Response) error { return nil },
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	lost := *proxy
	lost.ModifyResponse = func(*http.Response) error { return errors.New("lost") }
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if strings.Contains(string(body), words) && lose.CompareAndSwap(true, false) {
			lost.ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), lose
}

// A renewal whose answer is lost may have happened: the lock must not end before the
// time that its owner had anyway.
func TestRenewalWithoutAnAnswer(t *testing.T) {
	f := newFake(t)
	addr, lose := deaf(t, f, "check-index")
	l, other := backend().Open(t, addr, nil), backend().Open(t, f.addr(), nil)
	if g, err := l.TryLock(t.Context(), "r", "me", time.Minute); err != nil || g == nil {
		t.Fatal(g, err)
	}
	lose.Store(true)
	if status, err := l.Renew(t.Context(), "r", "me", time.Minute); err == nil {
		t.Fatalf("the answer was not lost: %s", status)
	}
	if g, err := other.TryLock(t.Context(), "r", "other", time.Minute); err != nil || g != nil {
		t.Errorf("another owner got the lock: %v, %v", g, err)
	}
	if status, err := l.Renew(t.Context(), "r", "me", time.Minute); err != nil || status != lock.Done {
		t.Errorf("the next renewal: %s, %v", status, err)
	}
	if status, err := l.Unlock(t.Context(), "r", "me"); err != nil || status != lock.Done {
		t.Errorf("Unlock: %s, %v", status, err)
	}
	if g, err := other.TryLock(t.Context(), "r", "other", time.Minute); err != nil || g == nil {
		t.Errorf("after Unlock: %v, %v", g, err)
	}
}
