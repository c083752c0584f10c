package capability

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
)

// Operations of Sequencer in an Error.
const (
	SequencerNext  Op = "next id"
	SequencerRaise Op = "raise"
)

// sequencerLead begins every key of a sequence, so that sequences and other things
// can share a backend.
const sequencerLead = "sequencer|||"

// Increment is the promise about the order of ids. Each id is given out once,
// whichever it is. The numbers are those of the API.
type Increment int32

// The increments.
const (
	// Weak ids tend to grow: they come from segments that were taken before.
	Weak Increment = iota
	// Strong ids are greater than any that was given out before the call.
	Strong
)

// Segments says how weak ids are taken from a component.
type Segments struct {
	// Off says that the component is asked for each.
	Off bool
	// Size is how many are taken at once; 0 is 10000.
	Size int64
}

// SequencerStore is one configured component.
type SequencerStore struct {
	// Sequencer does the work.
	Sequencer sequencer.Sequencer
	// Prefix is put before every key.
	Prefix KeyPrefix
	// BiggerThan are keys whose ids are greater than the number: keys as users
	// write them, or whole ones as they are stored, which hold "||".
	BiggerThan map[string]int64
	// Segments is for components that are a sequencer.Segmenter.
	Segments Segments
}

// Sequencer is the capability over the components it was made from.
type Sequencer struct {
	stores map[string]*sequence
}

// sequence is one component with what is kept for it.
type sequence struct {
	name       string
	sequencer  sequencer.Sequencer
	prefix     KeyPrefix
	biggerThan map[string]int64 // by the stored key
	segments   *segments        // nil: ask for each
}

// NewSequencer takes them by their names. The maps are copied.
func NewSequencer(stores map[string]SequencerStore) *Sequencer {
	s := &Sequencer{stores: make(map[string]*sequence, len(stores))}
	for name, c := range stores {
		q := &sequence{name: name, sequencer: c.Sequencer, prefix: c.Prefix, biggerThan: make(map[string]int64, len(c.BiggerThan))}
		for _, key := range sortedKeys(c.BiggerThan) {
			stored := q.stored(key)
			if strings.Contains(key, keySeparator) {
				stored = key
			}
			q.biggerThan[stored] = max(q.biggerThan[stored], c.BiggerThan[key])
		}
		if g, ok := c.Sequencer.(sequencer.Segmenter); ok && !c.Segments.Off && c.Segments.Size != 1 {
			q.segments = newSegments(q, g, c.Segments.Size)
		}
		s.stores[name] = q
	}
	return s
}

func (q *sequence) stored(key string) string { return sequencerLead + q.prefix.Apply(key) }

// Raise makes sure of every BiggerThan; it is for the start, so that what cannot be
// is told then. An error names the component and the key.
func (s *Sequencer) Raise(ctx context.Context) error {
	var errs []error
	for _, name := range sortedKeys(s.stores) {
		q := s.stores[name]
		for _, key := range sortedKeys(q.biggerThan) {
			than := q.biggerThan[key]
			err := q.raise(ctx, key, than)
			if errors.Is(err, errors.ErrUnsupported) {
				_, err = q.single(ctx, key)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("sequencer component %q: biggerThan %q: %w", name, key, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (q *sequence) raise(ctx context.Context, key string, than int64) error {
	r, ok := q.sequencer.(sequencer.Raiser)
	if !ok {
		return errors.ErrUnsupported
	}
	return r.Raise(ctx, key, than)
}

// Next returns an id of key.
func (s *Sequencer) Next(ctx context.Context, store, key string, increment Increment) (int64, error) {
	q, err := s.check(store, key, increment)
	if err != nil {
		return 0, err
	}
	var id int64
	if stored := q.stored(key); increment == Weak && q.segments != nil {
		id, err = q.segments.next(ctx, stored)
	} else {
		id, err = q.single(ctx, stored)
	}
	if err != nil {
		return 0, sequencerError(ctx, store, key, err)
	}
	return id, nil
}

func (s *Sequencer) check(store, key string, increment Increment) (*sequence, error) {
	var stores map[string]*sequence
	if s != nil {
		stores = s.stores
	}
	bad := func(kind Kind, format string, args ...any) (*sequence, error) {
		return nil, &Error{Kind: kind, Capability: SequencerName, Op: SequencerNext, Component: store, Key: key, Msg: fmt.Sprintf(format, args...)}
	}
	q, err := find(stores, SequencerName, SequencerNext, store)
	switch {
	case len(stores) == 0:
		return nil, err
	case key == "":
		return bad(InvalidArgument, "Key is empty in sequencer store %s", store)
	case increment != Weak && increment != Strong:
		return bad(Unknown, "increment %d is unknown: the known values are 0 (WEAK) and 1 (STRONG)", increment)
	case strings.Contains(key, keySeparator):
		return bad(IllegalKey, "key %q can't contain %q, which separates prefix and key: choose another key", brief(key), keySeparator)
	}
	return q, err
}

// single asks the component for one id. One that is not greater than it has to be
// shows that the backend has lost its data, or that another one is configured
// since: it is raised then.
func (q *sequence) single(ctx context.Context, key string) (int64, error) {
	than, guarded := q.biggerThan[key]
	for try := 0; ; try++ {
		id, err := q.sequencer.Next(ctx, key)
		if err != nil || !guarded || id > than {
			return id, err
		}
		if err := q.raiseAgain(ctx, key, id, than, try); err != nil {
			return 0, err
		}
	}
}

func (q *sequence) raiseAgain(ctx context.Context, key string, id, than int64, try int) error {
	err := q.raise(ctx, key, than)
	if err == nil && try > 0 {
		err = errors.New("it was raised, and does it again")
	}
	if errors.Is(err, errors.ErrUnsupported) {
		err = errors.New("it cannot be raised: lower biggerThan, or choose another type of sequencer")
	}
	if err != nil {
		return fmt.Errorf("the sequencer makes the id %d, which is not greater than %d (biggerThan): %w", id, than, err)
	}
	return nil
}

// sequencerError turns what a sequencer returned into an Error.
func sequencerError(ctx context.Context, store, key string, err error) *Error {
	kind := Internal
	if errors.Is(err, sequencer.ErrInvalid) {
		kind = InvalidArgument
	} else if k, ok := lateKind(ctx, err); ok {
		kind = k
	} else if components.IsAway(err) {
		kind = Unavailable
	}
	return &Error{Kind: kind, Capability: SequencerName, Op: SequencerNext, Component: store, Key: key, Err: err}
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
