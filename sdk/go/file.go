package ottavo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// Files is one file store of the runtime. It is safe for concurrent use and costs
// nothing to make.
type Files struct {
	api      runtimev1.RuntimeClient
	store    string
	metadata map[string]string
}

// Files returns the file store with that name in the runtime's configuration. Whether
// there is one shows in the first call.
func (c *Client) Files(name string) *Files { return &Files{api: c.api, store: name} }

// With returns the same store for calls with metadata, which goes to the store; it
// knows the keys.
func (f *Files) With(metadata map[string]string) *Files {
	return &Files{api: f.api, store: f.store, metadata: metadata}
}

// FileInfo is what is known about a file.
type FileInfo struct {
	Name string
	// Size is in bytes.
	Size int64
	// LastModified is zero when the store does not tell.
	LastModified time.Time
	// Metadata holds what else the store tells; a name may have several values.
	Metadata map[string][]string
}

// Put writes a file from what content yields, whatever is there, at constant
// memory. When it fails, the old file is as it was; an error of content is wrapped.
func (f *Files) Put(ctx context.Context, name string, content io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := f.api.PutFile(ctx)
	if err != nil {
		return failed("PutFile", err)
	}
	// Only the first message says where the content goes.
	req := &runtimev1.PutFileRequest{StoreName: f.store, Name: name, Metadata: f.metadata}
	err = send(content, func(piece []byte) error {
		req.Data = piece
		err := stream.Send(req)
		req = &runtimev1.PutFileRequest{}
		return err
	})
	if err != nil {
		return fmt.Errorf("ottavo: PutFile: reading what is to be written to %q: %w", name, err)
	}
	_, err = stream.CloseAndRecv()
	return failed("PutFile", err)
}

// Get opens a file for reading; the caller closes it. ctx counts until then. That
// there is no such file (ErrNotFound) shows here, not in the first Read.
func (f *Files) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := f.api.GetFile(ctx, &runtimev1.GetFileRequest{StoreName: f.store, Name: name, Metadata: f.metadata})
	if err != nil {
		cancel()
		return nil, failed("GetFile", err)
	}
	next := func() ([]byte, error) {
		resp, err := stream.Recv()
		return resp.GetData(), err
	}
	piece, err := next()
	r, err := open("GetFile", piece, err, cancel, next)
	if err != nil {
		return nil, err // not r: a nil *reader is no nil ReadCloser
	}
	return r, nil
}

// Stat tells about a file without reading it.
func (f *Files) Stat(ctx context.Context, name string) (FileInfo, error) {
	resp, err := f.api.GetFileMeta(ctx, &runtimev1.GetFileMetaRequest{Request: f.request(name)})
	if err != nil {
		return FileInfo{}, failed("GetFileMeta", err)
	}
	info := FileInfo{Name: name, Size: resp.GetSize(), LastModified: fileTime(resp.GetLastModified()), Metadata: make(map[string][]string)}
	for key, values := range resp.GetResponse().GetMetadata() {
		info.Metadata[key] = values.GetValue()
	}
	return info, nil
}

// Delete removes a file. If it is not there, the error is ErrNotFound where the
// store can tell.
func (f *Files) Delete(ctx context.Context, name string) error {
	_, err := f.api.DelFile(ctx, &runtimev1.DelFileRequest{Request: f.request(name)})
	return failed("DelFile", err)
}

// List yields the files in a folder and in those below it ("" is all of the store,
// where it has no buckets), in the order of their names. Pages are fetched as they are
// needed. After an error nothing follows.
func (f *Files) List(ctx context.Context, folder string) iter.Seq2[FileInfo, error] {
	return func(yield func(FileInfo, error) bool) {
		for marker := ""; ; {
			resp, err := f.api.ListFile(ctx, &runtimev1.ListFileRequest{Request: f.request(folder), Marker: marker})
			if err != nil {
				yield(FileInfo{}, failed("ListFile", err))
				return
			}
			for _, file := range resp.GetFiles() {
				info := FileInfo{Name: file.GetFileName(), Size: file.GetSize(), LastModified: fileTime(file.GetLastModified()), Metadata: make(map[string][]string)}
				for key, value := range file.GetMetadata() {
					info.Metadata[key] = []string{value}
				}
				if !yield(info, nil) {
					return
				}
			}
			if !resp.GetIsTruncated() {
				return
			}
			if resp.GetMarker() == marker {
				yield(FileInfo{}, errors.New("ottavo: ListFile: the store says that there is more, and not where"))
				return
			}
			marker = resp.GetMarker()
		}
	}
}

func (f *Files) request(name string) *runtimev1.FileRequest {
	return &runtimev1.FileRequest{StoreName: f.store, Name: name, Metadata: f.metadata}
}

// fileTime reads a time as the runtime writes it, in the text form of Go.
func fileTime(text string) time.Time {
	text, _, _ = strings.Cut(text, " m=")
	for _, layout := range []string{"2006-01-02 15:04:05.999999999 -0700 MST", time.RFC3339, time.RFC1123} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return time.Time{}
}
