package objectstoretest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components/internal/readtest"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

func testPutGetDelete(s *suite) {
	s.wantGone(s.ref("a"))
	if out := s.put("a", []byte("hello")); len(out.ETag) < 3 {
		s.Errorf("Put: %+v", out)
	}
	if got := s.content("a"); got != "hello" {
		s.Errorf("Get: %q", got)
	}
	s.put("a", []byte("hi"))
	if got := s.content("a"); got != "hi" {
		s.Errorf("Get after a second Put: %q", got)
	}
	if _, err := s.store.Delete(s.ctx, &objectstore.DeleteRequest{Ref: s.ref("a")}); err != nil {
		s.Fatal(err)
	}
	s.wantGone(s.ref("a"))
	if _, err := s.store.Delete(s.ctx, &objectstore.DeleteRequest{Ref: s.ref("never")}); err != nil {
		s.Errorf("Delete of what is not there: %v", err)
	}
}

func testContents(s *suite) {
	for i, content := range [][]byte{{}, {0}, bytes.Repeat([]byte("\r\n\x00"), 50_000)} {
		of := fmt.Sprint(i)
		s.put(of, content)
		data, out := s.get(&objectstore.GetRequest{Ref: s.ref(of)})
		if !bytes.Equal(data, content) || out.ContentLength != int64(len(content)) {
			s.Errorf("content %d: %d bytes came back as %d, content_length %d", i, len(content), len(data), out.ContentLength)
		}
	}
	for _, known := range []int64{0, s.opts.BigSize} {
		r, want, got := s.ref(fmt.Sprint("big", known)), sha256.New(), sha256.New()
		content := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{}), s.opts.BigSize), want)
		req := &objectstore.PutRequest{Bucket: r.Bucket, Key: r.Key, ContentLength: known, Headers: objectstore.Headers{ContentType: "x/y"}}
		if _, err := s.store.Put(s.ctx, req, struct{ io.Reader }{content}); err != nil {
			s.Fatalf("Put of %d bytes: %v", s.opts.BigSize, err)
		}
		out, err := s.store.Get(s.ctx, &objectstore.GetRequest{Ref: r})
		if err != nil {
			s.Fatal(err)
		}
		n, err := io.Copy(got, out.Body)
		_ = out.Body.Close()
		if err != nil || n != s.opts.BigSize || !bytes.Equal(want.Sum(nil), got.Sum(nil)) {
			s.Errorf("the big object came back with %d bytes, %v, or with another content", n, err)
		}
		if out.ContentType != "x/y" && s.opts.Lacks["content type"] == "" {
			s.Errorf("content type of the big object: %q", out.ContentType)
		}
	}
}

func testKeys(s *suite) {
	for _, of := range []string{"a b", "ä/ö/ü", "x+y=z&w", "100%", "#?;,@:", "a/b/c", "文件", "...", `q"s'`, "*~!()"} {
		s.put(of, []byte(of))
		if got := s.content(of); got != of {
			s.Errorf("%q holds %q", of, got)
		}
	}
	if got := s.keys(); len(got) != 10 {
		s.Errorf("List: %q", got)
	}
}

