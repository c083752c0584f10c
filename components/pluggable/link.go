package pluggable

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/settings"
)

const (
	// startTimeout is how long a process may take to accept a connection and be
	// initialised.
	startTimeout = 5 * time.Second
	// callTimeout is how long a call may take at most, and a stream to go on.
	callTimeout = 30 * time.Second
	// startPause is how long after a start that failed no other is tried.
	startPause = 100 * time.Millisecond
	// endsFirst is how much earlier than ours a process's clock may end a call.
	endsFirst = 100 * time.Millisecond
	// closeTimeout is how long closing waits for what runs.
	closeTimeout = 5 * time.Second
)

// errClosed says that the component was closed by us.
var errClosed = errors.New("component is closed")

// link is the way to a component's process, for as long as the component lives. It
// is a grpc.ClientConnInterface: each call goes over a session that was initialised,
// which is made if need be. It is safe for concurrent use.
type link struct {
	socket   string
	instance string
	log      *slog.Logger
	// start initialises the process; called once per session, with its connection.
	start func(ctx context.Context, conn grpc.ClientConnInterface) error
	// ping is the method that Check calls; nil: a session is enough.
	ping   func(ctx context.Context) error
	hidden []string // must not be in errors

	base    context.Context //nolint:containedctx // the life of what runs on its own, ended by close
	end     context.CancelFunc
	running sync.WaitGroup
	current atomic.Pointer[session]

	mu      sync.Mutex
	closed  bool
	attempt *attempt  // nil: none is under way
	failed  error     // of the last attempt
	next    time.Time // not before it is the next attempt
}

// attempt is the making of a session that others wait for.
type attempt struct {
	done    chan struct{}
	session *session
	err     error
}

// newLink makes a link of a component's surroundings, without connecting.
func newLink(ctx context.Context, socket Socket, env components.Env, cfg components.Config) *link {
	texts := settings.Texts(cfg.Metadata)
	secret := make([]string, 0, len(cfg.Refs.Secrets))
	for _, ref := range cfg.Refs.Secrets {
		secret = append(secret, cmp.Or(ref.InjectAs, ref.SubKey, ref.Key))
	}
	l := &link{
		socket: socket.Path, instance: cfg.Name, log: cmp.Or(env.Log, slog.Default()),
		hidden: settings.Secrets(texts, secret...),
	}
	l.base, l.end = context.WithCancel(context.WithoutCancel(ctx))
	return l
}

// connect makes the first session. On an error the link is closed.
func (l *link) connect(ctx context.Context) error {
	if _, err := l.session(ctx); err != nil {
		err = l.explain(ctx, err, kindErrors{})
		l.close()
		return err
	}
	return nil
}

