package pluggable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/file"
	filev1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/file"
)

// chunk is how many bytes of a content go into a message.
const chunk = 64 << 10

// fileStore is a file store in a process of its own.
type fileStore struct {
	*link
	client filev1.FileClient
}

func newFile(ctx context.Context, l *link, _ Socket, env components.Env, cfg components.Config) (file.Store, error) {
	if err := l.startOwn(ctx, filev1.File_ServiceDesc, "file", env, cfg, nil); err != nil {
		return nil, err
	}
	return &fileStore{l, filev1.NewFileClient(l)}, nil
}

func (s *fileStore) said(ctx context.Context, err error) error {
	if bad, ok := errors.AsType[*sourceError](err); ok {
		return fmt.Errorf("reading the content: %w", bad.err)
	}
	return s.explain(ctx, err, kindErrors{closed: file.ErrClosed, codes: map[codes.Code]error{
		codes.InvalidArgument: file.ErrInvalid, codes.NotFound: file.ErrNotFound, codes.AlreadyExists: file.ErrExists,
		codes.FailedPrecondition: file.ErrExpired, codes.PermissionDenied: file.ErrPermission, codes.Unauthenticated: file.ErrPermission,
		codes.ResourceExhausted: file.ErrFull,
	}})
}

// Put implements file.Store.
func (s *fileStore) Put(ctx context.Context, name string, metadata map[string]string, r io.Reader) error {
	if err := file.CheckName(name); err != nil {
		return err
	}
	first := &filev1.PutRequest{Name: name, Metadata: metadata}
	_, err := upload(ctx, r, s.client.Put, pieces(first, func(m *filev1.PutRequest, data []byte) { m.Data = data }))
	return s.said(ctx, err)
}

// sourceError is an error of what is uploaded.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }

// upload sends what r yields, in messages that part makes, one at least. The stream
// is cancelled when r fails; a process that does not take a message for too long
// has failed.
func upload[Req, Resp any](ctx context.Context, r io.Reader, open func(context.Context, ...grpc.CallOption) (grpc.ClientStreamingClient[Req, Resp], error), part func(data []byte) *Req) (*Resp, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stall := newStall(cancel)
	defer stall.stop()
	stream, err := open(ctx)
	if err != nil {
		return nil, stall.because(err)
	}
	buf := make([]byte, chunk)
	for first := true; ; first = false {
		stall.stop()
		n, readErr := io.ReadFull(r, buf)
		end := errors.Is(readErr, io.EOF) || errors.Is(readErr, io.ErrUnexpectedEOF)
		if readErr != nil && !end {
			return nil, &sourceError{readErr}
		}
		stall.start()
		if n > 0 || first {
			if err := stream.Send(part(buf[:n])); err != nil {
				// It is io.EOF; the reason comes with the answer.
				resp, err := stream.CloseAndRecv()
				return resp, stall.because(err)
			}
		}
		if end {
			resp, err := stream.CloseAndRecv()
			return resp, stall.because(err)
		}
	}
}

// stall ends a stream that does not go on.
type stall struct {
	timer *time.Timer
	ended chan struct{}
}

func newStall(cancel func()) *stall {
	s := &stall{ended: make(chan struct{})}
	s.timer = time.AfterFunc(callTimeout, func() {
		close(s.ended)
		cancel()
	})
	return s
}

// start begins a wait, stop ends it.
func (s *stall) start() {
	select {
	case <-s.ended:
	default:
		s.timer.Reset(callTimeout)
	}
}
func (s *stall) stop() { s.timer.Stop() }

// because returns err, or what it comes from.
func (s *stall) because(err error) error {
	select {
	case <-s.ended:
		if err != nil {
			return fmt.Errorf("its process did not go on for %s", callTimeout)
		}
	default:
	}
	return err
}

