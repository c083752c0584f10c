package qiniu_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qiniu/go-sdk/v7/auth"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// fake is a Kodo with one bucket, all of whose servers are one. What is signed it
// checks with the vendor's own code.
type fake struct {
	addr, url string
	t         testing.TB
	mac       *auth.Credentials

	mu      sync.Mutex
	srv     *http.Server
	ended   chan struct{}
	files   map[string]object
	uploads map[string]map[int][]byte
	fail    int // status that all requests fail with; 0: they do not
	queries int
}

type object struct {
	data []byte
	mime string
	at   time.Time
}

const bucket = "pail"

func newFake(t testing.TB) *fake {
	t.Helper()
	l, err := net.Listen("tcp", testserver.Addr(t)) // start listens there again
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{
		addr: l.Addr().String(), url: "http://" + l.Addr().String(), t: t, mac: auth.New("key-id", "key-secret"),
		files: map[string]object{}, uploads: map[string]map[int][]byte{},
	}
	f.serve(l)
	t.Cleanup(f.stop)
	return f
}

func (f *fake) serve(l net.Listener) {
	f.srv, f.ended = &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}, make(chan struct{})
	srv, ended := f.srv, f.ended
	go func() { defer close(ended); _ = srv.Serve(l) }()
}

func (f *fake) stop() {
	if f.srv != nil {
		_ = f.srv.Close()
		<-f.ended
		f.srv = nil
	}
}

func (f *fake) start() {
	f.t.Helper()
	l, err := net.Listen("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.serve(l)
}

func (f *fake) setFail(status int) {
	f.mu.Lock()
	f.fail = status
	f.mu.Unlock()
}

func answer(w http.ResponseWriter, v any) {
	data, _ := json.Marshal(v)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data)
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Reqid", "42")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error":%q}`, message)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != 0 {
		refuse(w, f.fail, "as the test wants it")
		return
	}
	first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/v4/query":
		f.queries++
		d := map[string]any{"domains": []string{f.addr}}
		answer(w, map[string]any{"hosts": []any{map[string]any{"region": "z0", "ttl": 3600, "up": d, "rs": d, "rsf": d}}})
	case first == "stat", first == "delete", first == "list":
		token, err := f.mac.SignRequest(r)
		if err != nil || r.Header.Get("Authorization") != "QBox "+token {
			refuse(w, http.StatusUnauthorized, "bad token")
			return
		}
		f.manage(w, r, first, rest)
	case first == "buckets":
		if !f.mayUpload(strings.TrimPrefix(r.Header.Get("Authorization"), "UpToken ")) {
			refuse(w, http.StatusUnauthorized, "bad token")
			return
		}
		f.upload(w, r, strings.Split(rest, "/"))
	case r.Method == http.MethodPost:
		f.form(w, r)
	default:
		f.download(w, r)
	}
}

// mayUpload checks the token of an upload.
func (f *fake) mayUpload(token string) bool {
	i := strings.LastIndex(token, ":")
	if i < 0 {
		return false
	}
	policy, err := base64.URLEncoding.DecodeString(token[i+1:])
	return err == nil && f.mac.SignWithData(policy) == token && bytes.Contains(policy, []byte(`"scope":"`+bucket+":"))
}

func (f *fake) manage(w http.ResponseWriter, r *http.Request, op, rest string) {
	stat := func(key string, o object) map[string]any {
		return map[string]any{"key": key, "fsize": len(o.data), "hash": "h", "mimeType": o.mime, "putTime": o.at.UnixNano() / 100}
	}
	if op == "list" {
		q := r.URL.Query()
		limit, _ := strconv.Atoi(q.Get("limit"))
		var items []any
		marker, last := "", ""
		for _, key := range slices.Sorted(maps.Keys(f.files)) {
			after, _ := base64.URLEncoding.DecodeString(q.Get("marker"))
			if !strings.HasPrefix(key, q.Get("prefix")) || key <= string(after) && len(after) > 0 {
				continue
			}
			if len(items) == limit {
				marker = base64.URLEncoding.EncodeToString([]byte(last))
				break
			}
			items, last = append(items, stat(key, f.files[key])), key
		}
		answer(w, map[string]any{"marker": marker, "items": items})
		return
	}
	entry, err := base64.URLEncoding.DecodeString(rest)
	key, ok := strings.CutPrefix(string(entry), bucket+":")
	if err != nil || !ok {
		refuse(w, 631, "no such bucket")
		return
	}
	o, ok := f.files[key]
	switch {
	case !ok:
		refuse(w, 612, "no such file or directory")
	case op == "stat":
		answer(w, stat(key, o))
	case r.Method == http.MethodPost:
		delete(f.files, key)
	}
}

func (f *fake) form(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseMultipartForm(32 << 20); err != nil || !f.mayUpload(r.FormValue("token")) {
		refuse(w, http.StatusUnauthorized, fmt.Sprint("bad token ", err))
		return
	}
	file, header, err := r.FormFile("file")
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	data, _ := io.ReadAll(file)
	f.files[r.FormValue("key")] = object{data, header.Header.Get("Content-Type"), time.Now()}
	answer(w, map[string]any{"key": r.FormValue("key")})
}

// upload answers /buckets/<bucket>/objects/<key>/uploads[/<id>[/<part>]].
func (f *fake) upload(w http.ResponseWriter, r *http.Request, path []string) {
	key, err := base64.URLEncoding.DecodeString(path[2])
	if err != nil || path[0] != bucket || path[3] != "uploads" {
		refuse(w, http.StatusBadRequest, "path")
		return
	}
	if len(path) == 4 {
		id := strconv.Itoa(len(f.uploads) + 1)
		f.uploads[id] = map[int][]byte{}
		answer(w, map[string]any{"uploadId": id})
		return
	}
	parts, ok := f.uploads[path[4]]
	body, _ := io.ReadAll(r.Body)
	switch {
	case !ok:
		refuse(w, 612, "no such uploadId")
	case len(path) == 6:
		n, _ := strconv.Atoi(path[5])
		parts[n] = body
		answer(w, map[string]any{"etag": "e" + path[5]})
	case r.Method == http.MethodDelete:
		delete(f.uploads, path[4])
	default:
		var in struct {
			Parts []struct {
				PartNumber int
				Etag       string
			}
			MimeType string
		}
		if err := json.Unmarshal(body, &in); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		var all []byte
		for _, p := range in.Parts {
			if p.Etag != "e"+strconv.Itoa(p.PartNumber) {
				refuse(w, http.StatusBadRequest, "etag")
				return
			}
			all = append(all, parts[p.PartNumber]...)
		}
		f.files[string(key)] = object{all, in.MimeType, time.Now()}
		delete(f.uploads, path[4])
		answer(w, map[string]any{"key": string(key)})
	}
}

func (f *fake) download(w http.ResponseWriter, r *http.Request) {
	uri, token, ok := strings.Cut(r.RequestURI, "&token=")
	if !ok || token != f.mac.Sign([]byte(f.url+uri)) {
		refuse(w, http.StatusUnauthorized, "download token is bad")
		return
	}
	o, ok := f.files[strings.TrimPrefix(r.URL.Path, "/")]
	if !ok {
		refuse(w, http.StatusNotFound, "Document not found")
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(o.data)))
	_, _ = w.Write(o.data)
}
