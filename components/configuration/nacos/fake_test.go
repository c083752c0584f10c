package nacos

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Alibaba Cloud's signatures have it
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is a Nacos 2, as far as its HTTP API for configurations goes: reads,
// lists, writes, the long poll, tokens and signatures.
type fake struct {
	*httptest.Server

	mu       sync.Mutex
	items    map[place]string // of the namespace
	tenant   string
	changed  chan struct{} // closed and made anew with every change
	hold     time.Duration // of a long poll
	password string        // "": no tokens are needed
	tokens   int           // how many were given; the last one counts
	secret   string        // of the access key "ak"; "": no signatures are needed
	fail     int           // a status for everything
	apps     map[place]string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{items: map[place]string{}, apps: map[place]string{}, changed: make(chan struct{}), hold: 2 * time.Second}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

// set changes an item as somebody at the console would; "" removes it.
func (f *fake) set(group, key, content string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.change(place{group, key}, content)
}

func (f *fake) change(p place, content string) {
	if content == "" {
		delete(f.items, p)
	} else {
		f.items[p] = content
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "form", http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	fail, allowed := f.fail, f.allowed(r)
	f.mu.Unlock()
	switch {
	case fail != 0:
		http.Error(w, "it fails", fail)
	case r.URL.Path == "/nacos/serverlist":
		_, _ = fmt.Fprintln(w, strings.TrimPrefix(f.URL, "http://"))
	case r.URL.Path == "/nacos/v1/auth/login":
		f.login(w, r)
	case !allowed:
		http.Error(w, `{"timestamp":"x","status":403,"error":"Forbidden","message":"unknown user!","path":"/nacos/v1/cs/configs"}`, http.StatusForbidden)
	case r.URL.Path == "/nacos/v1/cs/configs/listener":
		f.listen(w, r)
	case r.URL.Path == "/nacos/v1/cs/configs":
		f.configs(w, r)
	default:
		http.NotFound(w, r)
	}
}

// allowed checks token and signature. The caller holds the lock.
func (f *fake) allowed(r *http.Request) bool {
	if f.secret != "" {
		resource := r.Form.Get("group")
		if tenant := r.Form.Get("tenant"); tenant != "" {
			resource = tenant + "+" + resource
		}
		text := r.Header.Get("timeStamp")
		if resource != "" {
			text = resource + "+" + text
		}
		mac := hmac.New(sha1.New, []byte(f.secret))
		mac.Write([]byte(text))
		return r.Header.Get("Spas-AccessKey") == "ak" && r.Header.Get("Spas-Signature") == base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return f.password == "" || r.URL.Query().Get("accessToken") == fmt.Sprintf("token-%d", f.tokens)
}

func (f *fake) login(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method != http.MethodPost || r.PostForm.Get("username") != "nacos" || r.PostForm.Get("password") != f.password {
		http.Error(w, "unknown user!", http.StatusForbidden)
		return
	}
	f.tokens++
	_ = json.NewEncoder(w).Encode(map[string]any{"accessToken": fmt.Sprintf("token-%d", f.tokens), "tokenTtl": 18000, "globalAdmin": true})
}

func (f *fake) configs(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := place{r.Form.Get("group"), r.Form.Get("dataId")}
	content, there := f.items[p]
	switch {
	case r.Form.Get("tenant") != f.tenant:
		http.Error(w, "config data not exist", http.StatusNotFound)
	case r.Method == http.MethodGet && r.Form.Get("search") == "accurate":
		f.list(w, r, p)
	case p.key == "" || p.group == "":
		http.Error(w, "caused: Required String parameter 'dataId' is not present;", http.StatusBadRequest)
	case r.Method == http.MethodGet && !there:
		http.Error(w, "config data not exist", http.StatusNotFound)
	case r.Method == http.MethodGet:
		_, _ = fmt.Fprint(w, content)
	case r.Method == http.MethodPost && r.Form.Get("content") == "":
		http.Error(w, "caused: Param 'content' is required.;", http.StatusBadRequest)
	case r.Method == http.MethodPost:
		f.apps[p] = r.Form.Get("appName")
		f.change(p, r.Form.Get("content"))
		_, _ = fmt.Fprint(w, "true")
	case r.Method == http.MethodDelete:
		f.change(p, "")
		_, _ = fmt.Fprint(w, "true")
	default:
		http.Error(w, "method", http.StatusMethodNotAllowed)
	}
}

func (f *fake) list(w http.ResponseWriter, r *http.Request, p place) {
	size, err1 := strconv.Atoi(r.Form.Get("pageSize"))
	number, err2 := strconv.Atoi(r.Form.Get("pageNo"))
	if err1 != nil || err2 != nil {
		http.Error(w, "page", http.StatusBadRequest)
		return
	}
	var found []map[string]any
	all := slices.SortedFunc(maps.Keys(f.items), func(a, b place) int { return strings.Compare(a.group+"/"+a.key, b.group+"/"+b.key) })
	for _, at := range all {
		if (p.group == "" || at.group == p.group) && (p.key == "" || at.key == p.key) {
			found = append(found, map[string]any{"id": "1", "dataId": at.key, "group": at.group, "content": f.items[at], "md5": nil, "tenant": f.tenant, "appName": "", "type": nil})
		}
	}
	begin, end := min((number-1)*size, len(found)), min(number*size, len(found))
	_ = json.NewEncoder(w).Encode(map[string]any{
		"totalCount": len(found), "pageNumber": number, "pagesAvailable": (len(found) + size - 1) / size, "pageItems": found[begin:end],
	})
}

func (f *fake) listen(w http.ResponseWriter, r *http.Request) {
	if _, err := strconv.Atoi(r.Header.Get("Long-Pulling-Timeout")); err != nil || r.PostForm.Get("Listening-Configs") == "" {
		http.Error(w, "invalid probeModify", http.StatusBadRequest)
		return
	}
	timer := time.NewTimer(f.hold)
	defer timer.Stop()
	for {
		f.mu.Lock()
		var out strings.Builder
		for line := range strings.SplitSeq(strings.TrimSuffix(r.PostForm.Get("Listening-Configs"), lineMark), lineMark) {
			words := append(strings.Split(line, wordMark), "")
			sum := ""
			if content, there := f.items[place{words[1], words[0]}]; there && words[3] == f.tenant {
				sum = digest(content)
			}
			if sum != words[2] {
				out.WriteString(words[0] + wordMark + words[1])
				if words[3] != "" {
					out.WriteString(wordMark + words[3])
				}
				out.WriteString(lineMark)
			}
		}
		changed := f.changed
		f.mu.Unlock()
		if out.Len() > 0 {
			_, _ = fmt.Fprintln(w, url.QueryEscape(out.String()))
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			return
		case <-r.Context().Done():
			return
		}
	}
}
