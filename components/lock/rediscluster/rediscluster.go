package rediscluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/redisnode"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this backend in a configuration.
const Type = "redis_cluster"

// Metadata is the configuration.
type Metadata struct {
	// Hosts are the servers, host:port with commas in between; better an odd number.
	Hosts string `json:"redisHosts"`
	// Concurrency is for how many servers a call is under way at a time; 0 is all
	// of them.
	Concurrency int `json:"concurrency" min:"0"`
	redisnode.Connection
	// KeyPrefix belongs to the caller, which puts the prefixes on; it is listed
	// here so that it counts as known.
	KeyPrefix string `json:"keyPrefix"`
}

const (
	// driftPart is what one server's clock may run faster than another's, one in so
	// many, and driftMin what is allowed for besides.
	driftPart = 100
	driftMin  = 2 * time.Millisecond
	// moment is how long a call waits for the slowest server, when nothing else says so.
	moment = time.Second
	// checkTime is how long a server may take to say that it is there.
	checkTime = 5 * time.Second
	// grace is how long an owner's call waits for servers that are still busy with its
	// last one, where it can do without.
	grace = 100 * time.Millisecond
	// tries is how often TryLock tries when nobody has a majority.
	tries = 8
)

// Locker keeps locks on several servers. Use New. It implements lock.Locker and
// components.Checker.
type Locker struct {
	nodes  []*redisnode.Client
	quorum int
	turns  chan struct{} // one for each call that may be under way; nil: no limit
	life   context.Context
	end    context.CancelFunc
	back   sync.WaitGroup // calls under way, also those whose caller has gone

	mu     sync.Mutex
	closed bool
	// busy holds what is still under way for an owner and a resource.
	busy map[pair]*business
}

// pair is an owner and a resource; the zero value is nobody's.
type pair struct{ resource, owner string }

// business counts the calls for a pair that servers have not answered.
type business struct {
	calls int
	over  chan struct{} // closed when there are none any more
	// unlocked says that the owner has given the lock back meanwhile.
	unlocked bool
}

// begin notes a call for p. The mutex is held.
func (l *Locker) begin(p pair) {
	if p == (pair{}) {
		return
	}
	b := l.busy[p]
	if b == nil {
		b = &business{over: make(chan struct{})}
		l.busy[p] = b
	}
	b.calls++
}

// finish notes the end of a call for p.
func (l *Locker) finish(p pair) {
	if p == (pair{}) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.busy[p]; b.calls > 1 {
		b.calls--
	} else {
		delete(l.busy, p)
		close(b.over)
	}
}

// settle waits until nothing is under way for p. What a slow server is still to do for
// an earlier call, above all to give the lock back, must not meet a lock that is taken
// later. The wait is bounded: every call has a limit.
func (l *Locker) settle(ctx context.Context, p pair) error {
	for {
		l.mu.Lock()
		b := l.busy[p]
		l.mu.Unlock()
		if b == nil {
			return nil
		}
		select {
		case <-b.over:
		case <-ctx.Done():
			return ctx.Err()
		case <-l.life.Done():
			return lock.ErrClosed
		}
	}
}

// settleSoon waits like settle, but not long: a server that took the lock a moment later
// than the majority shall be able to say so.
func (l *Locker) settleSoon(ctx context.Context, p pair) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	_ = l.settle(ctx, p)
}

// New connects to the servers. It fails if no majority of them answers, within the
// time limits or when ctx ends; the error names those that do not.
func New(ctx context.Context, _ components.Env, cfg components.Config) (lock.Locker, error) {
	var m Metadata
	decode.Defaults(&m)
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	addrs, err := redisnode.Addresses(m.Hosts)
	if err != nil {
		return nil, decode.Problems{{Path: decode.Join(cfg.SettingsPath(), "redisHosts"), Message: err.Error(), Remedy: `for example "one:6379,two:6379,three:6379"`}}
	}
	l := &Locker{quorum: len(addrs)/2 + 1, busy: make(map[pair]*business)}
	if l.nodes, err = redisnode.OpenEach(ctx, m.Connection, addrs, cfg.SettingsPath()); err != nil {
		return nil, err
	}
	if m.Concurrency > 0 && m.Concurrency < len(addrs) {
		l.turns = make(chan struct{}, m.Concurrency)
	}
	l.life, l.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := l.Check(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot connect: %w", err), l.Close())
	}
	return l, nil
}

