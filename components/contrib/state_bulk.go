package contrib

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"sync"

	contribstate "github.com/dapr/components-contrib/state"

	"github.com/ottavo-runtime/ottavo/components/state"
)

// BulkGet implements state.BulkGetter: in one round trip where the store can do
// that, else with many at a time.
func (s *stateStore) BulkGet(ctx context.Context, reqs []state.Get) ([]state.Result, error) {
	results := make([]state.Result, len(reqs))
	wanted := make(map[string][]int, len(reqs)) // where the answer for a key goes
	for i, req := range reqs {
		if err := cmp.Or(req.Check(), s.checkKey(req.Key)); err != nil {
			results[i].Err = err
			continue
		}
		wanted[req.Key] = append(wanted[req.Key], i)
	}
	found, err := s.readMany(ctx, reqs, wanted)
	if err != nil {
		return nil, err
	}
	// What was not found is asked for once more, one by one: some stores answer like
	// this, too, when the connection breaks in the middle of an answer.
	var rest []int
	for key, places := range wanted {
		if found[key] == nil {
			rest = append(rest, places[0])
		}
	}
	s.readEach(ctx, reqs, rest, results)
	for key, places := range wanted {
		item, first := found[key], results[places[0]]
		for n, i := range places {
			switch {
			case item == nil && n == 0:
			case item == nil && first.Item == nil:
				results[i] = first
			default:
				if item == nil {
					item = first.Item
				}
				one := *item
				if n > 0 {
					one.Value = bytes.Clone(item.Value)
				}
				results[i] = state.Result{Item: &one}
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, r := range results {
		if errors.Is(r.Err, state.ErrClosed) {
			return nil, r.Err
		}
	}
	return results, nil
}

// readMany asks for all keys at once; without an answer for those that are not
// there. A store that cannot do that finds nothing.
func (s *stateStore) readMany(ctx context.Context, reqs []state.Get, wanted map[string][]int) (map[string]*state.Item, error) {
	if !s.traits.BulkGet || len(wanted) < 2 {
		return nil, nil
	}
	gets := make([]contribstate.GetRequest, 0, len(wanted))
	for _, places := range wanted {
		gets = append(gets, getRequest(reqs[places[0]]))
	}
	answers, err := callState(ctx, s, "", func(ctx context.Context) ([]contribstate.BulkGetResponse, error) {
		return s.backend.BulkGet(ctx, gets, contribstate.BulkGetOpts{Parallelism: bulkParallel})
	})
	if err != nil {
		return nil, err
	}
	found := make(map[string]*state.Item, len(answers))
	for _, a := range answers {
		if a.Error == "" {
			found[a.Key] = s.item(a.Key, a.Data, a.ETag, a.Metadata)
		}
	}
	return found, nil
}

// readEach reads the keys of some requests one by one, many at a time.
func (s *stateStore) readEach(ctx context.Context, reqs []state.Get, which []int, results []state.Result) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(len(which), bulkParallel) {
		workers.Go(func() {
			for i := range next {
				results[i].Item, results[i].Err = s.Get(ctx, reqs[i])
			}
		})
	}
	for _, i := range which {
		next <- i
	}
	close(next)
	workers.Wait()
}
