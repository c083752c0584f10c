package configuration

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
)

// Board is where a backend writes down the items it knows of, and from which
// watchers are told what becomes of them. Writing never waits for a watcher.
// Use NewBoard. All methods are safe for concurrent use.
type Board struct {
	mu       sync.Mutex
	items    map[ID]Item
	watchers map[*watcher]struct{}
	closed   bool
	done     chan struct{} // closed by Close
}

// watcher is one call of Watch. What it still has to be told is guarded by
// Board.mu.
type watcher struct {
	sel     Selection
	pending map[ID]news
	told    uint64        // counts what was ever pending
	wake    chan struct{} // there is something pending; capacity 1
}

// news is the latest that became of an item; turn orders it among others.
type news struct {
	item Item
	turn uint64
}

// NewBoard makes an empty board.
func NewBoard() *Board {
	return &Board{items: make(map[ID]Item), watchers: make(map[*watcher]struct{}), done: make(chan struct{})}
}

// Put writes down what became of items of an application: those that are Deleted
// are gone. What differs from before is told. It fails with ErrClosed only.
func (b *Board) Put(appID string, items ...Item) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	for _, item := range items {
		b.put(ID{appID, item.Group, item.Label, item.Key}, item)
	}
	return nil
}

// put writes down one item. The caller holds the lock.
func (b *Board) put(id ID, item Item) {
	old, there := b.items[id]
	switch {
	case item.Deleted:
		if !there {
			return
		}
		item.Content, item.Tags = "", nil
		delete(b.items, id)
	default:
		if there && old.same(item) {
			return
		}
		item = item.Clone()
		b.items[id] = item
	}
	for w := range b.watchers {
		if w.sel.Has(id) {
			w.add(id, item)
		}
	}
}

// add notes what a watcher has to be told. The caller holds the lock.
func (w *watcher) add(id ID, item Item) {
	w.told++
	w.pending[id] = news{item, w.told}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Replace writes down that these are all selected items that there are, and
// tells what differs from before. Items that are not selected are not looked at.
// It fails with ErrClosed only.
func (b *Board) Replace(sel Selection, items []Item) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	there := make(map[ID]bool, len(items))
	for _, item := range items {
		id := ID{sel.scope.AppID, item.Group, item.Label, item.Key}
		if there[id] = sel.Has(id); there[id] {
			b.put(id, item)
		}
	}
	gone := make([]ID, 0)
	for id := range b.items {
		if sel.Has(id) && !there[id] {
			gone = append(gone, id)
		}
	}
	slices.SortFunc(gone, ID.Compare)
	for _, id := range gone {
		b.put(id, Item{Key: id.Key, Group: id.Group, Label: id.Label, Deleted: true})
	}
	return nil
}

// Forget drops the selected items; nobody is told. It is for items that nobody
// watches any more.
func (b *Board) Forget(sel Selection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.items, func(id ID, _ Item) bool { return sel.Has(id) })
}

// Get returns the selected items, sorted; ErrClosed after Close.
func (b *Board) Get(sel Selection) ([]Item, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	return b.get(sel), nil
}

func (b *Board) get(sel Selection) []Item {
	found := make([]Item, 0)
	for id, item := range b.items {
		if sel.Has(id) {
			found = append(found, item.Clone())
		}
	}
	Sort(found)
	return found
}

// Watch does what Store.Watch promises, for the items on the board.
func (b *Board) Watch(ctx context.Context, sel Selection, on func(Change) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &watcher{sel: sel, pending: make(map[ID]news), wake: make(chan struct{}, 1)}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	change := Change{Initial: true, Items: b.get(sel)}
	b.watchers[w] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.watchers, w)
		b.mu.Unlock()
	}()
	for {
		if err := on(change); err != nil {
			return err
		}
		for change = (Change{}); len(change.Items) == 0; change = b.take(w) {
			select {
			case <-ctx.Done():
				return nil
			case <-b.done:
				return ErrClosed
			case <-w.wake:
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// take returns what a watcher has to be told and did not know yet.
func (b *Board) take(w *watcher) Change {
	b.mu.Lock()
	defer b.mu.Unlock()
	latest := slices.SortedFunc(maps.Values(w.pending), func(a, b news) int { return cmp.Compare(a.turn, b.turn) })
	clear(w.pending)
	change := Change{Items: make([]Item, len(latest))}
	for i, n := range latest {
		change.Items[i] = n.item.Clone()
	}
	return change
}

// Close ends all watches. It is safe twice.
func (b *Board) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		b.items = nil
		close(b.done)
	}
}