// ask asks all servers at a time, each for at most limit, and returns when enough of
// the replies are there, or all, or when ctx ends. Servers that have not answered by
// then have an error; what they were asked goes on, and comes to their late. It is done
// for p.
func (l *Locker) ask(ctx context.Context, p pair, limit time.Duration, enough func(votes) bool, call func(ctx context.Context, n *redisnode.Client) reply) []reply {
	replies := make([]reply, len(l.nodes))
	for i, n := range l.nodes {
		replies[i].err = fmt.Errorf("redis %s: no answer yet", n.Where)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return replies
	}
	type numbered struct {
		reply
		i int
	}
	answers := make(chan numbered, len(l.nodes))
	for i, n := range l.nodes {
		late := make(chan reply, 1)
		replies[i].late = late
		l.begin(p)
		l.back.Go(func() {
			defer l.finish(p)
			answer := func(r reply) {
				late <- r
				answers <- numbered{r, i}
			}
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
			defer cancel()
			defer context.AfterFunc(l.life, cancel)() //nolint:contextcheck // ends with both
			if l.turns != nil {
				select {
				case l.turns <- struct{}{}:
					defer func() { <-l.turns }()
				case <-ctx.Done():
					answer(reply{err: fmt.Errorf("redis %s: other servers take too long: %w", n.Where, ctx.Err())})
					return
				}
			}
			r := call(ctx, n)
			if errors.Is(r.err, context.DeadlineExceeded) {
				r.err = fmt.Errorf("redis %s: no answer within %s: %w", n.Where, limit, context.DeadlineExceeded)
			}
			answer(r)
		})
	}
	l.mu.Unlock()
	defer l.mu.Lock()
	for range l.nodes {
		select {
		case a := <-answers:
			replies[a.i] = a.reply
			if enough(count(replies)) {
				return replies
			}
		case <-ctx.Done():
			return replies
		}
	}
	return replies
}

// decided tells whether a majority says the same.
func (l *Locker) decided(v votes) bool { return v.yes >= l.quorum || v.most >= l.quorum }

// failed returns why there is no majority, when it is for want of answers.
func (l *Locker) failed(ctx context.Context, replies []reply) error {
	var errs []error
	for _, r := range replies {
		if r.err != nil {
			errs = append(errs, r.err)
		}
	}
	if len(replies)-len(errs) >= l.quorum {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.isClosed() {
		return lock.ErrClosed
	}
	return fmt.Errorf("%d of %d servers answered, and %d are needed: %w", len(replies)-len(errs), len(replies), l.quorum, errors.Join(errs...))
}

func (l *Locker) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *Locker) enter(ctx context.Context, resource, owner string, expire time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.isClosed() {
		return lock.ErrClosed
	}
	return lock.Check(resource, owner, expire)
}

// share bounds what one server may take of the time of a lock: a tenth, so that
// one that hangs does not eat it up. It is a quarter of a second at least for locks
// that are long enough.
func share(expire time.Duration) time.Duration {
	return max(expire/10, min(expire/2, 250*time.Millisecond))
}

// left returns what is left of a lock that was asked for at since.
func left(since time.Time, expire time.Duration) time.Duration {
	return expire - time.Since(since) - expire/driftPart - driftMin
}

// TryLock implements lock.Locker. When several ask at a time, it may be that none of
// them gets a majority: then each gives back what it has and asks again, a few
// times, after a pause of random length.
func (l *Locker) TryLock(ctx context.Context, resource, owner string, expire time.Duration) (*lock.Grant, error) {
	if err := l.enter(ctx, resource, owner, expire); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		if err := l.settle(ctx, pair{resource, owner}); err != nil {
			return nil, err
		}
		grant, decided, err := l.try(ctx, resource, owner, expire)
		if decided || err != nil || try == tries {
			return grant, err
		}
		if err := l.pause(ctx, try); err != nil {
			return nil, err
		}
	}
}

// try is one try of TryLock; decided is false when nobody seems to have a majority.
func (l *Locker) try(ctx context.Context, resource, owner string, expire time.Duration) (grant *lock.Grant, decided bool, err error) {
	began := time.Now()
	replies := l.ask(ctx, pair{resource, owner}, share(expire), l.decided, func(ctx context.Context, n *redisnode.Client) reply {
		return read(n.Script(ctx, false, tryScript, []string{resource, tokenKey}, owner, expire.Milliseconds()))
	})
	v := count(replies)
	if v.yes >= l.quorum {
		if err = l.keepToken(ctx, v.token, share(expire)); err == nil && left(began, expire) > 0 {
			l.watch(replies, pair{resource, owner}) //nolint:contextcheck // also when the caller has gone
			return &lock.Grant{Token: v.token}, true, nil
		}
	}
	l.release(replies, resource, owner) //nolint:contextcheck // also when the caller has gone
	return nil, v.most >= l.quorum, cmp.Or(l.failed(ctx, replies), err)
}

func (l *Locker) pause(ctx context.Context, try int) error {
	timer := time.NewTimer(time.Duration(try)*time.Millisecond + rand.N(time.Duration(4*try)*time.Millisecond)) //nolint:gosec // spreads callers
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.life.Done():
		return lock.ErrClosed
	}
}

