package cloudapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestCheck: any answer counts as up, for a while, until a call finds nobody.
func TestCheck(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	client := NewClient()
	defer client.Close()
	a := &AWS{Client: client, Endpoint: server.URL, Service: "kms", Target: "T", Region: "r", KeyID: "id", KeySecret: "s3cret"}
	for range 2 {
		if err := a.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("it was asked %d times, want once", n)
	}
	server.Close()
	if err := a.Check(t.Context()); err != nil {
		t.Errorf("shortly after an answer: %v", err)
	}
	if err := a.Call(t.Context(), "Encrypt", nil, nil); err == nil {
		t.Error("a call without a server: no error")
	}
	if err := a.Check(t.Context()); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(server.URL, "http://")) {
		t.Errorf("after a call that failed: %v, want an error with the address", err)
	}
}
