package layotto_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/file/local"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// localFiles is a file store in a folder, and its folder.
func localFiles(t testing.TB) (file.Store, string) {
	t.Helper()
	root := t.TempDir()
	s, err := local.New(t.Context(), components.Env{}, components.Config{Name: "files", Metadata: map[string]any{"root": root}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, root
}

func fileConfig(s file.Store) layotto.Config {
	return layotto.Config{File: capability.NewFile(map[string]file.Store{"files": s})}
}

// putFile sends the pieces, the first with the parameters.
func putFile(ctx context.Context, c runtimev1.RuntimeClient, name string, metadata map[string]string, pieces ...[]byte) error {
	stream, err := c.PutFile(ctx)
	if err != nil {
		return err
	}
	for i, p := range pieces {
		req := &runtimev1.PutFileRequest{Data: p}
		if i == 0 {
			req.StoreName, req.Name, req.Metadata = "files", name, metadata
		}
		if err := stream.Send(req); err != nil {
			break // the answer says why
		}
	}
	_, err = stream.CloseAndRecv()
	return err
}

func getFile(ctx context.Context, c runtimev1.RuntimeClient, store, name string) (data []byte, sizes []int, err error) {
	stream, err := c.GetFile(ctx, &runtimev1.GetFileRequest{StoreName: store, Name: name})
	if err != nil {
		return nil, nil, err
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return data, sizes, nil
		}
		if err != nil {
			return data, sizes, err
		}
		data, sizes = append(data, m.GetData()...), append(sizes, len(m.GetData()))
	}
}

func TestFile(t *testing.T) {
	s, _ := localFiles(t)
	c, _ := serve(t, fileConfig(s))
	ctx := timeout(t)
	big := bytes.Repeat([]byte("0123456789"), 25000)
	if err := putFile(ctx, c, "d/big", map[string]string{"FileMode": "384"}, big[:7], nil, big[7:200_000], big[200_000:]); err != nil {
		t.Fatal(err)
	}
	if err := putFile(ctx, c, "d/empty", nil, nil); err != nil {
		t.Fatal(err)
	}
	data, sizes, err := getFile(ctx, c, "files", "d/big")
	if err != nil || !bytes.Equal(data, big) || !slices.Equal(sizes, []int{102400, 102400, 45200}) {
		t.Errorf("GetFile: %d bytes in %v, %v", len(data), sizes, err)
	}
	if _, sizes, err = getFile(ctx, c, "files", "d/empty"); err != nil || len(sizes) != 0 {
		t.Errorf("GetFile of an empty file: %v, %v", sizes, err)
	}
	meta, err := c.GetFileMeta(ctx, &runtimev1.GetFileMetaRequest{Request: &runtimev1.FileRequest{StoreName: "files", Name: "d/big"}})
	if err != nil || meta.GetSize() != 250_000 || meta.GetResponse().GetMetadata()["FileMode"].GetValue()[0] != "384" {
		t.Errorf("GetFileMeta: %v, %v", meta, err)
	}
	if _, err := time.Parse("2006-01-02 15:04:05.999999999 -0700 MST", meta.GetLastModified()); err != nil {
		t.Errorf("last_modified: %v", err)
	}
	list, err := c.ListFile(ctx, &runtimev1.ListFileRequest{Request: &runtimev1.FileRequest{StoreName: "files", Name: "d"}, PageSize: 1})
	if err != nil || len(list.GetFiles()) != 1 || list.GetFiles()[0].GetFileName() != "d/big" || !list.GetIsTruncated() || list.GetMarker() != "d/big" {
		t.Errorf("ListFile: %v, %v", list, err)
	}
	list, err = c.ListFile(ctx, &runtimev1.ListFileRequest{Request: &runtimev1.FileRequest{StoreName: "files", Name: "d"}, Marker: list.GetMarker()})
	if err != nil || len(list.GetFiles()) != 1 || list.GetFiles()[0].GetMetadata()["IsDir"] != "false" || list.GetIsTruncated() {
		t.Errorf("second page: %v, %v", list, err)
	}
	if _, err := c.DelFile(ctx, &runtimev1.DelFileRequest{Request: &runtimev1.FileRequest{StoreName: "files", Name: "d/big"}}); err != nil {
		t.Error(err)
	}
	_, _, err = getFile(ctx, c, "files", "d/big")
	if status.Code(err) != codes.NotFound {
		t.Errorf("GetFile of a file that was deleted: %v", err)
	}
}

func TestFileErrors(t *testing.T) {
	s, _ := localFiles(t)
	c, _ := serve(t, fileConfig(s))
	ctx := timeout(t)
	const unknown = "not supported store type: nope"

	_, _, err := getFile(ctx, c, "nope", "x")
	info := wantStatus(t, err, codes.InvalidArgument, unknown, "UNKNOWN_COMPONENT")
	if info.GetMetadata()["configured"] != "files" {
		t.Errorf("details: %v", info)
	}
	if _, _, err = getFile(ctx, c, "files", "x"); status.Code(err) != codes.NotFound {
		t.Errorf("GetFile: %v", err)
	}
	if err = putFile(ctx, c, "../x", nil, []byte("x")); status.Code(err) != codes.InvalidArgument {
		t.Errorf("PutFile outside of the root: %v", err)
	}
	if err = putFile(ctx, c, "x", map[string]string{"FileFlag": "192"}, []byte("x")); err != nil { // O_CREATE|O_EXCL
		t.Errorf("PutFile: %v", err)
	}
	if err = putFile(ctx, c, "x", map[string]string{"FileFlag": "192"}, []byte("x")); runtime.GOOS == "linux" && status.Code(err) != codes.AlreadyExists {
		t.Errorf("PutFile of a file that must not exist: %v", err)
	}
	stream, err := c.PutFile(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.CloseAndRecv()
	wantStatus(t, err, codes.InvalidArgument, "the stream has no message: the first one must name the store and what to write", "INVALID_ARGUMENT")

	missing := "the field request is missing: it names the store and the file"
	_, err = c.ListFile(ctx, &runtimev1.ListFileRequest{})
	wantStatus(t, err, codes.InvalidArgument, missing, "INVALID_ARGUMENT")
	_, err = c.DelFile(ctx, &runtimev1.DelFileRequest{})
	wantStatus(t, err, codes.InvalidArgument, missing, "INVALID_ARGUMENT")
	_, err = c.GetFileMeta(ctx, &runtimev1.GetFileMetaRequest{})
	wantStatus(t, err, codes.InvalidArgument, missing, "INVALID_ARGUMENT")

	q := &runtimev1.FileRequest{StoreName: "nope", Name: "x"}
	_, err = c.ListFile(ctx, &runtimev1.ListFileRequest{Request: q})
	wantStatus(t, err, codes.InvalidArgument, unknown, "UNKNOWN_COMPONENT")
	_, err = c.DelFile(ctx, &runtimev1.DelFileRequest{Request: q})
	wantStatus(t, err, codes.InvalidArgument, unknown, "UNKNOWN_COMPONENT")
	_, err = c.GetFileMeta(ctx, &runtimev1.GetFileMetaRequest{Request: q})
	wantStatus(t, err, codes.InvalidArgument, unknown, "UNKNOWN_COMPONENT")
	q = &runtimev1.FileRequest{StoreName: "files", Name: "nope"}
	if _, err = c.DelFile(ctx, &runtimev1.DelFileRequest{Request: q}); status.Code(err) != codes.NotFound {
		t.Errorf("DelFile: %v", err)
	}
	if _, err = c.GetFileMeta(ctx, &runtimev1.GetFileMetaRequest{Request: q}); status.Code(err) != codes.NotFound {
		t.Errorf("GetFileMeta: %v", err)
	}
	_, none := serve(t, layotto.Config{})
	_, _, err = getFile(ctx, runtimev1.NewRuntimeClient(none), "files", "x")
	wantStatus(t, err, codes.InvalidArgument, "not supported store type: files", "NOT_CONFIGURED")
}

// failingFiles answers every call with one error.
type failingFiles struct {
	file.Store
	err error
}

func (f failingFiles) Stat(context.Context, string, map[string]string) (*file.Info, error) {
	return nil, f.err
}

func (f failingFiles) Get(context.Context, string, map[string]string) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, fileChunk+10)), errReader{f.err})), nil
}

