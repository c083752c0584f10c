package pluggable

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	componentv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/component"
	sequencerv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/sequencer"
)

// What a sequencer can say that it can do.
const (
	featureSegment = "segment"
	featureRaise   = "raise"
)

// idMaker is a sequencer in a process of its own. It implements sequencer.Sequencer
// and sequencer.Raiser.
type idMaker struct {
	*link
	client   sequencerv1.SequencerClient
	features atomic.Pointer[[]string]
}

// segmenter is one that makes several ids at once.
type segmenter struct{ *idMaker }

func newSequencer(ctx context.Context, l *link, _ Socket, env components.Env, cfg components.Config) (sequencer.Sequencer, error) {
	s := &idMaker{link: l, client: sequencerv1.NewSequencerClient(l)}
	err := l.startOwn(ctx, sequencerv1.Sequencer_ServiceDesc, "sequencer", env, cfg, func(r *componentv1.InitResponse) {
		features := r.GetFeatures()
		s.features.Store(&features)
	})
	if err != nil {
		return nil, err
	}
	if s.has(featureSegment) {
		return segmenter{s}, nil
	}
	return s, nil
}

func (s *idMaker) has(feature string) bool { return slices.Contains(*s.features.Load(), feature) }

func (s *idMaker) said(ctx context.Context, err error) error {
	return s.explain(ctx, err, kindErrors{closed: sequencer.ErrClosed, codes: map[codes.Code]error{
		codes.InvalidArgument: sequencer.ErrInvalid, codes.OutOfRange: sequencer.ErrExhausted,
	}})
}

// Next implements sequencer.Sequencer.
func (s *idMaker) Next(ctx context.Context, key string) (int64, error) {
	if err := sequencer.CheckKey(key); err != nil {
		return 0, err
	}
	resp, err := s.client.Next(ctx, &sequencerv1.NextRequest{Key: key})
	return resp.GetId(), s.said(ctx, err)
}

// Raise implements sequencer.Raiser.
func (s *idMaker) Raise(ctx context.Context, key string, than int64) error {
	if err := sequencer.CheckKey(key); err != nil {
		return err
	}
	if !s.has(featureRaise) {
		return fmt.Errorf("%w by the sequencer's process at %s", errors.ErrUnsupported, s.socket)
	}
	_, err := s.client.Raise(ctx, &sequencerv1.RaiseRequest{Key: key, Than: than})
	return s.said(ctx, err)
}

// Segment implements sequencer.Segmenter.
func (s segmenter) Segment(ctx context.Context, key string, size int64) (from, to int64, err error) {
	if err := sequencer.CheckKey(key); err != nil {
		return 0, 0, err
	}
	if size < 1 {
		return 0, 0, fmt.Errorf("%w: a segment of %d ids; one at least", sequencer.ErrInvalid, size)
	}
	resp, err := s.client.Segment(ctx, &sequencerv1.SegmentRequest{Key: key, Size: size})
	if err != nil {
		return 0, 0, s.said(ctx, err)
	}
	if n := resp.GetTo() - resp.GetFrom(); n < 0 || n >= size {
		return 0, 0, s.failure(fmt.Sprintf("its process answered with the ids %d to %d when %d were asked for", resp.GetFrom(), resp.GetTo(), size))
	}
	return resp.GetFrom(), resp.GetTo(), nil
}

// Close implements sequencer.Sequencer.
func (s *idMaker) Close() error {
	s.close()
	return nil
}
