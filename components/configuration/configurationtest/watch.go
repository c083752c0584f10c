package configurationtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"

	"github.com/ottavo-runtime/ottavo/components/configuration"
)

// watch is one call of Watch, with what it was told.
type watch struct {
	s      *suite
	cancel context.CancelFunc
	ended  chan error // its result

	mu      sync.Mutex
	latest  map[string]string // key → content, as texts shows it
	tags    map[string]map[string]string
	told    int
	busy    bool
	hold    chan struct{} // when not nil, on waits for its end after the initial call
	holding chan struct{} // closed when on waits
}

// start watches and returns when the watch stands.
func (s *suite) start(scope configuration.Scope, keys ...string) *watch {
	s.Helper()
	return s.startHeld(scope, nil, keys...)
}

func (s *suite) startHeld(scope configuration.Scope, hold chan struct{}, keys ...string) *watch {
	s.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	w := &watch{
		s: s, cancel: cancel, ended: make(chan error, 1), hold: hold, holding: make(chan struct{}),
		latest: map[string]string{}, tags: map[string]map[string]string{},
	}
	stands := make(chan struct{})
	s.Cleanup(func() { cancel() })
	go func() {
		first := true
		w.ended <- s.store.Watch(ctx, scope, keys, func(c configuration.Change) error {
			w.note(c, first)
			if first {
				close(stands)
			}
			if !first && hold != nil {
				w.mu.Lock()
				select {
				case <-w.holding:
				default:
					close(w.holding)
				}
				w.mu.Unlock()
				<-hold
			}
			first = false
			w.mu.Lock()
			w.busy = false
			w.mu.Unlock()
			return nil
		})
	}()
	select {
	case <-stands:
	case err := <-w.ended:
		s.Fatalf("Watch ended at once: %v", err)
	case <-ctx.Done():
		s.Fatal("Watch does not stand")
	}
	return w
}

func (w *watch) note(c configuration.Change, first bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy {
		w.s.Error("on is called while on is running")
	}
	w.busy = true
	if c.Initial != first {
		w.s.Errorf("call %d of on has Initial %t", w.told, c.Initial)
	}
	if !first && len(c.Items) == 0 {
		w.s.Error("on is called with no change")
	}
	for _, i := range c.Items {
		w.told++
		if i.Deleted && (i.Content != "" || first) {
			w.s.Errorf("told of a deleted item: %+v, initially: %t", i, first)
		}
		id := i.Key
		if w.latest[id] = i.Content; i.Deleted {
			w.latest[id] = "(deleted)"
		}
		w.tags[id] = maps.Clone(i.Tags)
	}
}

func (w *watch) contents() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.latest)
}

// want waits until what was told last of each key is this.
func (w *watch) want(want map[string]string) {
	w.s.Helper()
	w.s.eventually(func() (bool, string) {
		got := w.contents()
		return maps.Equal(got, want), fmt.Sprintf("told %v, want %v", got, want)
	})
}

// end ends the watch by its context.
func (w *watch) end() {
	w.s.Helper()
	w.cancel()
	select {
	case err := <-w.ended:
		if err != nil {
			w.s.Errorf("Watch whose context ended: %v", err)
		}
	case <-w.s.ctx.Done():
		w.s.Fatal("Watch does not end with its context")
	}
}

func testWatch(s *suite) {
	scope := s.scope(0, 0)
	s.save(item("there", "1"), item("other", "x"))
	s.want("other=x;there=1;", scope, "there", "other")
	w := s.start(scope, "there", "later")
	w.want(map[string]string{"there": "1"})
	s.save(item("there", "2"))
	w.want(map[string]string{"there": "2"})
	s.save(item("later", "a"), item("other", "y"))
	w.want(map[string]string{"there": "2", "later": "a"})
	s.delete(scope, "there")
	w.want(map[string]string{"there": "(deleted)", "later": "a"})
	s.save(item("there", "3"))
	w.want(map[string]string{"there": "3", "later": "a"})
	if len(s.Groups) > 1 {
		s.save(at(s.scope(1, 0), item("there", "elsewhere")))
	}
	if len(s.Labels) > 1 {
		s.save(at(s.scope(0, 1), item("there", "elsewhere")))
	}
	s.save(item("later", "end"))
	w.want(map[string]string{"there": "3", "later": "end"})
	w.end()
}

func testWatchTags(s *suite) {
	s.need(!s.NoTags, "tags")
	tagged := item("k", "same")
	s.save(tagged)
	s.want("k=same;", s.scope(0, 0), "k")
	w := s.start(s.scope(0, 0), "k")
	for _, tags := range []map[string]string{{"a": "1", "b": "2"}, {"a": "1"}, {}} {
		tagged.Tags = tags
		s.save(tagged)
		s.eventually(func() (bool, string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return maps.Equal(w.tags["k"], tags), fmt.Sprintf("told of tags %v, want %v", w.tags["k"], tags)
		})
	}
	w.want(map[string]string{"k": "same"})
}

