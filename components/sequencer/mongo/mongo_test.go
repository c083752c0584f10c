package mongo

import (
	"context"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components/internal/backendtest"
	"github.com/ottavo-runtime/ottavo/components/internal/mongonode"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/sequencertest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func backend() backendtest.Backend[sequencer.Sequencer, *sequencer.Counted] {
	return backendtest.Backend[sequencer.Sequencer, *sequencer.Counted]{
		Path: "sequencer.test", Type: Type, New: New,
		Address:  "mongoHost",
		Metadata: map[string]any{"operationTimeout": "30"},
	}
}

// inTurn lets one call at a time through, of all that share the mutex: MongoDB's
// findAndModify is one step, that of the server which stands in for it is not.
type inTurn struct {
	*sequencer.Counted
	turn *sync.Mutex
}

func (s inTurn) Next(ctx context.Context, key string) (int64, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.Counted.Next(ctx, key)
}

func (s inTurn) Segment(ctx context.Context, key string, size int64) (from, to int64, err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.Counted.Segment(ctx, key, size)
}

func TestConformance(t *testing.T) {
	matrix.Backend(t, "sequencer", Type)
	server := testserver.Mongo(t)
	var turn sync.Mutex
	make := backend().Maker(server.Addr, nil)
	sequencertest.Run(t, sequencertest.Options{
		Ids: 500, New: func(t *testing.T) sequencer.Sequencer { return inTurn{make(t).(*sequencer.Counted), &turn} },
	})
}

// Numbers are where Layotto has them.
func TestLayout(t *testing.T) {
	server := testserver.Mongo(t)
	layotto, err := mongonode.Open(t.Context(), mongonode.Metadata{Host: server.Addr}, "")
	if err != nil {
		t.Fatal(err)
	}
	s := backend().Open(t, server.Addr, map[string]any{"operationTimeout": "5"})
	defer func() {
		if err := layotto.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := layotto.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "sequencer|||app||K"}, {Key: "sequence_value", Value: int64(41)}}); err != nil {
		t.Fatal(err)
	}
	if id, err := s.Next(t.Context(), "sequencer|||app||K"); err != nil || id != 42 {
		t.Errorf("%d, %v", id, err)
	}
	server.Stop()
	if _, err := s.Next(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("down: %v", err)
	}
	if err := s.Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong with a server that is down")
	}
	server.Start()
	testserver.Eventually(t, testserver.Patience, func() error {
		id, err := s.Next(t.Context(), "k")
		if err == nil && id != 1 {
			t.Errorf("up again: %d", id)
		}
		return err
	})
}
