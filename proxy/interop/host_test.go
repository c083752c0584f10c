package interop

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// document is what hosts serve under /doc.
var document = noise(100_000)

// summed is what a host answers about a body.
func summed(body []byte) string {
	return fmt.Sprintf("%d bytes, sum %08x", len(body), crc32.ChecksumIEEE(body))
}

// host is a server of package net/http that speaks HTTP/1 and HTTP/2.
type host struct {
	addr string
	// gone takes the path of each request to /stay or /mute whose caller went away.
	gone chan string
}

// newHost starts a host, with TLS if cfg is not nil.
func newHost(t testing.TB, cfg *tls.Config) *host {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{addr: l.Addr().String(), gone: make(chan string, 100)}
	srv := &http.Server{Handler: h, Protocols: new(http.Protocols), ErrorLog: log.New(io.Discard, "", 0), TLSConfig: cfg}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	var wg sync.WaitGroup
	wg.Go(func() {
		if cfg != nil {
			err = srv.ServeTLS(l, "", "")
		} else {
			err = srv.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("host: %v", err)
		}
	})
	t.Cleanup(func() { _ = srv.Close(); wg.Wait() })
	return h
}

// left waits until a host's request to path has lost its caller.
func (h *host) left(t testing.TB, path string) {
	t.Helper()
	if got := take(t, h.gone); got != path {
		t.Errorf("the host lost the caller of %s, not of %s", got, path)
	}
}

// ServeHTTP does what the last part of the path says. The answer names the
// protocol that the host was spoken to in, in X-Proto.
func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	w.Header().Set("X-Proto", r.Proto)
	w.Header().Set("X-Length", strconv.FormatInt(r.ContentLength, 10))
	what := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	switch what {
	case "doc": // ranges, conditions, HEAD
		w.Header().Set("ETag", `"one"`)
		http.ServeContent(w, r, "doc.bin", time.Time{}, bytes.NewReader(document))
	case "sum": // what was sent
		sum := crc32.NewIEEE()
		n, err := io.Copy(sum, r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, _ = fmt.Fprintf(w, "%d bytes, sum %08x", n, sum.Sum32())
	case "echo": // each piece as it comes
		_ = control.EnableFullDuplex() // HTTP/2 needs no leave
		w.WriteHeader(200)
		_ = control.Flush()
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				if _, werr := w.Write(buf[:n]); werr != nil {
					return
				}
				_ = control.Flush()
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				panic(http.ErrAbortHandler)
			}
		}
	case "trailer": // the caller's trailer, given back in ours
		w.Header().Set("Trailer", "X-End, X-Count")
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "%d bytes", n)
		_ = control.Flush()
		w.Header().Set("X-End", r.Trailer.Get("X-Sum"))
		w.Header().Set("X-Count", strconv.FormatInt(n, 10))
	case "stay", "mute": // until the caller goes away
		if what == "stay" {
			_, _ = io.WriteString(w, "begun\n")
			_ = control.Flush()
		}
		<-r.Context().Done()
		h.gone <- r.URL.Path
	case "abort": // the answer breaks off
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "half")
		_ = control.Flush()
		panic(http.ErrAbortHandler)
	case "fields":
		w.Header().Add("X-Twice", "1")
		w.Header().Add("X-Twice", "2")
		for _, name := range []string{"Connection", "Keep-Alive", "Te", "Transfer-Encoding", "Upgrade", "Proxy-Connection", "X-Hop"} {
			for _, v := range r.Header.Values(name) {
				_, _ = fmt.Fprintf(w, "%s: %s\n", name, v)
			}
		}
		_, _ = fmt.Fprintf(w, "%s %s %s %q %q", r.Method, r.Host, r.RequestURI, r.Header["X-In"], r.Header["Cookie"])
	default:
		if status, err := strconv.Atoi(what); err == nil {
			w.WriteHeader(status)
			if status != 204 && status != 304 {
				_, _ = fmt.Fprintf(w, "status %d", status)
			}
			return
		}
		_, _ = io.WriteString(w, r.Method)
	}
}

// echoTCP starts a server that sends back what it gets, and returns its address.
func echoTCP(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				_ = c.SetDeadline(time.Now().Add(patience))
				_, _ = io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}