func testInvalid(s *suite) {
	for _, ref := range []objectstore.Ref{{}, {Bucket: s.opts.Bucket}, {Key: "k"}, {Bucket: "a/b", Key: "k"}, {Bucket: "..", Key: "k"}, {Bucket: s.opts.Bucket, Key: strings.Repeat("x", 1025)}} {
		_, err := s.store.Put(s.ctx, &objectstore.PutRequest{Bucket: ref.Bucket, Key: ref.Key}, strings.NewReader("x"))
		s.wantErr("Put", err, objectstore.ErrInvalid)
		_, err = s.store.Get(s.ctx, &objectstore.GetRequest{Ref: ref})
		s.wantErr("Get", err, objectstore.ErrInvalid)
		_, err = s.store.Head(s.ctx, &objectstore.HeadRequest{Ref: ref})
		s.wantErr("Head", err, objectstore.ErrInvalid)
		_, err = s.store.Delete(s.ctx, &objectstore.DeleteRequest{Ref: ref})
		s.wantErr("Delete", err, objectstore.ErrInvalid)
		_, err = s.store.Copy(s.ctx, &objectstore.CopyRequest{Bucket: ref.Bucket, Key: ref.Key, Source: s.ref("x")})
		s.wantErr("Copy", err, objectstore.ErrInvalid)
		_, err = s.store.Copy(s.ctx, &objectstore.CopyRequest{Bucket: s.opts.Bucket, Key: "x", Source: ref})
		s.wantErr("Copy from", err, objectstore.ErrInvalid)
	}
	_, err := s.store.List(s.ctx, &objectstore.ListRequest{})
	s.wantErr("List", err, objectstore.ErrInvalid)
	_, err = s.store.List(s.ctx, &objectstore.ListRequest{Bucket: s.opts.Bucket, MaxKeys: -1})
	s.wantErr("List", err, objectstore.ErrInvalid)
	_, err = s.store.DeleteMany(s.ctx, &objectstore.DeleteManyRequest{Bucket: s.opts.Bucket})
	s.wantErr("DeleteMany", err, objectstore.ErrInvalid)
}

func testMissing(s *suite) {
	s.wantGone(s.ref("no/such"))
	s.wantGone(objectstore.Ref{Bucket: "no-such-bucket-anywhere", Key: "k"})
	_, err := s.store.Copy(s.ctx, &objectstore.CopyRequest{Bucket: s.opts.Bucket, Key: s.prefix + "k", Source: s.ref("no/such")})
	s.wantErr("Copy", err, objectstore.ErrNotFound)
	_, err = s.store.List(s.ctx, &objectstore.ListRequest{Bucket: "no-such-bucket-anywhere"})
	s.wantErr("List", err, objectstore.ErrNotFound)
}

// testFields: what is given to Put is told by Get and Head.
func testFields(s *suite) {
	r, before := s.ref("f"), time.Now().Add(-5*time.Second)
	headers := objectstore.Headers{
		CacheControl: "max-age=5", ContentDisposition: `attachment; filename="a b"`, ContentEncoding: "identity",
		ContentType: "text/plain; charset=utf-8",
	}
	if s.opts.Lacks["cache control"] != "" {
		headers.CacheControl = ""
	}
	if s.opts.Lacks["content type"] != "" {
		headers.ContentType = ""
	}
	meta := map[string]string{"color": "blue", "a-b": "1 2"}
	put, err := s.store.Put(s.ctx, &objectstore.PutRequest{
		Bucket: r.Bucket, Key: r.Key, Headers: headers, Metadata: meta, ContentLength: 5,
	}, strings.NewReader("12345"))
	if err != nil {
		s.Fatal(err)
	}
	_, got := s.get(&objectstore.GetRequest{Ref: r})
	head, err := s.store.Head(s.ctx, &objectstore.HeadRequest{Ref: r, Details: true})
	if err != nil {
		s.Fatal(err)
	}
	for what, o := range map[string]*objectstore.Object{"Get": &got.Object, "Head": head} {
		if o.CacheControl != headers.CacheControl || o.ContentDisposition != headers.ContentDisposition || o.ContentType != headers.ContentType || o.ContentEncoding != headers.ContentEncoding {
			s.Errorf("%s: headers %+v", what, o.Headers)
		}
		if o.ContentLength != 5 || o.ETag != put.ETag || o.LastModified.Before(before) || o.LastModified.After(time.Now().Add(5*time.Second)) {
			s.Errorf("%s: %+v", what, o)
		}
		lower := map[string]string{}
		for k, v := range o.Metadata {
			lower[strings.ToLower(k)] = v
		}
		if !maps.Equal(lower, meta) {
			s.Errorf("%s: metadata %v", what, o.Metadata)
		}
		if o.Reported["Content-Length"] != "5" || o.Reported["Etag"] != put.ETag || o.Reported["Content-Type"] != headers.ContentType || o.Reported["Last-Modified"] == "" {
			s.Errorf("%s: reported %v", what, o.Reported)
		}
	}
}