const fileChunk = 102400

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestFileCodes(t *testing.T) {
	tests := []struct {
		err  error
		code codes.Code
	}{
		{file.ErrInvalid, codes.InvalidArgument},
		{file.ErrNotFound, codes.NotFound},
		{file.ErrExists, codes.AlreadyExists},
		{file.ErrExpired, codes.DataLoss},
		{file.ErrPermission, codes.PermissionDenied},
		{file.ErrFull, codes.ResourceExhausted},
		{errors.New("the disk smokes"), codes.Internal},
		{io.ErrUnexpectedEOF, codes.Internal},      // what the backend sent was cut off
		{context.DeadlineExceeded, codes.Internal}, // the store's own limit
	}
	for _, tt := range tests {
		c, _ := serve(t, fileConfig(failingFiles{err: tt.err}))
		_, err := c.GetFileMeta(timeout(t), &runtimev1.GetFileMetaRequest{Request: &runtimev1.FileRequest{StoreName: "files", Name: "x"}})
		wantCode(t, err, tt.code, tt.err.Error())
		data, _, err := getFile(timeout(t), c, "files", "x") // in the middle of the content
		wantCode(t, err, tt.code, tt.err.Error())
		if len(data) != fileChunk+10 {
			t.Errorf("%v: %d bytes before the error", tt.err, len(data))
		}
	}
}

func wantCode(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if s := status.Convert(err); s.Code() != code || s.Message() != text {
		t.Errorf("status %v %q, want %v %q", s.Code(), s.Message(), code, text)
	}
}

