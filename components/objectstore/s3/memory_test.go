package s3_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/internal/s3/s3test"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
	"github.com/ottavo-runtime/ottavo/components/objectstore/s3"
)

// sink takes uploads and forgets them.
func sink(t *testing.T) (objectstore.Store, *int64) {
	t.Helper()
	server, got := s3test.New(t, s3test.Amazon), new(int64)
	server.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		n, _ := io.Copy(io.Discard, r.Body)
		switch q := r.URL.Query(); {
		case q.Has("uploads"):
			_, _ = io.WriteString(w, `<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>`)
		case r.Method == http.MethodPost:
			_, _ = io.WriteString(w, `<CompleteMultipartUploadResult><ETag>"e-9"</ETag></CompleteMultipartUploadResult>`)
		default:
			*got += n
			w.Header().Set("Etag", `"e"`)
		}
		return true
	})
	return open(t, s3.NewAWS, server.URL, s3test.AccessKeySecret, nil), got
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// watch collects garbage early and returns a function that says by how much the
// heap grew at most.
func watch(t *testing.T) func() int64 {
	t.Helper()
	percent := debug.SetGCPercent(10)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	runtime.GC()
	inUse := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse)
	}
	start, stop, most := inUse(), make(chan struct{}), make(chan int64)
	go func() {
		high, tick := start, time.NewTicker(10*time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				high = max(high, inUse())
			case <-stop:
				most <- high - start
				return
			}
		}
	}()
	return func() int64 { close(stop); return <-most }
}

// TestUploadsInConstantMemory: an object of any size, and a part of any size.
func TestUploadsInConstantMemory(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	const size = 160 << 20
	uploads := map[string]func(objectstore.Store, io.Reader) error{
		"object": func(s objectstore.Store, r io.Reader) error {
			out, err := s.Put(t.Context(), &objectstore.PutRequest{Bucket: "b", Key: "k"}, r)
			if err == nil && out.ETag != `"e-9"` {
				err = fmt.Errorf("etag %s", out.ETag)
			}
			return err
		},
		"part": func(s objectstore.Store, r io.Reader) error {
			_, err := s.(objectstore.Multipart).UploadPart(t.Context(), &objectstore.UploadPartRequest{Bucket: "b", Key: "k", UploadID: "u", PartNumber: 1}, r)
			return err
		},
	}
	for name, upload := range uploads {
		t.Run(name, func(t *testing.T) {
			s, got := sink(t)
			grown := watch(t)
			err := upload(s, io.LimitReader(zeros{}, size))
			if most := grown(); most > 32<<20 {
				t.Errorf("the heap grew by %d MiB", most>>20)
			}
			if err != nil || *got != size {
				t.Errorf("%d bytes arrived, %v", *got, err)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
				t.Errorf("temporary files: %v, %v", entries, err)
			}
		})
	}
}