func testRanges(s *suite) {
	s.put("f", []byte("0123456789"))
	for _, tt := range []struct {
		start, end int64
		want       string
		rng        string
	}{
		{0, 0, "0123456789", ""},
		{0, 3, "0123", "bytes 0-3/10"},
		{4, 0, "456789", "bytes 4-9/10"},
		{4, 5, "45", "bytes 4-5/10"},
		{9, 9, "9", "bytes 9-9/10"},
		{8, 100, "89", "bytes 8-9/10"},
	} {
		data, out := s.get(&objectstore.GetRequest{Ref: s.ref("f"), Start: tt.start, End: tt.end})
		if string(data) != tt.want || out.ContentLength != int64(len(tt.want)) || out.ContentRange != tt.rng {
			s.Errorf("bytes %d-%d: %q, length %d, range %q", tt.start, tt.end, data, out.ContentLength, out.ContentRange)
		}
	}
	for _, r := range [][2]int64{{10, 0}, {5, 4}, {-1, 4}} {
		_, err := s.store.Get(s.ctx, &objectstore.GetRequest{Ref: s.ref("f"), Start: r[0], End: r[1]})
		s.wantErr(fmt.Sprint("Get of bytes ", r), err, objectstore.ErrInvalid)
	}
}

func testConditions(s *suite) {
	s.lacks("conditions")
	etag := s.put("f", []byte("x")).ETag
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for i, tt := range []struct {
		c    objectstore.Conditions
		hold bool
	}{
		{objectstore.Conditions{IfMatch: etag}, true},
		{objectstore.Conditions{IfMatch: `"other"`}, false},
		{objectstore.Conditions{IfNoneMatch: etag}, false},
		{objectstore.Conditions{IfNoneMatch: `"other"`}, true},
		{objectstore.Conditions{IfModifiedSince: past}, true},
		{objectstore.Conditions{IfModifiedSince: future}, false},
		{objectstore.Conditions{IfUnmodifiedSince: future}, true},
		{objectstore.Conditions{IfUnmodifiedSince: past}, false},
	} {
		out, err := s.store.Get(s.ctx, &objectstore.GetRequest{Ref: s.ref("f"), Conditions: tt.c})
		if err == nil {
			_ = out.Body.Close()
		}
		_, herr := s.store.Head(s.ctx, &objectstore.HeadRequest{Ref: s.ref("f"), Conditions: tt.c})
		for _, err := range []error{err, herr} {
			if tt.hold && err != nil || !tt.hold && !errors.Is(err, objectstore.ErrPrecondition) {
				s.Errorf("condition %d (holds: %v): %v", i, tt.hold, err)
			}
		}
	}
}

func testContentLength(s *suite) {
	r := s.ref("f")
	for _, size := range []int64{4, 6} {
		_, err := s.store.Put(s.ctx, &objectstore.PutRequest{Bucket: r.Bucket, Key: r.Key, ContentLength: size}, strings.NewReader("12345"))
		s.wantErr(fmt.Sprintf("Put of 5 bytes as %d", size), err, objectstore.ErrInvalid)
		s.wantGone(r)
	}
}

func testFailingReader(s *suite) {
	broken := errors.New("the client went away")
	for _, size := range []int{0, 10, 200 << 10, int(s.opts.BigSize)} {
		r := s.ref(fmt.Sprint("f", size))
		put := func(length int64) error {
			_, err := s.store.Put(s.ctx, &objectstore.PutRequest{Bucket: r.Bucket, Key: r.Key, ContentLength: length}, readtest.Failing(size, broken))
			return err
		}
		s.wantErr(fmt.Sprintf("Put that breaks after %d bytes", size), put(0), broken)
		s.wantGone(r)
		s.put(fmt.Sprint("f", size), []byte("old"))
		s.wantErr(fmt.Sprintf("Put over another that breaks after %d bytes", size), put(int64(size)+10), broken)
		if got := s.content(fmt.Sprint("f", size)); got != "old" {
			s.Errorf("a put that broke after %d bytes left %d bytes", size, len(got))
		}
	}
	if keys := s.keys(); len(keys) != 4 {
		s.Errorf("failed puts left something: %q", keys)
	}
	m, ok := s.store.(objectstore.Multipart)
	if !ok {
		return
	}
	out, err := m.ListUploads(s.ctx, &objectstore.ListUploadsRequest{Bucket: s.opts.Bucket, Prefix: s.prefix})
	if err != nil || len(out.Uploads) != 0 {
		s.Errorf("failed puts left uploads: %+v, %v", out, err)
	}
}