// keepToken leaves the token with a majority, so that whoever asks a majority later
// gets a greater one.
func (l *Locker) keepToken(ctx context.Context, token uint64, limit time.Duration) error {
	return l.failed(ctx, l.ask(ctx, pair{}, limit, l.decided, func(ctx context.Context, n *redisnode.Client) reply {
		return read(n.Script(ctx, true, tokenScript, []string{tokenKey}, token))
	}))
}

// watch gives back what slow servers take only after the owner has unlocked.
func (l *Locker) watch(replies []reply, p pair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	for i, r := range replies {
		if r.late == nil {
			continue
		}
		l.begin(p)
		l.back.Go(func() {
			defer l.finish(p)
			late := <-r.late
			l.mu.Lock()
			unlocked := l.busy[p].unlocked
			l.mu.Unlock()
			if unlocked && (late.err != nil || late.code == done) {
				l.giveBack(i, p)
			}
		})
	}
}

// giveBack unlocks on one server, as far as that is there. Else the lock expires.
func (l *Locker) giveBack(i int, p pair) {
	ctx, cancel := context.WithTimeout(l.life, moment)
	defer cancel()
	_, _ = l.nodes[i].Script(ctx, true, unlockScript, []string{p.resource}, p.owner)
}

// release gives back what was taken in vain: where it was taken, and where nobody
// knows. The latter does not hold the caller up.
func (l *Locker) release(replies []reply, resource, owner string) {
	var taken sync.WaitGroup
	defer taken.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	p := pair{resource, owner}
	for i, r := range replies {
		if r.err == nil && r.code != done {
			continue
		}
		if r.err == nil {
			taken.Add(1)
		}
		l.begin(p)
		l.back.Go(func() {
			defer l.finish(p)
			switch {
			case r.err == nil:
				defer taken.Done()
			case r.late != nil:
				if r = <-r.late; r.err == nil && r.code != done {
					return // it had not taken it
				}
			}
			l.giveBack(i, p)
		})
	}
}

// Unlock implements lock.Locker.
func (l *Locker) Unlock(ctx context.Context, resource, owner string) (lock.Status, error) {
	if err := l.enter(ctx, resource, owner, time.Second); err != nil {
		return 0, err
	}
	p := pair{resource, owner}
	l.settleSoon(ctx, p)
	l.mu.Lock()
	if b := l.busy[p]; b != nil {
		b.unlocked = true
	}
	l.mu.Unlock()
	return l.status(ctx, l.ask(ctx, pair{resource, owner}, moment, l.decided, func(ctx context.Context, n *redisnode.Client) reply {
		return read(n.Script(ctx, false, unlockScript, []string{resource}, owner))
	}))
}

// Renew implements lock.Locker. Where the lock is not there any more, it is not made
// again.
func (l *Locker) Renew(ctx context.Context, resource, owner string, expire time.Duration) (lock.Status, error) {
	if err := l.enter(ctx, resource, owner, expire); err != nil {
		return 0, err
	}
	l.settleSoon(ctx, pair{resource, owner})
	began := time.Now()
	status, err := l.status(ctx, l.ask(ctx, pair{resource, owner}, share(expire), l.decided, func(ctx context.Context, n *redisnode.Client) reply {
		return read(n.Script(ctx, true, renewScript, []string{resource}, owner, expire.Milliseconds()))
	}))
	if err == nil && status == lock.Done && left(began, expire) <= 0 {
		return lock.NotLocked, nil
	}
	return status, err
}

// status sums up what servers said of a lock. A majority says who holds it; when
// too few answer to tell, that is an error.
func (l *Locker) status(ctx context.Context, replies []reply) (lock.Status, error) {
	if err := l.failed(ctx, replies); err != nil {
		return 0, err
	}
	switch v := count(replies); {
	case v.yes >= l.quorum:
		return lock.Done, nil
	case v.most >= l.quorum:
		return lock.NotTheOwner, nil
	case v.yes+v.unknown < l.quorum && v.most+v.unknown < l.quorum:
		return lock.NotLocked, nil
	}
	var errs []error
	for _, r := range replies {
		errs = append(errs, r.err)
	}
	return 0, fmt.Errorf("who holds the lock cannot be told without the servers that do not answer: %w", errors.Join(errs...))
}

// Check implements components.Checker: a majority must answer and let us write.
func (l *Locker) Check(ctx context.Context) error {
	return l.failed(ctx, l.ask(ctx, pair{}, checkTime, l.decided, func(ctx context.Context, n *redisnode.Client) reply {
		return read(n.Script(ctx, true, checkScript, []string{tokenKey}))
	}))
}

// Close implements lock.Locker.
func (l *Locker) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.end()
	var errs []error
	for _, n := range l.nodes {
		errs = append(errs, n.Close())
	}
	l.back.Wait()
	return errors.Join(errs...)
}
