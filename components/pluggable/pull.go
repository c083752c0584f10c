package pluggable

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
)

const (
	// standTimeout is how long a new stream may take to say that it stands, by its
	// headers. Most components do not say so; they are believed after that time.
	standTimeout = 250 * time.Millisecond
	// partTimeout is how long a process may take to end a stream that we have ended.
	partTimeout = time.Second
	// firstPause and lastPause are between attempts to open a stream again.
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// pull is a stream on which a process sends messages, each of which is handled and
// answered. It is opened again when it ends.
type pull[Req, Resp any] struct {
	link *link
	what string // for the log
	kind kindErrors
	open func(ctx context.Context, opts ...grpc.CallOption) (grpc.BidiStreamingClient[Req, Resp], error)
	// first is sent at the beginning of each stream; nil: nothing.
	first *Req
	// handle handles a message and returns the answer.
	handle func(ctx context.Context, m *Resp) *Req
	// grace is how long handlers may go on when the pull has ended.
	grace time.Duration

	room     chan struct{} // as many as may be handled at once
	handlers sync.WaitGroup
}

// start opens the stream, and goes on until ctx ends or the link is closed; done is
// closed when the last handler has returned. An error is that of the first stream.
func (p *pull[Req, Resp]) start(ctx context.Context, atOnce int) (<-chan struct{}, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.room = make(chan struct{}, atOnce)
	// Taking messages ends with taking, handling them and the streams with handling.
	taking, stopTaking := context.WithCancel(ctx)
	handling, stopHandling := context.WithCancel(context.WithoutCancel(ctx))
	done, standing := make(chan struct{}), make(chan error, 1)
	began := p.link.run(func() {
		unhook := context.AfterFunc(p.link.base, func() { //nolint:contextcheck // the component's life
			stopTaking()
			stopHandling()
		})
		defer close(done)
		defer stopHandling()
		defer stopTaking()
		defer unhook()
		p.keepOpen(taking, handling, stopHandling, standing)
		p.handlers.Wait()
	})
	if !began {
		stopTaking()
		stopHandling()
		return nil, p.link.explain(ctx, errClosed, p.kind)
	}
	// It is told soon: opening is bounded, and ends with ctx.
	if err := cmp.Or(<-standing, ctx.Err()); err != nil {
		stopTaking()
		stopHandling()
		<-done
		return nil, p.link.explain(ctx, err, p.kind)
	}
	return done, nil
}

// keepOpen opens streams one after the other. What became of the first one is told
// to standing.
func (p *pull[Req, Resp]) keepOpen(taking, handling context.Context, stopHandling func(), standing chan<- error) {
	stood := false
	stand := sync.OnceFunc(func() { standing <- nil })
	pause := firstPause
	for {
		began := time.Now()
		err := p.stream(taking, handling, stopHandling, func() {
			stood = true
			stand()
		})
		if taking.Err() != nil {
			stand()
			return
		}
		if !stood {
			standing <- err
			return
		}
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		p.link.log.Warn("the component's stream has ended and is opened again", "socket", p.link.socket, "stream", p.what, "error", p.link.explain(taking, err, p.kind))
		timer := time.NewTimer(pause)
		select {
		case <-taking.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, lastPause)
	}
}

// stream opens one and handles its messages until it or taking ends. stood is
// called, before it returns, if the stream stands as far as can be known.
func (p *pull[Req, Resp]) stream(taking, handling context.Context, stopHandling func(), stood func()) error {
	ctx, cancel := context.WithCancel(handling)
	defer cancel()
	limit := time.AfterFunc(callTimeout, cancel)
	stop := context.AfterFunc(taking, cancel)
	stream, err := p.open(ctx)
	if err == nil && p.first != nil {
		if sendErr := stream.Send(p.first); sendErr != nil {
			_, err = stream.Recv() // has the reason
		}
	}
	stop()
	limit.Stop()
	if err != nil {
		return err
	}
	messages, headers, ended := make(chan *Resp), make(chan struct{}), make(chan error, 1)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	reading.Go(func() { ended <- read(ctx, stream, messages, headers) })

	err = p.take(taking, &answering[Req, Resp]{BidiStreamingClient: stream, giveUp: cancel}, messages, headers, ended, stood)
	if taking.Err() == nil {
		return err
	}
	// The end: messages that are being handled are answered on this stream.
	stopLater := time.AfterFunc(p.grace, stopHandling)
	defer stopLater.Stop()
	p.handlers.Wait()
	_ = stream.CloseSend()
	parting := time.NewTimer(partTimeout)
	defer parting.Stop()
	for {
		select {
		case <-messages: // comes again to the next subscriber
		case <-ended: //nolint:errcheck // only that it has ended counts
			return nil
		case <-parting.C:
			return nil
		case <-handling.Done():
			return nil
		}
	}
}

// read receives until the stream ends, and returns why.
func read[Req, Resp any](ctx context.Context, stream grpc.BidiStreamingClient[Req, Resp], messages chan<- *Resp, headers chan<- struct{}) error {
	if md, err := stream.Header(); err == nil && md != nil {
		close(headers)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the process has ended it")
		}
		if err != nil {
			return err
		}
		select {
		case messages <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take hands messages to handlers until taking or the stream ends.
func (p *pull[Req, Resp]) take(taking context.Context, stream *answering[Req, Resp], messages <-chan *Resp, headers <-chan struct{}, ended <-chan error, stood func()) error {
	believed := time.NewTimer(standTimeout)
	defer believed.Stop()
	room := p.room // nil when there is a place for the next message
	source := (<-chan *Resp)(nil)
	for {
		select {
		case <-headers:
			headers = nil
			stood()
		case <-believed.C:
			stood()
		case err := <-ended:
			if source != nil {
				<-p.room
			}
			return err
		case <-taking.Done():
			if source != nil {
				<-p.room
			}
			return taking.Err()
		case room <- struct{}{}:
			room, source = nil, messages
		case m := <-source:
			room, source = p.room, nil
			stood()
			p.handlers.Go(func() { //nolint:contextcheck // a handler goes on when taking has ended
				defer func() { <-p.room }()
				stream.answer(p.handle(stream.Context(), m))
			})
		}
	}
}

// answering is a stream on which handlers answer, each when it is done.
type answering[Req, Resp any] struct {
	grpc.BidiStreamingClient[Req, Resp]
	giveUp  func() // ends the stream
	sending sync.Mutex
}

// answer sends an answer. When the stream has ended, or takes none, the message
// comes again.
func (a *answering[Req, Resp]) answer(answer *Req) {
	a.sending.Lock()
	defer a.sending.Unlock()
	limit := time.AfterFunc(callTimeout, a.giveUp)
	defer limit.Stop()
	_ = a.Send(answer)
}