func testWatchAll(s *suite) {
	scope := s.scope(0, 0)
	s.save(item("a", "1"))
	s.want("a=1;", scope)
	everything := configuration.Scope{AppID: s.App, Group: configuration.Any, Label: configuration.Any}
	all, wide := s.start(scope), s.start(everything)
	all.want(map[string]string{"a": "1"})
	s.save(item("b", "2"))
	all.want(map[string]string{"a": "1", "b": "2"})
	s.delete(scope, "a")
	all.want(map[string]string{"a": "(deleted)", "b": "2"})
	s.save(at(s.scope(1, 1), item("c", "3")))
	wide.want(map[string]string{"a": "(deleted)", "b": "2", "c": "3"})
	if len(s.Groups) > 1 || len(s.Labels) > 1 {
		all.want(map[string]string{"a": "(deleted)", "b": "2"})
	}
}

func testWatchEnds(s *suite) {
	w := s.start(s.scope(0, 0), "k")
	w.end()
	s.save(item("k", "1"))
	s.want("k=1;", s.scope(0, 0), "k")
	again := s.start(s.scope(0, 0), "k")
	again.want(map[string]string{"k": "1"})
	w.want(map[string]string{})
}

func testWatchOnError(s *suite) {
	enough := errors.New("enough")
	s.save(item("k", "1"))
	for _, calls := range []int{1, 2} {
		stands, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			n := 0
			ended <- s.store.Watch(s.ctx, s.scope(0, 0), nil, func(configuration.Change) error {
				if n++; n == 1 {
					close(stands)
				}
				if n == calls {
					return enough
				}
				return nil
			})
		}()
		<-stands
		s.save(item("k", "changed "+strconv.Itoa(calls)))
		select {
		case err := <-ended:
			if !errors.Is(err, enough) {
				s.Errorf("Watch: %v, want the error of on", err)
			}
		case <-s.ctx.Done():
			s.Fatal("Watch does not end with an error of on")
		}
	}
}

func testOneEndsOthersGoOn(s *suite) {
	scope := s.scope(0, 0)
	one, two, all := s.start(scope, "k"), s.start(scope, "k"), s.start(scope)
	s.save(item("k", "1"))
	for _, w := range []*watch{one, two, all} {
		w.want(map[string]string{"k": "1"})
	}
	one.end()
	s.save(item("k", "2"))
	two.want(map[string]string{"k": "2"})
	all.want(map[string]string{"k": "2"})
	all.end()
	s.save(item("k", "3"))
	two.want(map[string]string{"k": "3"})
	three := s.start(scope, "k")
	two.end()
	s.save(item("k", "4"))
	three.want(map[string]string{"k": "4"})
	one.want(map[string]string{"k": "1"})
}

// A watcher that does not return from on holds up neither writers nor other
// watchers, and learns the latest state when it is free again.
func testSlowWatcher(s *suite) {
	scope := s.scope(0, 0)
	hold := make(chan struct{})
	slow, quick := s.startHeld(scope, hold), s.start(scope)
	released := false
	s.Cleanup(func() {
		if !released {
			close(hold)
		}
	})
	const rounds = 30
	for i := range rounds {
		s.save(item("k", strconv.Itoa(i)), item("l"+strconv.Itoa(i%3), strconv.Itoa(i)))
	}
	s.save(item("gone", "1"))
	quick.want(map[string]string{"k": "29", "l0": "27", "l1": "28", "l2": "29", "gone": "1"})
	s.delete(scope, "gone")
	quick.want(map[string]string{"k": "29", "l0": "27", "l1": "28", "l2": "29", "gone": "(deleted)"})
	select {
	case <-slow.holding:
	case <-s.ctx.Done():
		s.Fatal("the slow watcher was told nothing")
	}
	slow.mu.Lock()
	before := slow.told
	slow.mu.Unlock()
	close(hold)
	released = true
	s.eventually(func() (bool, string) {
		got := slow.contents()
		return got["k"] == "29" && got["l0"] == "27" && got["l1"] == "28" && got["l2"] == "29" && (got["gone"] == "(deleted)" || got["gone"] == ""),
			fmt.Sprintf("the slow watcher was told %v", got)
	})
	slow.mu.Lock()
	defer slow.mu.Unlock()
	if late := slow.told - before; late > 2*5 {
		s.Errorf("the slow watcher was told of %d changes afterwards: they were to be merged", late)
	}
}

func testManyWatchers(s *suite) {
	scope := s.scope(0, 0)
	watches := make([]*watch, 20)
	for i := range watches {
		watches[i] = s.start(scope)
	}
	const writers, writes = 4, 15
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range writes {
				s.save(item("k"+strconv.Itoa(w), strconv.Itoa(i)))
			}
		})
	}
	wg.Wait()
	want := map[string]string{}
	for w := range writers {
		want["k"+strconv.Itoa(w)] = strconv.Itoa(writes - 1)
	}
	for _, w := range watches {
		w.want(want)
	}
	for _, w := range watches {
		w.end()
	}
}

func testCloseEndsWatches(s *suite) {
	one, two := s.start(s.scope(0, 0), "k"), s.start(s.scope(0, 0))
	if err := s.store.Close(); err != nil {
		s.Fatal(err)
	}
	for _, w := range []*watch{one, two} {
		select {
		case err := <-w.ended:
			if !errors.Is(err, configuration.ErrClosed) {
				s.Errorf("Watch of a store that is closed: %v, want ErrClosed", err)
			}
		case <-s.ctx.Done():
			s.Fatal("Close does not end a watch")
		}
	}
}
