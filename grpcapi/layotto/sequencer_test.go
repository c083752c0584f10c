package layotto_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/components"
	seqmemory "github.com/ottavo-runtime/ottavo/components/sequencer/memory"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// brokenSequencer fails.
type brokenSequencer struct{}

func (brokenSequencer) Next(context.Context, string) (int64, error) { return 0, errDisk }
func (brokenSequencer) Close() error                                { return nil }

func sequencers(t *testing.T) layotto.Config {
	t.Helper()
	m, err := seqmemory.New(t.Context(), components.Env{}, components.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return layotto.Config{Sequencer: capability.NewSequencer(map[string]capability.SequencerStore{
		"q": {Sequencer: m}, "broken": {Sequencer: brokenSequencer{}},
	})}
}

func increment(i runtimev1.SequencerOptions_AutoIncrement) *runtimev1.SequencerOptions {
	return &runtimev1.SequencerOptions{Increment: i}
}

func TestGetNextId(t *testing.T) {
	client, _ := serve(t, sequencers(t))
	next := func(options *runtimev1.SequencerOptions) int64 {
		t.Helper()
		resp, err := client.GetNextId(timeout(t), &runtimev1.GetNextIdRequest{
			StoreName: "q", Key: "k", Options: options, Metadata: map[string]string{"a": "b"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetNextId()
	}
	for want := int64(1); want <= 10; want++ {
		options := increment(runtimev1.SequencerOptions_WEAK)
		if want%2 == 0 {
			options = nil
		}
		if id := next(options); id != want {
			t.Errorf("id %d, want %d", id, want)
		}
	}
	// A weak id comes from a segment, a strong one from behind it.
	if id := next(increment(runtimev1.SequencerOptions_STRONG)); id != 10001 {
		t.Errorf("the strong id is %d", id)
	}
	if id := next(nil); id != 11 {
		t.Errorf("without options: %d, want a weak id", id)
	}
}

func TestGetNextIdFailures(t *testing.T) {
	none, _ := serve(t, layotto.Config{})
	client, _ := serve(t, sequencers(t))
	for _, tt := range []struct {
		client       runtimev1.RuntimeClient
		store, key   string
		options      *runtimev1.SequencerOptions
		code         codes.Code
		text, reason string
	}{
		{none, "", "", nil, codes.FailedPrecondition, "Sequencer store is not configured", "NOT_CONFIGURED"},
		{client, "x", "", nil, codes.InvalidArgument, "Key is empty in sequencer store x", "INVALID_ARGUMENT"},
		{client, "x", "k", increment(7), codes.Unknown, "increment 7 is unknown: the known values are 0 (WEAK) and 1 (STRONG)", "UNKNOWN"},
		{
			client, "x", "a||b", nil, codes.Unknown,
			`key "a||b" can't contain "||", which separates prefix and key: choose another key`, "ILLEGAL_KEY",
		},
		{client, "x", "k", nil, codes.InvalidArgument, "Sequencer store x not found", "UNKNOWN_COMPONENT"},
		{client, "broken", "k", nil, codes.Unknown, "disk on fire", "INTERNAL"},
	} {
		_, err := tt.client.GetNextId(timeout(t), &runtimev1.GetNextIdRequest{StoreName: tt.store, Key: tt.key, Options: tt.options})
		wantStatus(t, err, tt.code, tt.text, tt.reason)
	}
}