func testCancelledPut(s *suite) {
	s.put("f", []byte("old"))
	r := s.ref("f")
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	_, err := s.store.Put(ctx, &objectstore.PutRequest{Bucket: r.Bucket, Key: r.Key}, readtest.Cancelling(7<<20, cancel))
	s.wantErr("Put", err, context.Canceled)
	if got := s.content("f"); got != "old" {
		s.Errorf("a cancelled put left %d bytes", len(got))
	}
}

func testCancelledContext(s *suite) {
	s.put("f", bytes.Repeat([]byte("x"), 1<<20))
	r := s.ref("f")
	ctx, cancel := context.WithCancel(s.ctx)
	out, err := s.store.Get(ctx, &objectstore.GetRequest{Ref: r})
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = out.Body.Close() }()
	cancel()
	if _, err := io.Copy(io.Discard, out.Body); err == nil {
		s.Error("reading goes on after the context has ended")
	}
	_, err = s.store.Put(ctx, &objectstore.PutRequest{Bucket: r.Bucket, Key: r.Key}, strings.NewReader("y"))
	s.wantErr("Put", err, context.Canceled)
	_, err = s.store.Get(ctx, &objectstore.GetRequest{Ref: r})
	s.wantErr("Get", err, context.Canceled)
	_, err = s.store.Head(ctx, &objectstore.HeadRequest{Ref: r})
	s.wantErr("Head", err, context.Canceled)
	_, err = s.store.List(ctx, &objectstore.ListRequest{Bucket: r.Bucket})
	s.wantErr("List", err, context.Canceled)
	_, err = s.store.Delete(ctx, &objectstore.DeleteRequest{Ref: r})
	s.wantErr("Delete", err, context.Canceled)
}

func testConcurrentPuts(s *suite) {
	r := s.ref("f")
	s.put("f", []byte{0})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 5 {
				content := bytes.Repeat([]byte{byte(i + 1)}, 100_000*(i+1))
				if _, err := s.store.Put(s.ctx, &objectstore.PutRequest{Bucket: r.Bucket, Key: r.Key}, bytes.NewReader(content)); err != nil {
					s.Errorf("Put: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				out, err := s.store.Get(s.ctx, &objectstore.GetRequest{Ref: r})
				if err != nil {
					s.Errorf("Get: %v", err)
					return
				}
				data, err := io.ReadAll(out.Body)
				_ = out.Body.Close()
				if err != nil || len(data) == 0 || bytes.Count(data, data[:1]) != len(data) || data[0] > 0 && len(data) != 100_000*int(data[0]) {
					s.Errorf("a mixture of two puts, or nothing: %d bytes, %v", len(data), err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func testClosed(s *suite) {
	s.put("f", []byte("x"))
	for range 2 {
		if err := s.store.Close(); err != nil {
			s.Fatal(err)
		}
	}
	r := s.ref("f")
	_, err := s.store.Put(s.ctx, &objectstore.PutRequest{Bucket: r.Bucket, Key: r.Key}, strings.NewReader("y"))
	s.wantErr("Put", err, objectstore.ErrClosed)
	_, err = s.store.Get(s.ctx, &objectstore.GetRequest{Ref: r})
	s.wantErr("Get", err, objectstore.ErrClosed)
	_, err = s.store.Head(s.ctx, &objectstore.HeadRequest{Ref: r})
	s.wantErr("Head", err, objectstore.ErrClosed)
	_, err = s.store.List(s.ctx, &objectstore.ListRequest{Bucket: r.Bucket})
	s.wantErr("List", err, objectstore.ErrClosed)
	_, err = s.store.Delete(s.ctx, &objectstore.DeleteRequest{Ref: r})
	s.wantErr("Delete", err, objectstore.ErrClosed)
}