// TestPutFileCancelled: a client that goes away in the middle leaves nothing.
func TestPutFileCancelled(t *testing.T) {
	s, root := localFiles(t)
	c, _ := serve(t, fileConfig(s))
	ctx, cancel := context.WithCancel(timeout(t))
	stream, err := c.PutFile(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		req := &runtimev1.PutFileRequest{Data: make([]byte, 64<<10)}
		if i == 0 {
			req.StoreName, req.Name = "files", "x"
		}
		if err := stream.Send(req); err != nil {
			t.Fatal(err)
		}
	}
	temp := filepath.Join(root, ".ottavo-tmp")
	waitFor(t, func() bool { entries, _ := os.ReadDir(temp); return len(entries) == 1 })
	cancel()
	waitFor(t, func() bool { entries, _ := os.ReadDir(temp); return len(entries) == 0 })
	if _, err := s.Stat(timeout(t), "x", nil); !errors.Is(err, file.ErrNotFound) {
		t.Errorf("Stat: %v", err)
	}
}

// waitFor waits until cond holds.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(testTime); !cond(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}

// blockingFiles does not read what it is to store, and yields without end.
type blockingFiles struct {
	file.Store
	entered chan struct{}
}

func (f blockingFiles) Put(ctx context.Context, _ string, _ map[string]string, _ io.Reader) error {
	close(f.entered)
	<-ctx.Done()
	return ctx.Err()
}

// TestPutFileBackPressure: a store that does not take the data stops the client.
func TestPutFileBackPressure(t *testing.T) {
	f := blockingFiles{entered: make(chan struct{})}
	c, _ := serve(t, fileConfig(f))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // in which the call has to get there
	defer cancel()
	stream, err := c.PutFile(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	req := &runtimev1.PutFileRequest{StoreName: "files", Name: "x", Data: make([]byte, 64<<10)}
	for err == nil && sent < 1<<30 {
		if err = stream.Send(req); err == nil {
			sent += len(req.GetData())
		}
	}
	select {
	case <-f.entered:
	case <-time.After(testTime):
		t.Fatal("the call has not come to the store")
	}
	if sent > 8<<20 {
		t.Errorf("the client could send %d bytes although none was taken", sent)
	}
	if _, err := stream.CloseAndRecv(); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%v", err)
	}
}

// TestFileConstantMemory sends much through in both directions and looks at the heap.
func TestFileConstantMemory(t *testing.T) {
	size := int64(1 << 30)
	if raceEnabled || testing.Short() {
		size = 96 << 20
	}
	store := &sinkFiles{size: size}
	c, _ := serve(t, fileConfig(store))
	ctx, cancel := context.WithTimeout(t.Context(), 3*testTime)
	defer cancel()
	growth := watchHeap(t)
	stream, err := c.PutFile(ctx)
	if err != nil {
		t.Fatal(err)
	}
	req := &runtimev1.PutFileRequest{StoreName: "files", Name: "x", Data: make([]byte, 1<<20)}
	for range size >> 20 {
		if err := stream.Send(req); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		t.Fatal(err)
	}
	if store.got != size {
		t.Fatalf("%d bytes arrived", store.got)
	}
	get, err := c.GetFile(ctx, &runtimev1.GetFileRequest{StoreName: "files", Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	sum, n := sha256.New(), int64(0)
	for {
		m, err := get.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(m.GetData()) > fileChunk {
			t.Fatalf("a message of %d bytes", len(m.GetData()))
		}
		if n < 1<<20 {
			sum.Write(m.GetData())
		}
		n += int64(len(m.GetData()))
	}
	if n != size {
		t.Errorf("%d bytes came back", n)
	}
	if g := growth(); g > 20<<20 {
		t.Errorf("the heap grew by %d MiB", g>>20)
	}
}

// sinkFiles counts what it is to store and yields zeros.
type sinkFiles struct {
	file.Store
	size, got int64
}

func (f *sinkFiles) Put(_ context.Context, _ string, _ map[string]string, r io.Reader) (err error) {
	f.got, err = io.Copy(io.Discard, r)
	return err
}

func (f *sinkFiles) Get(context.Context, string, map[string]string) (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(zeros{}, f.size)), nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// watchHeap looks at the heap every few milliseconds; the function it returns
// ends that and says by how much it grew at most. Garbage is collected early
// meanwhile, so that what is seen is what is held.
func watchHeap(t *testing.T) func() int64 {
	t.Helper()
	percent := debug.SetGCPercent(10)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	start, done, result := int64(m.HeapInuse), make(chan struct{}), make(chan int64)
	go func() {
		most := start
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, int64(m.HeapInuse))
			select {
			case <-tick.C:
			case <-done:
				result <- most - start
				return
			}
		}
	}()
	stopped := false
	stop := func() int64 {
		if stopped {
			return 0
		}
		stopped = true
		close(done)
		return <-result
	}
	t.Cleanup(func() { stop() })
	return stop
}
