package pluggable_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/file"
	filelocal "github.com/ottavo-runtime/ottavo/components/file/local"
	"github.com/ottavo-runtime/ottavo/components/pluggable"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/state"
	daprv1 "github.com/ottavo-runtime/ottavo/spec/proto/dapr/components/v1"
	filev1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/file"
)

// hostileState does with some keys what no store does.
type hostileState struct {
	*stateServer
	entered chan struct{}
}

func (h *hostileState) Get(ctx context.Context, r *daprv1.GetRequest) (*daprv1.GetResponse, error) {
	switch r.GetKey() {
	case "hang":
		h.entered <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	case "huge":
		return &daprv1.GetResponse{Data: make([]byte, 65<<20)}, nil
	case "panic":
		return nil, errors.New(strings.Repeat("long ", 1<<20)) // more than headers may have
	}
	return h.stateServer.Get(ctx, r)
}

func (h *hostileState) register(g *grpc.Server) {
	daprv1.RegisterStateStoreServer(g, h)
	daprv1.RegisterTransactionalStateStoreServer(g, h)
	daprv1.RegisterTransactionalStoreMultiMaxSizeServer(g, h)
}

// Whatever a process does, a call ends with an error that names the socket, and the
// component goes on.
func TestHostile(t *testing.T) {
	t.Parallel()
	server := &hostileState{newStateServer(t), make(chan struct{}, 1)}
	p := start(t, server.register)
	s := open(t, p.rows().States, nil)
	defer func() { _ = s.Close() }()
	works := func() {
		t.Helper()
		eventually(t, "the component works", func() error {
			_, err := s.Get(t.Context(), state.Get{Key: "a"})
			return err
		})
	}
	t.Run("huge message", func(t *testing.T) {
		_, err := s.Get(t.Context(), state.Get{Key: "huge"})
		wantError(t, err, p.path, "larger than max")
		works()
	})
	t.Run("huge error", func(t *testing.T) {
		_, err := s.Get(t.Context(), state.Get{Key: "panic"})
		wantError(t, err, p.path)
		if len(err.Error()) > 128<<10 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		works()
	})
	t.Run("huge request", func(t *testing.T) {
		err := s.Write(t.Context(), state.Op{Key: "a", Value: make([]byte, 65<<20)})
		wantError(t, err, p.path, "larger than max")
		works()
	})
	t.Run("never answers", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := s.Get(ctx, state.Get{Key: "hang"})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		<-server.entered
		works()
	})
	t.Run("dies while it works", func(t *testing.T) {
		failed := make(chan error, 1)
		go func() {
			_, err := s.Get(t.Context(), state.Get{Key: "hang"})
			failed <- err
		}()
		<-server.entered
		p.kill()
		wantError(t, <-failed, p.path)
		p.up()
		works()
	})
	t.Run("closed while it works", func(t *testing.T) {
		other := open(t, p.rows().States, nil)
		failed := make(chan error, 1)
		go func() {
			_, err := other.Get(t.Context(), state.Get{Key: "hang"})
			failed <- err
		}()
		<-server.entered
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		if err := <-failed; !errors.Is(err, state.ErrClosed) {
			t.Error(err)
		}
	})
}

// However many call when the process is back, it is initialised once.
func TestOneInit(t *testing.T) {
	t.Parallel()
	server := newStateServer(t)
	p := start(t, server.register)
	s := open(t, p.rows().States, nil)
	defer func() { _ = s.Close() }()
	p.kill()
	p.up()
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() {
			eventually(t, "the component works", func() error {
				_, err := s.Get(t.Context(), state.Get{Key: "a"})
				return err
			})
		})
	}
	calls.Wait()
	if n := server.count(); n != 2 {
		t.Errorf("initialised %d times, want 2", n)
	}
}

// A process that is found, and speaks no gRPC any more when the component is made,
// keeps nobody for long.
func TestTurnsBad(t *testing.T) {
	t.Parallel()
	p := start(t, newStateServer(t).register)
	rows := p.rows().States
	p.kill()
	for name, do := range map[string]func(net.Conn){
		"closes at once": func(net.Conn) {},
		"garbage":        func(c net.Conn) { _, _ = io.WriteString(c, strings.Repeat("garbage\n", 1000)) },
		"silence":        func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
	} {
		t.Run(name, func(t *testing.T) {
			_ = os.Remove(p.path)
			listen(t, p.path, do)
			began := time.Now()
			_, err := tryOpen(t, rows, components.Config{})
			wantError(t, err, p.path)
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	_ = os.Remove(p.path)
	_, err := tryOpen(t, rows, components.Config{})
	wantError(t, err, p.path, "the socket is gone")
}

// failing yields some content, then an error; the process must not keep the rest.
type failing struct{ left atomic.Int64 }

func (f *failing) Read(p []byte) (int, error) {
	if f.left.Add(-int64(len(p))) < 0 {
		return 0, errors.New("the source is broken")
	}
	return len(p), nil
}

// A process that dies in the middle of a content ends reading and writing with an
// error; a content that breaks off is not stored.
func TestContentBreaksOff(t *testing.T) {
	t.Parallel()
	server := &fileServer{store: backend(t, filelocal.New, nil)}
	p := start(t, func(g *grpc.Server) { filev1.RegisterFileServer(g, server) })
	s := open(t, p.rows().Files, nil)
	defer func() { _ = s.Close() }()
	broken := new(failing)
	broken.left.Store(1 << 20)
	err := s.Put(t.Context(), "f", nil, broken)
	wantError(t, err, "the source is broken")
	if _, err := s.Stat(t.Context(), "f", nil); !errors.Is(err, file.ErrNotFound) {
		t.Errorf("Stat: %v", err)
	}
	if err := s.Put(t.Context(), "f", nil, strings.NewReader(strings.Repeat("x", 4<<20))); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(t.Context(), "f", nil)
	if err != nil {
		t.Fatal(err)
	}
	p.kill()
	_, err = io.Copy(io.Discard, r)
	wantError(t, err, p.path)
	_ = r.Close()
	err = s.Put(t.Context(), "g", nil, strings.NewReader("x"))
	wantError(t, err, p.path)
}

// Many components of one process, each with its name.
func TestInstances(t *testing.T) {
	t.Parallel()
	server := newStateServer(t)
	p := start(t, server.register)
	socket := p.discover()
	for _, name := range []string{"orders", "sessions"} {
		rows, _ := pluggable.RowsOf(socket)
		s, err := tryOpen(t, rows.States, components.Config{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		server.mu.Lock()
		if server.instance != name {
			t.Errorf("the process knows it as %q, want %q", server.instance, name)
		}
		server.mu.Unlock()
		_ = s.Close()
	}
}

// A subscription whose context ends, or whose process is silent, keeps nobody.
func TestSubscribeEnds(t *testing.T) {
	t.Parallel()
	server := newBrokerServer(t, 1)
	p := start(t, server.register)
	b := open(t, p.rows().Brokers, nil)
	defer func() { _ = b.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Subscribe(ctx, pubsub.Subscription{Topic: "t"}, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	p.kill()
	_ = os.Remove(p.path)
	eventually(t, "the component is down", func() error {
		if b.(components.Checker).Check(t.Context()) == nil {
			return errors.New("it is up")
		}
		return nil
	})
	listen(t, p.path, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	// For a moment after the last attempt its error is told again.
	eventually(t, "subscribing takes as long as its context", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := b.Subscribe(ctx, pubsub.Subscription{Topic: "t"}, nil); !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%w, want that the time is up", err)
		}
		return nil
	})
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantError(t, b.(components.Checker).Check(ctx), p.path, "does not answer")
}
