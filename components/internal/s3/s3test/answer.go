package s3test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
)

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message><RequestId>42</RequestId></Error>`, code, message)
}

// answer answers a request: first come faults and the signature, in the words of
// the dialect, and then Amazon's words only.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	fault := s.fault
	s.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	if bucket, _, ok := strings.Cut(r.Host, "."); ok && (bucket == Bucket || bucket == Versioned) {
		r.URL.Path, r.URL.RawPath = "/"+bucket+r.URL.Path, ""
	}
	if code := s.verify(r); code != "" {
		refuse(w, http.StatusForbidden, code, "the signature is not that of the credentials")
		return
	}
	if s.host != "" {
		r.URL.Path, r.URL.RawPath = "/"+s.host+r.URL.Path, ""
	}
	out := &writer{ResponseWriter: w, dialect: s.dialect}
	r.Header = rename(r.Header, s.dialect, Amazon)
	for _, name := range []string{"OSSAccessKeyId", "AccessKeyId", "Signature", "Expires"} {
		q := r.URL.Query()
		if q.Has(name) {
			q.Del(name)
			r.URL.RawQuery = q.Encode()
		}
	}
	if !s.extra(out, r) {
		s.fake.ServeHTTP(out, r)
	}
}

// rename renames headers of one dialect to those of another.
func rename(h http.Header, from, to string) http.Header {
	out := http.Header{}
	for name, values := range h {
		if rest, ok := strings.CutPrefix(name, from); ok {
			switch {
			case from == Aliyun && rest == "Object-Acl":
				rest = "Acl"
			case to == Aliyun && rest == "Acl":
				rest = "Object-Acl"
			}
			name = to + rest
		}
		out[name] = values
	}
	return out
}

// writer renames the headers of an answer before they are sent.
type writer struct {
	http.ResponseWriter
	dialect string
	sent    bool
}

func (w *writer) WriteHeader(status int) {
	if w.sent {
		return
	}
	w.sent = true
	h := w.Header()
	renamed := rename(h, Amazon, w.dialect)
	clear(h)
	for name, values := range renamed {
		h[name] = values
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	if !w.sent {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// ask sends a request to gofakes3 behind the back of the client.
func (s *Server) ask(method, path string, query url.Values, header http.Header, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, (&url.URL{Path: path, RawQuery: query.Encode()}).String(), bytes.NewReader(body))
	for name, values := range header {
		r.Header[name] = values
	}
	if method == http.MethodPut {
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w := httptest.NewRecorder()
	s.fake.ServeHTTP(w, r)
	return w
}

// extra answers what gofakes3 does not know.
func (s *Server) extra(w http.ResponseWriter, r *http.Request) bool {
	q := r.URL.Query()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case key == "":
		return false
	case q.Has("tagging"):
		s.tagging(w, r)
	case q.Has("acl"):
		s.acl(w, r)
	case q.Has("append"):
		s.appendTo(w, r)
	case q.Has("restore"):
		s.restore(w, r)
	case q.Has("uploadId") && r.Header.Get("X-Amz-Copy-Source") != "":
		s.copyPart(w, r)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return s.conditions(w, r)
	case r.Method == http.MethodPut && !q.Has("uploadId"):
		s.noteMetadata(r)
		return false
	default:
		return false
	}
	return true
}

func (s *Server) exists(w http.ResponseWriter, r *http.Request) bool {
	if head := s.ask(http.MethodHead, r.URL.Path, nil, nil, nil); head.Code != http.StatusOK {
		refuse(w, http.StatusNotFound, "NoSuchKey", "there is no such key")
		return false
	}
	return true
}

// noteMetadata keeps tags and the rule that come with a put.
func (s *Server) noteMetadata(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tags, r.URL.Path)
	delete(s.appended, r.URL.Path)
	if values, err := url.ParseQuery(r.Header.Get("X-Amz-Tagging")); err == nil && len(values) > 0 {
		s.tags[r.URL.Path] = map[string]string{}
		for name := range values {
			s.tags[r.URL.Path][name] = values.Get(name)
		}
	}
	s.rules[r.URL.Path] = r.Header.Get("X-Amz-Acl")
}

type tagging struct {
	XMLName xml.Name                      `xml:"Tagging"`
	Tags    []struct{ Key, Value string } `xml:"TagSet>Tag"`
}

func (s *Server) tagging(w http.ResponseWriter, r *http.Request) {
	if !s.exists(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method {
	case http.MethodPut:
		var in tagging
		if err := xml.NewDecoder(r.Body).Decode(&in); err != nil {
			refuse(w, http.StatusBadRequest, "MalformedXML", err.Error())
			return
		}
		tags := map[string]string{}
		for _, t := range in.Tags {
			tags[t.Key] = t.Value
		}
		s.tags[r.URL.Path] = tags
		w.WriteHeader(http.StatusOK)
	case http.MethodDelete:
		delete(s.tags, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	default:
		var out tagging
		for k, v := range s.tags[r.URL.Path] {
			out.Tags = append(out.Tags, struct{ Key, Value string }{k, v})
		}
		data, _ := xml.Marshal(out)
		_, _ = w.Write(data)
	}
}

func (s *Server) acl(w http.ResponseWriter, r *http.Request) {
	if !s.exists(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodPut {
		s.rules[r.URL.Path] = r.Header.Get("X-Amz-Acl")
		w.WriteHeader(http.StatusOK)
		return
	}
	rule := s.rules[r.URL.Path]
	grants := `<Grant><Grantee><ID>me</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>`
	public := map[string]string{
		Amazon: `<Grantee><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee>`, Huawei: `<Grantee><Canned>Everyone</Canned></Grantee>`,
	}[s.dialect]
	switch {
	case s.dialect == Aliyun && rule == "":
		grants = `<Grant>default</Grant>`
	case s.dialect == Aliyun:
		grants = `<Grant>` + rule + `</Grant>`
	case rule == "public-read":
		grants += `<Grant>` + public + `<Permission>READ</Permission></Grant>`
	}
	_, _ = fmt.Fprintf(w, `<AccessControlPolicy><Owner><ID>me</ID><DisplayName>Me</DisplayName></Owner><AccessControlList>%s</AccessControlList></AccessControlPolicy>`, grants)
}

// appendTo appends, as OSS and OBS do it.
func (s *Server) appendTo(w http.ResponseWriter, r *http.Request) {
	position, err := strconv.ParseInt(r.URL.Query().Get("position"), 10, 64)
	if err != nil || r.Method != http.MethodPost {
		refuse(w, http.StatusBadRequest, "InvalidArgument", "position")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "IncompleteBody", err.Error())
		return
	}
	old := s.ask(http.MethodGet, r.URL.Path, nil, nil, nil)
	content := []byte{}
	if old.Code == http.StatusOK {
		content = old.Body.Bytes()
		s.mu.Lock()
		appendable := s.appended[r.URL.Path]
		s.mu.Unlock()
		if !appendable {
			refuse(w, http.StatusConflict, "ObjectNotAppendable", "the object was put")
			return
		}
	}
	if int64(len(content)) != position {
		w.Header().Set("X-Amz-Next-Append-Position", strconv.Itoa(len(content)))
		refuse(w, http.StatusConflict, "PositionNotEqualToLength", "position is not the length")
		return
	}
	content = append(content, body...)
	put := s.ask(http.MethodPut, r.URL.Path, nil, nil, content)
	if put.Code != http.StatusOK {
		refuse(w, put.Code, "InternalError", put.Body.String())
		return
	}
	s.mu.Lock()
	s.appended[r.URL.Path] = true
	s.mu.Unlock()
	w.Header().Set("Etag", put.Header().Get("Etag"))
	w.Header().Set("X-Amz-Next-Append-Position", strconv.Itoa(len(content)))
	w.WriteHeader(http.StatusOK)
}

// restore takes orders for objects that it takes for archived.
func (s *Server) restore(w http.ResponseWriter, r *http.Request) {
	if !s.exists(w, r) {
		return
	}
	body, _ := io.ReadAll(r.Body)
	if !bytes.Contains(body, []byte("<Days>")) {
		refuse(w, http.StatusForbidden, "InvalidObjectState", "the object is not archived")
		return
	}
	w.Header().Set("X-Amz-Restore-Output-Path", string(body))
	w.WriteHeader(http.StatusAccepted)
}

func (s *Server) copyPart(w http.ResponseWriter, r *http.Request) {
	source, err := url.PathUnescape(r.Header.Get("X-Amz-Copy-Source"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidArgument", "copy source")
		return
	}
	header := http.Header{}
	if rng := r.Header.Get("X-Amz-Copy-Source-Range"); rng != "" {
		header.Set("Range", rng)
	}
	got := s.ask(http.MethodGet, source, nil, header, nil)
	if got.Code/100 != 2 {
		refuse(w, http.StatusNotFound, "NoSuchKey", source)
		return
	}
	put := s.ask(http.MethodPut, r.URL.Path, r.URL.Query(), nil, got.Body.Bytes())
	if put.Code != http.StatusOK {
		refuse(w, http.StatusNotFound, "NoSuchUpload", put.Body.String())
		return
	}
	_, _ = fmt.Fprintf(w, `<CopyPartResult><LastModified>2026-11-21T10:00:00.000Z</LastModified><ETag>%s</ETag></CopyPartResult>`, put.Header().Get("Etag"))
}

// conditions answers when a condition of a read does not hold.
func (s *Server) conditions(w http.ResponseWriter, r *http.Request) bool {
	h := r.Header
	if h.Get("If-Match")+h.Get("If-None-Match")+h.Get("If-Modified-Since")+h.Get("If-Unmodified-Since") == "" {
		return false
	}
	head := s.ask(http.MethodHead, r.URL.Path, r.URL.Query(), nil, nil)
	if head.Code != http.StatusOK {
		return false
	}
	etag, modified := head.Header().Get("Etag"), head.Header().Get("Last-Modified")
	at, _ := http.ParseTime(modified)
	since, serr := http.ParseTime(h.Get("If-Modified-Since"))
	until, uerr := http.ParseTime(h.Get("If-Unmodified-Since"))
	switch {
	case h.Get("If-Match") != "" && h.Get("If-Match") != etag, uerr == nil && at.After(until):
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed", "no")
	case h.Get("If-None-Match") == etag, serr == nil && !at.After(since):
		w.WriteHeader(http.StatusNotModified)
	default:
		return false
	}
	return true
}
