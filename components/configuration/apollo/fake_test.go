package apollo

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Apollo's signatures have it
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is an Apollo: configuration service with long poll and signatures, and the
// open API of the portal, as its documentation has them.
type fake struct {
	*httptest.Server
	t *testing.T

	mu         sync.Mutex
	secret     string // "": no signatures
	oldVersion bool   // a DELETE of no item is a 400, and there are no encodedItems
	namespaces map[string]*namespace
	releases   int64
	changed    chan struct{} // closed and made anew with every release
	hold       time.Duration // of a long poll
	failWrites int           // a status for all writes
}

type namespace struct {
	items, released map[string]string
	release         string
	notification    int64
}

const (
	fakeApp   = "shop"
	fakeToken = "open-token"
	fakeUser  = "apollo"
)

func newFake(t *testing.T, namespaces ...string) *fake {
	t.Helper()
	f := &fake{t: t, namespaces: map[string]*namespace{}, changed: make(chan struct{}), hold: 2 * time.Second}
	for _, n := range namespaces {
		f.namespaces[n] = &namespace{items: map[string]string{}}
	}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

// publish changes a namespace as somebody at the portal would. Values that are nil
// are removed.
func (f *fake) publish(name string, values map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.namespaces[name]
	if n == nil {
		n = &namespace{items: map[string]string{}}
		f.namespaces[name] = n
	}
	for key, value := range values {
		if text, ok := value.(string); ok {
			n.items[key] = text
		} else {
			delete(n.items, key)
		}
	}
	f.release(n)
}

// release makes the items visible. The caller holds the lock.
func (f *fake) release(n *namespace) {
	f.releases++
	n.released, n.release, n.notification = maps.Clone(n.items), fmt.Sprintf("20261121-%d", f.releases), f.releases
	close(f.changed)
	f.changed = make(chan struct{})
}

func say(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, message string) {
	say(w, status, map[string]any{"status": status, "message": message, "exception": "x"})
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	var parts []string
	for part := range strings.SplitSeq(strings.Trim(r.URL.EscapedPath(), "/"), "/") {
		text, err := url.PathUnescape(part)
		if err != nil {
			refuse(w, http.StatusBadRequest, "path")
			return
		}
		parts = append(parts, text)
	}
	switch {
	case parts[0] == "openapi":
		f.portal(w, r, parts[2:])
	case !f.signed(r):
		w.WriteHeader(http.StatusUnauthorized)
	case parts[0] == "configs" && len(parts) == 4:
		f.configs(w, r, parts[1:])
	case r.URL.Path == "/notifications/v2":
		f.notifications(w, r)
	default:
		refuse(w, http.StatusNotFound, "no such path")
	}
}

func (f *fake) signed(r *http.Request) bool {
	f.mu.Lock()
	secret := f.secret
	f.mu.Unlock()
	if secret == "" {
		return true
	}
	ms, err := strconv.ParseInt(r.Header.Get("Timestamp"), 10, 64)
	if age := time.Since(time.UnixMilli(ms)); err != nil || age > time.Minute || age < -time.Minute {
		return false
	}
	text := r.Header.Get("Timestamp") + "\n" + r.URL.Path
	if r.URL.RawQuery != "" {
		text += "?" + r.URL.RawQuery
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(text))
	return r.Header.Get("Authorization") == "Apollo "+fakeApp+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (f *fake) configs(w http.ResponseWriter, r *http.Request, parts []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.namespaces[parts[2]]
	switch {
	case parts[0] != fakeApp || parts[1] != "default" || n == nil || n.release == "":
		refuse(w, http.StatusNotFound, "Could not load configurations")
	case r.URL.Query().Get("releaseKey") == n.release:
		w.WriteHeader(http.StatusNotModified)
	default:
		say(w, http.StatusOK, map[string]any{
			"appId": parts[0], "cluster": parts[1], "namespaceName": parts[2], "configurations": n.released, "releaseKey": n.release,
		})
	}
}

func (f *fake) notifications(w http.ResponseWriter, r *http.Request) {
	var asked []notification
	if err := json.Unmarshal([]byte(r.URL.Query().Get("notifications")), &asked); err != nil || len(asked) == 0 {
		refuse(w, http.StatusBadRequest, "Invalid format of notifications")
		return
	}
	timer := time.NewTimer(f.hold)
	defer timer.Stop()
	for {
		f.mu.Lock()
		var news []notification
		for _, a := range asked {
			if n := f.namespaces[a.Namespace]; n != nil && n.release != "" && n.notification != a.ID {
				messages := fmt.Sprintf(`{"details":{"%s+default+%s":%d}}`, fakeApp, a.Namespace, n.notification)
				news = append(news, notification{Namespace: a.Namespace, ID: n.notification, Messages: json.RawMessage(messages)})
			}
		}
		changed := f.changed
		f.mu.Unlock()
		if r.URL.Query().Get("appId") != fakeApp {
			news = nil
		}
		if len(news) > 0 {
			say(w, http.StatusOK, news)
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			w.WriteHeader(http.StatusNotModified)
			return
		case <-r.Context().Done():
			return
		}
	}
}

// portal is the open API; parts begin behind /openapi/v1.
func (f *fake) portal(w http.ResponseWriter, r *http.Request, parts []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Header.Get("Authorization") != fakeToken {
		refuse(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	if f.failWrites != 0 {
		refuse(w, f.failWrites, "cannot write")
		return
	}
	var body map[string]any
	if r.Method != http.MethodDelete {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			refuse(w, http.StatusBadRequest, "body")
			return
		}
	}
	text := func(key string) string { s, _ := body[key].(string); return s }
	if len(parts) == 3 && parts[0] == "apps" && parts[2] == "appnamespaces" && r.Method == http.MethodPost {
		if text("format") != "properties" || text("dataChangeCreatedBy") != fakeUser || text("appId") != fakeApp {
			refuse(w, http.StatusBadRequest, "appnamespace")
			return
		}
		f.namespaces[text("name")] = &namespace{items: map[string]string{}}
		say(w, http.StatusOK, body)
		return
	}
	// envs/DEV/apps/shop/clusters/default/namespaces/NS/…
	if len(parts) < 9 || strings.Join(parts[:6], "/") != "envs/DEV/apps/"+fakeApp+"/clusters/default" {
		refuse(w, http.StatusNotFound, "no such path")
		return
	}
	n := f.namespaces[parts[7]]
	if n == nil {
		refuse(w, http.StatusNotFound, "namespace not found for "+parts[7])
		return
	}
	f.item(w, r, n, parts[8:], text)
}

func (f *fake) item(w http.ResponseWriter, r *http.Request, n *namespace, parts []string, text func(string) string) {
	if parts[0] == "releases" && r.Method == http.MethodPost {
		if text("releaseTitle") == "" || text("releasedBy") != fakeUser {
			refuse(w, http.StatusBadRequest, "Params(releaseTitle and releasedBy) can not be empty")
			return
		}
		f.release(n)
		say(w, http.StatusOK, map[string]any{"name": text("releaseTitle")})
		return
	}
	if len(parts) != 2 || parts[0] != "items" && (parts[0] != "encodedItems" || f.oldVersion) {
		refuse(w, http.StatusNotFound, "no such path")
		return
	}
	key := parts[1]
	if parts[0] == "encodedItems" {
		decoded, err := base64.URLEncoding.DecodeString(key)
		if err != nil {
			refuse(w, http.StatusBadRequest, "key")
			return
		}
		key = string(decoded)
	} else if strings.Contains(key, "/") {
		refuse(w, http.StatusBadRequest, "a slash in the path")
		return
	}
	_, there := n.items[key]
	switch {
	case r.Method == http.MethodPut:
		if text("key") != key || text("dataChangeLastModifiedBy") != fakeUser || text("dataChangeCreatedBy") != fakeUser {
			refuse(w, http.StatusBadRequest, "item payload")
			return
		}
		if !there && r.URL.Query().Get("createIfNotExists") != "true" {
			refuse(w, http.StatusNotFound, "item not found")
			return
		}
		n.items[key] = text("value")
		w.WriteHeader(http.StatusOK)
	case r.Method == http.MethodDelete && r.URL.Query().Get("operator") != fakeUser:
		refuse(w, http.StatusBadRequest, "operator should not be null or empty")
	case r.Method == http.MethodDelete && !there:
		status := http.StatusNotFound
		if f.oldVersion {
			status = http.StatusBadRequest
		}
		refuse(w, status, cmp.Or("item not exist"))
	case r.Method == http.MethodDelete:
		delete(n.items, key)
		w.WriteHeader(http.StatusOK)
	default:
		refuse(w, http.StatusMethodNotAllowed, "method")
	}
}
