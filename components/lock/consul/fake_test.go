package consul

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake stands in for Consul, which cannot be had here: the endpoints for sessions and
// transactions, with Consul's rules and words, as far as a lock needs them. In one
// thing it differs: where it is hasty, sessions live a tenth of what Consul lets them live.
type fake struct {
	*httptest.Server
	token string
	hasty bool

	mu       sync.Mutex
	index    uint64
	keys     map[string]*fakeKey
	sessions map[string]*fakeSession
	leader   string
}

type fakeKey struct {
	value       []byte
	flags       uint64
	session     string
	create, mod uint64
}

type fakeSession struct {
	delay time.Duration
	timer *time.Timer
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{keys: map[string]*fakeKey{}, sessions: map[string]*fakeSession{}, leader: "127.0.0.1:8300"}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/session/create", f.create)
	mux.HandleFunc("PUT /v1/session/destroy/{id}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.destroy(r.PathValue("id"))
		_, _ = fmt.Fprint(w, "true")
	})
	mux.HandleFunc("PUT /v1/txn", f.txn)
	mux.HandleFunc("GET /v1/status/leader", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		_, _ = fmt.Fprintf(w, "%q", f.leader)
	})
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.token != "" && r.Header.Get("X-Consul-Token") != f.token {
			http.Error(w, "Permission denied", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		f.Server.Close()
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, s := range f.sessions {
			s.timer.Stop()
		}
	})
	return f
}

func (f *fake) addr() string { return strings.TrimPrefix(f.URL, "http://") }

func (f *fake) create(w http.ResponseWriter, r *http.Request) {
	var body struct {
		TTL, Behavior, LockDelay string
		NodeChecks               []string
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	ttl, err2 := time.ParseDuration(body.TTL)
	delay, err3 := time.ParseDuration(body.LockDelay)
	if err != nil || err2 != nil || err3 != nil || ttl < 10*time.Second || ttl > 86400*time.Second || body.Behavior != "delete" || body.NodeChecks == nil || len(body.NodeChecks) != 0 {
		http.Error(w, fmt.Sprintf("Invalid Session: %+v", body), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.index++
	id := fmt.Sprintf("session-%d", f.index)
	if ttl *= 2; f.hasty {
		ttl /= 10
	}
	f.sessions[id] = &fakeSession{delay: delay, timer: time.AfterFunc(ttl, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.destroy(id)
	})}
	_, _ = fmt.Fprintf(w, `{"ID": %q}`, id)
}

// destroy is called with mu held.
func (f *fake) destroy(id string) {
	s := f.sessions[id]
	if s == nil {
		return
	}
	s.timer.Stop()
	delete(f.sessions, id)
	for key, k := range f.keys {
		if k.session == id {
			f.index++
			delete(f.keys, key) // and for s.delay, a millisecond, nobody would get it
		}
	}
}

type fakeOp struct {
	Verb, Key, Session string
	Value              []byte
	Index, Flags       uint64
}

func (f *fake) txn(w http.ResponseWriter, r *http.Request) {
	var ops []struct{ KV fakeOp }
	if err := json.NewDecoder(r.Body).Decode(&ops); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before := map[string]fakeKey{}
	for key, k := range f.keys {
		before[key] = *k
	}
	f.index++
	var results []map[string]any
	for i, op := range ops {
		result, what := f.apply(op.KV)
		if what != "" {
			f.keys = map[string]*fakeKey{}
			for key, k := range before {
				f.keys[key] = &k
			}
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(map[string]any{"Errors": []map[string]any{{"OpIndex": i, "What": what}}})
			return
		}
		if result != nil {
			results = append(results, map[string]any{"KV": result})
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"Results": results})
}

func (f *fake) apply(op fakeOp) (result map[string]any, what string) {
	k := f.keys[op.Key]
	show := func(value bool) map[string]any {
		out := map[string]any{"Key": op.Key, "Flags": k.flags, "CreateIndex": k.create, "ModifyIndex": k.mod}
		if k.session != "" {
			out["Session"] = k.session
		}
		if value {
			out["Value"] = k.value
		}
		return out
	}
	switch op.Verb {
	case "get":
		if k == nil {
			return nil, fmt.Sprintf("key %q doesn't exist", op.Key)
		}
		return show(true), ""
	case "check-index":
		if k == nil {
			return nil, fmt.Sprintf("key %q doesn't exist", op.Key)
		}
		if k.mod != op.Index {
			return nil, fmt.Sprintf("failed index check for key %q, current modify index %d != %d", op.Key, k.mod, op.Index)
		}
		return show(false), ""
	case "lock":
		if f.sessions[op.Session] == nil {
			return nil, fmt.Sprintf("invalid session %q", op.Session)
		}
		if k != nil && k.session != "" && k.session != op.Session {
			return nil, fmt.Sprintf("failed to lock key %q, lock is already held", op.Key)
		}
		if k == nil {
			k = &fakeKey{create: f.index}
			f.keys[op.Key] = k
		}
		k.value, k.flags, k.session, k.mod = op.Value, op.Flags, op.Session, f.index
		return show(false), ""
	case "unlock":
		if k == nil || k.session != op.Session {
			return nil, fmt.Sprintf("failed to unlock key %q, lock isn't held, or is held by another session", op.Key)
		}
		k.value, k.flags, k.session, k.mod = op.Value, op.Flags, "", f.index
		return show(false), ""
	case "delete-cas":
		if k == nil || k.mod != op.Index {
			return nil, fmt.Sprintf("failed to delete key %q, index is stale", op.Key)
		}
		delete(f.keys, op.Key)
		return nil, ""
	}
	return nil, "unknown verb " + op.Verb
}