// session returns one that is good, as far as is known.
func (l *link) session(ctx context.Context) (*session, error) {
	for {
		if s := l.current.Load(); s != nil && !s.lost.Load() {
			return s, nil
		}
		a, err := l.join() //nolint:contextcheck // an attempt goes on for those who come later
		if err != nil {
			return nil, err
		}
		if a == nil {
			continue
		}
		select {
		case <-a.done:
			return a.session, a.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// join returns the attempt under way, and begins one if there is none; nil if there
// is a session by now.
func (l *link) join() (*attempt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	if s := l.current.Load(); s != nil && !s.lost.Load() {
		return nil, nil //nolint:nilnil // as the comment says
	}
	if l.attempt == nil {
		if l.failed != nil && time.Now().Before(l.next) {
			return nil, l.failed
		}
		a := &attempt{done: make(chan struct{})}
		l.attempt = a
		l.running.Go(func() { l.try(a) })
	}
	return l.attempt, nil
}

// try carries out an attempt. It goes on when those who wait for it have left, so
// that a start that takes longer than their calls may succeed in the end.
func (l *link) try(a *attempt) {
	ctx, cancel := context.WithTimeout(l.base, startTimeout)
	defer cancel()
	s, err := dial(ctx, l.socket, l.instance)
	if err == nil {
		if err = l.start(ctx, s.conn); err != nil {
			s.close()
			s = nil
		}
	}
	if errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded {
		err = fmt.Errorf("its process does not get ready within %s", startTimeout)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempt, l.failed, l.next = nil, err, time.Now().Add(startPause)
	switch {
	case err != nil:
		a.err = err
	case l.closed:
		s.close()
		a.err = errClosed
	default:
		a.session = s
		if old := l.current.Swap(s); old != nil {
			old.close()
			l.log.Info("the component's process is back and was initialised again", "socket", l.socket)
		}
	}
	close(a.done)
}

// Invoke implements grpc.ClientConnInterface.
func (l *link) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	s, err := l.session(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return s.conn.Invoke(ctx, method, args, reply, opts...)
}

// NewStream implements grpc.ClientConnInterface. The stream has no time limit.
func (l *link) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := l.session(ctx)
	if err != nil {
		return nil, err
	}
	return s.conn.NewStream(ctx, desc, method, opts...)
}

// Check implements components.Checker.
func (l *link) Check(ctx context.Context) error {
	_, err := l.session(ctx)
	if err == nil && l.ping != nil {
		if err = l.ping(ctx); status.Code(err) == codes.Unimplemented {
			err = nil
		}
	}
	if err != nil && ctx.Err() != nil && !l.isClosed() {
		return l.failure("its process does not answer: " + ctx.Err().Error())
	}
	return l.explain(ctx, err, kindErrors{})
}

// isClosed says whether the component was closed by us.
func (l *link) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// run does something beside, in the link's life; false when that is over.
func (l *link) run(do func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.running.Go(do)
	}
	return !l.closed
}

// close ends everything that runs, and returns when it has ended. It is safe twice.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.end()
	ended := make(chan struct{})
	go func() {
		l.running.Wait()
		close(ended)
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C: // somebody's handler does not heed its context
	}
	if s := l.current.Load(); s != nil {
		s.close()
	}
}

// kindErrors are a kind's errors, by what a component says.
type kindErrors struct {
	closed error
	codes  map[codes.Code]error
}

// explain brings what a call has come to into a kind's form. ctx is the caller's.
func (l *link) explain(ctx context.Context, err error, kind kindErrors) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, errClosed) || l.isClosed() {
		return cmp.Or(kind.closed, errClosed)
	}
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	st, said := status.FromError(err)
	if !said {
		return l.failure(err.Error())
	}
	text := st.Message()
	if invalid := kind.codes[codes.InvalidArgument]; invalid != nil && st.Code() == codes.Internal && strings.HasSuffix(text, "contains invalid UTF-8") {
		return fmt.Errorf("%w: what is no UTF-8 cannot be sent to the component's process", invalid)
	}
	// What gRPC itself says of a message that is too large is no answer of the component.
	if known := kind.codes[st.Code()]; known != nil && !strings.HasPrefix(text, "grpc: ") {
		text = strings.TrimPrefix(strings.TrimPrefix(text, known.Error()), ": ")
		if text == "" {
			return known
		}
		return fmt.Errorf("%w: %s", known, settings.Hide(text, l.hidden))
	}
	switch st.Code() {
	case codes.DeadlineExceeded:
		// The process keeps the caller's time, too, and may tell of its end first.
		if end, ok := ctx.Deadline(); ok && time.Until(end) < endsFirst {
			return context.DeadlineExceeded
		}
		return l.failure("its process does not answer in time: " + text)
	case codes.Unavailable:
		return l.failure("its process cannot be reached: " + text)
	case codes.Unknown:
		return l.failure(text)
	}
	return l.failure(st.Code().String() + ": " + text)
}

// failure is an error that names the socket and shows no secret.
func (l *link) failure(text string) error {
	return fmt.Errorf("pluggable component at %s: %s", l.socket, settings.Hide(text, l.hidden))
}
