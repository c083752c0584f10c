package sdktest_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

// big is more than several messages hold.
func big(t *testing.T) []byte {
	t.Helper()
	data := make([]byte, 3<<20+17)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	return data
}

// content reads all of it and closes it.
func content(t *testing.T, r io.ReadCloser, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	return data
}

func names[T any](t *testing.T, list iter.Seq2[T, error], name func(T) string) []string {
	t.Helper()
	var all []string
	for item, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name(item))
	}
	return all
}

var errBroken = errors.New("broken")

func TestFiles(t *testing.T) {
	_, client := startReal(t, 0)
	ctx, files := timeout(t), client.Files("files")
	data := big(t)
	before := time.Now()
	if err := files.Put(ctx, "a/b.bin", bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	r, err := files.Get(ctx, "a/b.bin")
	if got := content(t, r, err); !bytes.Equal(got, data) {
		t.Errorf("%d bytes, want the %d that were written", len(got), len(data))
	}
	info, err := files.Stat(ctx, "a/b.bin")
	if err != nil || info.Name != "a/b.bin" || info.Size != int64(len(data)) || info.LastModified.Before(before.Add(-2*time.Second)) || info.LastModified.After(time.Now().Add(time.Second)) {
		t.Errorf("%+v, %v", info, err)
	}
	if err := files.Put(ctx, "empty", strings.NewReader("")); err != nil {
		t.Fatal(err)
	}
	r, err = files.Get(ctx, "empty")
	if got := content(t, r, err); len(got) != 0 {
		t.Errorf("an empty file holds %q", got)
	}
	// A content that breaks leaves the old one.
	broken := io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), iotest.ErrReader(errBroken))
	if err := files.Put(ctx, "a/b.bin", broken); !errors.Is(err, errBroken) {
		t.Errorf("%v, want the reader's error", err)
	}
	r, err = files.Get(ctx, "a/b.bin")
	if got := content(t, r, err); !bytes.Equal(got, data) {
		t.Errorf("after a put that failed: %d bytes", len(got))
	}
	// Whoever reads a part only leaves nothing behind.
	if r, err = files.Get(ctx, "a/b.bin"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}

	if got := names(t, files.List(ctx, ""), func(f ottavo.FileInfo) string { return f.Name }); !slices.Equal(got, []string{"a/b.bin", "empty"}) {
		t.Errorf("%q", got)
	}
	if got := names(t, files.List(ctx, "a"), func(f ottavo.FileInfo) string { return fmt.Sprint(f.Size) }); !slices.Equal(got, []string{fmt.Sprint(len(data))}) {
		t.Errorf("%q", got)
	}
	if err := files.Delete(ctx, "a/b.bin"); err != nil {
		t.Error(err)
	}
	_, errGet := files.Get(ctx, "a/b.bin")
	_, errStat := files.Stat(ctx, "a/b.bin")
	for name, err := range map[string]error{"Get": errGet, "Stat": errStat, "Delete": files.Delete(ctx, "a/b.bin")} {
		if !errors.Is(err, ottavo.ErrNotFound) {
			t.Errorf("%s of what is not there: %v, want ErrNotFound", name, err)
		}
	}
	if err := files.Put(ctx, "../out", strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "PutFile") {
		t.Errorf("a name that leads out: %v", err)
	}
	if err := client.Files("nowhere").Put(ctx, "a", bytes.NewReader(data)); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("%v", err)
	}
	for _, err := range client.Files("nowhere").List(ctx, "") {
		if err == nil || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("%v", err)
		}
	}
}

