package ottavo

import (
	"context"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// Sequencer is one maker of ids of the runtime. It is safe for concurrent use and
// costs nothing to make.
type Sequencer struct {
	api   runtimev1.RuntimeClient
	store string
}

// Sequencer returns the sequencer with that name in the runtime's configuration.
// Whether there is one shows in the first call.
func (c *Client) Sequencer(name string) *Sequencer { return &Sequencer{api: c.api, store: name} }

// Next returns an id that nobody has got before under this key. Ids grow in the
// long run; of two that are taken at about the same time, or through different
// runtimes, the later one may be smaller.
func (s *Sequencer) Next(ctx context.Context, key string) (int64, error) {
	return s.next(ctx, key, runtimev1.SequencerOptions_WEAK)
}

// NextInOrder returns an id that is greater than every other that was returned
// under this key before the call began. It costs a call of the backend. Keys for
// which it matters should be used with NextInOrder only.
func (s *Sequencer) NextInOrder(ctx context.Context, key string) (int64, error) {
	return s.next(ctx, key, runtimev1.SequencerOptions_STRONG)
}

func (s *Sequencer) next(ctx context.Context, key string, increment runtimev1.SequencerOptions_AutoIncrement) (int64, error) {
	resp, err := s.api.GetNextId(ctx, &runtimev1.GetNextIdRequest{
		StoreName: s.store, Key: key, Options: &runtimev1.SequencerOptions{Increment: increment},
	})
	if err != nil {
		return 0, failed("GetNextId", err)
	}
	return resp.GetNextId(), nil
}
