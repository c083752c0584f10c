package s3test

import (
	"encoding/xml"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// Credentials that the server accepts.
const (
	AccessKeyID     = "test-key-id"
	AccessKeySecret = "test-key-secret"
)

// Buckets of the server. Versioned keeps versions.
const (
	Bucket    = "bucket"
	Versioned = "versioned"
)

// Dialects.
const (
	Amazon  = "X-Amz-"
	Aliyun  = "X-Oss-"
	Huawei  = "X-Obs-"
	Tencent = "X-Cos-"
)

// Server is a running object store. It keeps its content over Stop and Start.
type Server struct {
	// Addr is its host:port, URL that with http:// in front.
	Addr, URL string

	t       testing.TB
	dialect string
	fake    http.Handler
	// host is the bucket that requests without one in their path are about.
	host string

	mu       sync.Mutex
	srv      *http.Server
	ended    chan struct{}
	requests int
	fault    func(w http.ResponseWriter, r *http.Request) bool
	tags     map[string]map[string]string
	rules    map[string]string
	appended map[string]bool
}

// Option changes a server.
type Option func(*Server)

// BucketHost makes it the host of that bucket: requests name none.
func BucketHost(bucket string) Option { return func(s *Server) { s.host = bucket } }

// New starts a server that speaks a dialect, and stops it when the test ends.
func New(t testing.TB, dialect string, opts ...Option) *Server {
	t.Helper()
	backend := s3mem.New()
	for _, b := range []string{Bucket, Versioned} {
		if err := backend.CreateBucket(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := backend.SetVersioningConfiguration(Versioned, gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}); err != nil {
		t.Fatal(err)
	}
	s := &Server{
		t: t, dialect: dialect, tags: map[string]map[string]string{}, rules: map[string]string{}, appended: map[string]bool{},
		fake: steady(gofakes3.New(backend, gofakes3.WithTimeSkewLimit(0), gofakes3.WithLogger(gofakes3.DiscardLog())).Server()),
	}
	for _, o := range opts {
		o(s)
	}
	for _, b := range []string{Bucket, Versioned} {
		// Before its first upload gofakes3 cannot list the uploads of a bucket.
		var out struct {
			UploadID string `xml:"UploadId"`
		}
		begun := s.ask(http.MethodPost, "/"+b+"/x", url.Values{"uploads": {""}}, nil, nil)
		if err := xml.Unmarshal(begun.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		s.ask(http.MethodDelete, "/"+b+"/x", url.Values{"uploadId": {out.UploadID}}, nil, nil)
	}
	l, err := net.Listen("tcp", testserver.Addr(t)) // Start listens there again
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = l.Addr().String()
	s.URL = "http://" + s.Addr
	s.serve(l)
	t.Cleanup(s.Stop)
	return s
}

// steady answers in place of a gofakes3 that panics, as it does when the newest
// version of an object is gone.
func steady(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				refuse(w, http.StatusNotFound, "NoSuchKey", "gofakes3 has lost it")
			}
		}()
		h.ServeHTTP(w, r)
	})
}

func (s *Server) serve(l net.Listener) {
	s.srv = &http.Server{Handler: http.HandlerFunc(s.answer), ReadHeaderTimeout: 10 * time.Second}
	s.ended = make(chan struct{})
	srv, ended := s.srv, s.ended
	go func() {
		defer close(ended)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.t.Errorf("s3test: %v", err)
		}
	}()
}

// Stop closes the socket and all connections.
func (s *Server) Stop() {
	if s.srv == nil {
		return
	}
	_ = s.srv.Close()
	<-s.ended
	s.srv = nil
}

// Start begins again after Stop, at the same address.
func (s *Server) Start() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.serve(l)
}

// Fail lets f answer requests in place of the server, where it returns true; nil
// ends that.
func (s *Server) Fail(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	s.fault = f
	s.mu.Unlock()
}

// FailWith lets every request fail with a status and a code.
func (s *Server) FailWith(status int, code string) {
	s.Fail(func(w http.ResponseWriter, _ *http.Request) bool {
		refuse(w, status, code, "as the test wants it")
		return true
	})
}

// Requests returns how many requests have come so far.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}