// Lists are fetched page by page, and only as far as somebody looks.
func TestListPages(t *testing.T) {
	_, client := startReal(t, 0)
	ctx, files := timeout(t), client.Files("files")
	const n = 1005 // a page has 1000
	for i := range n {
		if err := files.Put(ctx, fmt.Sprintf("f%04d", i), strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, files.List(ctx, ""), func(f ottavo.FileInfo) string { return f.Name }); len(got) != n || !slices.IsSorted(got) || slices.Compact(got)[n-1] != "f1004" {
		t.Errorf("%d names", len(got))
	}
	for _, err := range files.List(ctx, "") {
		if err != nil {
			t.Error(err)
		}
		break
	}
}

func TestBucket(t *testing.T) {
	_, client := startReal(t, 0)
	ctx, b := timeout(t), client.Bucket("objects", "photos")
	data := big(t)
	etag, err := b.Put(ctx, "a/1", bytes.NewReader(data), ottavo.ObjectOptions{
		Size: int64(len(data)), Metadata: map[string]string{"who": "eva"}, Tags: map[string]string{"t": "1"}, ContentEncoding: "x",
	})
	if err != nil || etag == "" {
		t.Fatal(etag, err)
	}
	o, err := b.Get(ctx, "a/1")
	if err != nil {
		t.Fatal(err)
	}
	if o.ETag != etag || o.Size != int64(len(data)) || o.Metadata["who"] != "eva" || o.ContentEncoding != "x" || o.LastModified.IsZero() || o.Key != "a/1" {
		t.Errorf("%+v", o)
	}
	if got := content(t, o, nil); !bytes.Equal(got, data) {
		t.Errorf("%d bytes, want the %d that were written", len(got), len(data))
	}
	o, err = b.Get(ctx, "a/1", ottavo.Part{Start: 10, End: 19})
	if got := content(t, o, err); !bytes.Equal(got, data[10:20]) {
		t.Errorf("a part: %d bytes", len(got))
	}
	head, err := b.Head(ctx, "a/1")
	if err != nil || len(head) == 0 {
		t.Errorf("%v, %v", head, err)
	}
	if tags, err := b.Tags(ctx, "a/1"); err != nil || tags["t"] != "1" {
		t.Errorf("%v, %v", tags, err)
	}
	if err := b.SetTags(ctx, "a/1", map[string]string{"t": "2"}); err != nil {
		t.Error(err)
	}
	if tags, err := b.Tags(ctx, "a/1"); err != nil || tags["t"] != "2" {
		t.Errorf("%v, %v", tags, err)
	}
	if err := b.Copy(ctx, "", "a/1", "a/2"); err != nil {
		t.Error(err)
	}
	if err := client.Bucket("objects", "others").Copy(ctx, "photos", "a/1", "b"); err != nil {
		t.Error(err)
	}
	if _, err := b.Put(ctx, "c", strings.NewReader("")); err != nil {
		t.Error(err)
	}
	if got := names(t, b.List(ctx, "a/"), func(o ottavo.ObjectInfo) string { return o.Key }); !slices.Equal(got, []string{"a/1", "a/2"}) {
		t.Errorf("%q", got)
	}
	if yes, err := b.Exists(ctx, "a/2"); err != nil || !yes {
		t.Errorf("%t, %v", yes, err)
	}
	if err := b.Delete(ctx, "a/1", "a/2"); err != nil {
		t.Error(err)
	}
	if err := b.Delete(ctx, "c"); err != nil {
		t.Error(err)
	}
	if err := b.Delete(ctx); err != nil {
		t.Error(err)
	}
	if yes, err := b.Exists(ctx, "a/2"); err != nil || yes {
		t.Errorf("%t, %v", yes, err)
	}
	if _, err := b.Get(ctx, "a/1"); !errors.Is(err, ottavo.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
	if _, err := b.Put(ctx, "d", iotest.ErrReader(errBroken)); !errors.Is(err, errBroken) {
		t.Errorf("%v, want the reader's error", err)
	}
	if _, err := b.SignURL(ctx, "d", "GET", time.Minute); err == nil {
		t.Error("a folder that signs URLs")
	}
	if _, err := client.Bucket("nowhere", "b").Put(ctx, "k", bytes.NewReader(data)); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("%v", err)
	}
}