// Get implements file.Store.
func (s *fileStore) Get(ctx context.Context, name string, metadata map[string]string) (io.ReadCloser, error) {
	if err := file.CheckName(name); err != nil {
		return nil, err
	}
	d, err := download(ctx, func(ctx context.Context) (grpc.ServerStreamingClient[filev1.GetResponse], error) {
		return s.client.Get(ctx, &filev1.GetRequest{Name: name, Metadata: metadata})
	}, (*filev1.GetResponse).GetData, s.said)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// downloaded is a content that a process streams.
type downloaded[Resp any] struct {
	ctx    context.Context //nolint:containedctx // the caller's, who reads until it ends
	cancel func()
	stall  *stall
	stream grpc.ServerStreamingClient[Resp]
	data   func(*Resp) []byte
	said   func(context.Context, error) error
	first  *Resp
	rest   []byte
	err    error
}

// download opens a stream and takes its first message, if there is one, with which
// it is known that there is something to read.
func download[Resp any](ctx context.Context, open func(context.Context) (grpc.ServerStreamingClient[Resp], error), data func(*Resp) []byte, said func(context.Context, error) error) (*downloaded[Resp], error) {
	inner, cancel := context.WithCancel(ctx)
	d := &downloaded[Resp]{ctx: ctx, cancel: cancel, stall: newStall(cancel), data: data, said: said}
	var err error
	if d.stream, err = open(inner); err == nil {
		d.first, err = d.stream.Recv()
	}
	d.stall.stop()
	if errors.Is(err, io.EOF) {
		d.err, err = io.EOF, nil
	}
	if err != nil {
		cancel()
		return nil, said(ctx, d.stall.because(err))
	}
	d.rest = data(d.first)
	return d, nil
}

// Read implements io.Reader.
func (d *downloaded[Resp]) Read(p []byte) (int, error) {
	if err := d.ctx.Err(); err != nil {
		return 0, err
	}
	for len(d.rest) == 0 && d.err == nil {
		d.stall.start()
		m, err := d.stream.Recv()
		d.stall.stop()
		switch {
		case errors.Is(err, io.EOF):
			d.err = io.EOF
		case err != nil:
			d.err = d.said(d.ctx, d.stall.because(err))
		default:
			d.rest = d.data(m)
		}
	}
	if len(d.rest) == 0 {
		return 0, d.err
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (d *downloaded[Resp]) Close() error {
	d.cancel()
	return nil
}

// List implements file.Store.
func (s *fileStore) List(ctx context.Context, name string, metadata map[string]string, page file.Page) (*file.List, error) {
	if err := file.CheckPage(page); err != nil {
		return nil, err
	}
	resp, err := s.client.List(ctx, &filev1.ListRequest{Name: name, Metadata: metadata, Size: int32(min(page.Size, 1<<30)), Marker: page.Marker}) //nolint:gosec // it fits
	if err != nil {
		return nil, s.said(ctx, err)
	}
	list := &file.List{Marker: resp.GetMarker(), Truncated: resp.GetTruncated()}
	for _, f := range resp.GetFiles() {
		list.Files = append(list.Files, info(f))
	}
	return list, nil
}

func info(f *filev1.Info) file.Info {
	out := file.Info{Name: f.GetName(), Size: f.GetSize(), Metadata: make(map[string][]string, len(f.GetMetadata()))}
	if f.GetLastModified() != nil {
		out.LastModified = f.GetLastModified().AsTime()
	}
	for key, values := range f.GetMetadata() {
		out.Metadata[key] = values.GetValues()
	}
	return out
}

// Delete implements file.Store.
func (s *fileStore) Delete(ctx context.Context, name string, metadata map[string]string) error {
	if err := file.CheckName(name); err != nil {
		return err
	}
	_, err := s.client.Delete(ctx, &filev1.DeleteRequest{Name: name, Metadata: metadata})
	return s.said(ctx, err)
}

// Stat implements file.Store.
func (s *fileStore) Stat(ctx context.Context, name string, metadata map[string]string) (*file.Info, error) {
	if err := file.CheckName(name); err != nil {
		return nil, err
	}
	resp, err := s.client.Stat(ctx, &filev1.StatRequest{Name: name, Metadata: metadata})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	out := info(resp.GetInfo())
	return &out, nil
}

// Close implements file.Store.
func (s *fileStore) Close() error {
	s.close()
	return nil
}
