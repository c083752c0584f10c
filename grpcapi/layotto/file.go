package layotto

import (
	"context"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// fileChunk is the most data in one message of GetFile, in bytes.
const fileChunk = 102400

// chunks are the buffers for it; a message is encoded before Send returns.
type chunks struct{ pool sync.Pool }

func newChunks(size int) *chunks {
	return &chunks{sync.Pool{New: func() any { b := make([]byte, size); return &b }}}
}

// each calls send with everything that r yields, in pieces that are full except
// for the last one, and tells how many there were.
func (c *chunks) each(r io.Reader, send func([]byte) error) (n int, err error) {
	buf := c.pool.Get().(*[]byte)
	defer c.pool.Put(buf)
	for {
		size, err := io.ReadFull(r, *buf)
		if size > 0 {
			if serr := send((*buf)[:size]); serr != nil {
				return n, serr
			}
			n++
		}
		switch {
		case err == io.EOF, err == io.ErrUnexpectedEOF: // of ReadFull itself; a store's own comes as an Error
			return n, nil
		case err != nil:
			return n, err
		}
	}
}

// GetFile reads a file as a stream of pieces; of an empty one there are none.
func (r *runtimeServer) GetFile(req *runtimev1.GetFileRequest, stream grpc.ServerStreamingServer[runtimev1.GetFileResponse]) error {
	content, err := r.File.Get(stream.Context(), req.GetStoreName(), req.GetName(), req.GetMetadata())
	if err != nil {
		return toStatus(err)
	}
	defer func() { _ = content.Close() }()
	_, err = r.fileChunks.each(content, func(data []byte) error {
		return stream.Send(&runtimev1.GetFileResponse{Data: data})
	})
	return toStatus(err)
}

// PutFile writes a file from a stream of pieces.
func (r *runtimeServer) PutFile(stream grpc.ClientStreamingServer[runtimev1.PutFileRequest, emptypb.Empty]) error {
	first, content, err := firstPiece(stream.Recv, (*runtimev1.PutFileRequest).GetData, capability.FileName, capability.FilePut)
	if err != nil {
		return toStatus(err)
	}
	if err := r.File.Put(stream.Context(), first.GetStoreName(), first.GetName(), first.GetMetadata(), content); err != nil {
		return toStatus(err)
	}
	return stream.SendAndClose(&emptypb.Empty{})
}

// ListFile lists files, page by page.
func (r *runtimeServer) ListFile(ctx context.Context, req *runtimev1.ListFileRequest) (*runtimev1.ListFileResp, error) {
	q := req.GetRequest()
	if q == nil {
		return nil, toStatus(noRequest(capability.FileList))
	}
	page := file.Page{Size: int(req.GetPageSize()), Marker: req.GetMarker()}
	l, err := r.File.List(ctx, q.GetStoreName(), q.GetName(), q.GetMetadata(), page)
	if err != nil {
		return nil, toStatus(err)
	}
	out := &runtimev1.ListFileResp{Marker: valid(l.Marker), IsTruncated: l.Truncated, Files: make([]*runtimev1.FileInfo, len(l.Files))}
	for i := range l.Files {
		f := &l.Files[i]
		out.Files[i] = &runtimev1.FileInfo{
			FileName: valid(f.Name), Size: f.Size, LastModified: timeText(f.LastModified), Metadata: firstValues(f.Metadata),
		}
	}
	return out, nil
}

// DelFile deletes a file.
func (r *runtimeServer) DelFile(ctx context.Context, req *runtimev1.DelFileRequest) (*emptypb.Empty, error) {
	q := req.GetRequest()
	if q == nil {
		return nil, toStatus(noRequest(capability.FileDelete))
	}
	return empty(r.File.Delete(ctx, q.GetStoreName(), q.GetName(), q.GetMetadata()))
}

// GetFileMeta tells about a file without reading it.
func (r *runtimeServer) GetFileMeta(ctx context.Context, req *runtimev1.GetFileMetaRequest) (*runtimev1.GetFileMetaResponse, error) {
	q := req.GetRequest()
	if q == nil {
		return nil, toStatus(noRequest(capability.FileStat))
	}
	info, err := r.File.Stat(ctx, q.GetStoreName(), q.GetName(), q.GetMetadata())
	if err != nil {
		return nil, toStatus(err)
	}
	meta := &runtimev1.FileMeta{Metadata: make(map[string]*runtimev1.FileMetaValue, len(info.Metadata))}
	for name, values := range info.Metadata {
		out := &runtimev1.FileMetaValue{Value: make([]string, len(values))}
		for i, v := range values {
			out.Value[i] = valid(v)
		}
		meta.Metadata[valid(name)] = out
	}
	return &runtimev1.GetFileMetaResponse{Size: info.Size, LastModified: timeText(info.LastModified), Response: meta}, nil
}

// noRequest is the error for a message without the message in it.
func noRequest(op capability.Op) error {
	return &capability.Error{
		Kind: capability.InvalidArgument, Capability: capability.FileName, Op: op,
		Msg: "the field request is missing: it names the store and the file",
	}
}

// timeText is a time as Layotto's clients get it: in Go's own text form.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().String()
}

// firstValues leaves one value to each name, as the message has no room for more.
func firstValues(metadata map[string][]string) map[string]string {
	if len(metadata) == 0 {
		return nil
	}
	out := make(map[string]string, len(metadata))
	for name, values := range metadata {
		if len(values) > 0 {
			out[valid(name)] = valid(values[0])
		}
	}
	return out
}
