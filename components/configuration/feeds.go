package configuration

import (
	"context"
	"sync"
)

// Feeds keeps a goroutine running for each key that somebody uses: what a backend
// needs to follow its server (an application, a namespace) for as long as anybody
// watches that, once for all. Use NewFeeds. It is safe for concurrent use.
type Feeds[K comparable] struct {
	run  func(ctx context.Context, key K, ready func()) error
	base context.Context //nolint:containedctx // the life of the goroutines, ended by Close
	end  context.CancelFunc

	mu      sync.Mutex
	feeds   map[K]*feed
	closed  bool
	running sync.WaitGroup
}

// feed is one goroutine.
type feed struct {
	users int // guarded by Feeds.mu; 0: it is ending
	end   context.CancelFunc
	ready chan struct{} // closed when it is ready or has failed
	ended chan struct{} // closed when it has ended; err is set then
	err   error
}

// NewFeeds makes Feeds of run, which follows key until ctx ends and calls ready
// when what there is has been read. An error before that is the error of Use;
// afterwards it goes on, whatever happens, and returns when ctx has ended. ctx
// gives its values only.
func NewFeeds[K comparable](ctx context.Context, run func(ctx context.Context, key K, ready func()) error) *Feeds[K] {
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	return &Feeds[K]{run: run, base: base, end: end, feeds: make(map[K]*feed)}
}

// Use returns when the key is followed, until the last of its users calls
// release, which is safe twice. An error is that of run, ctx's, or ErrClosed.
func (f *Feeds[K]) Use(ctx context.Context, key K) (release func(), err error) {
	for {
		current, err := f.join(key) //nolint:contextcheck // the goroutine outlives this caller
		if err != nil {
			return nil, err
		}
		if current.users == 0 { // the one before is ending; nobody joins it any more
			select {
			case <-current.ended:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		release := sync.OnceFunc(func() { f.leave(current.feed) })
		select {
		case <-ctx.Done():
			release()
			return nil, ctx.Err()
		case <-current.ready:
		}
		select {
		case <-current.ended: // it has failed, or Close came
			release()
			if current.err != nil {
				return nil, current.err
			}
			return nil, ErrClosed
		default:
			return release, nil
		}
	}
}

// joined is a feed with what its users were when it was joined.
type joined struct {
	*feed
	users int
}

// join counts a user of the key's feed, which it starts if there is none.
func (f *Feeds[K]) join(key K) (joined, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return joined{}, ErrClosed
	}
	current, there := f.feeds[key]
	switch {
	case !there:
		ctx, end := context.WithCancel(f.base)
		current = &feed{users: 1, end: end, ready: make(chan struct{}), ended: make(chan struct{})}
		f.feeds[key] = current
		f.running.Go(func() { f.follow(ctx, key, current) })
	case current.users > 0:
		current.users++
	}
	return joined{current, current.users}, nil
}

// follow runs a feed to its end.
func (f *Feeds[K]) follow(ctx context.Context, key K, current *feed) {
	ready := sync.OnceFunc(func() { close(current.ready) })
	err := f.run(ctx, key, ready)
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() == nil {
		current.err = err
	}
	current.end()
	current.users = 0
	delete(f.feeds, key)
	close(current.ended)
	ready()
}

// leave counts a user less and ends a feed that nobody uses.
func (f *Feeds[K]) leave(current *feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if current.users == 0 {
		return
	}
	if current.users--; current.users == 0 {
		current.end()
	}
}

// Close ends all feeds and returns when they have ended. It is safe twice.
func (f *Feeds[K]) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.end()
	f.running.Wait()
}
