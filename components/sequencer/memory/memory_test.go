package memory

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/sequencertest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	matrix.Backend(t, "sequencer", Type)
	sequencertest.Run(t, sequencertest.Options{
		New: func(t *testing.T) sequencer.Sequencer {
			s, err := New(t.Context(), components.Env{}, components.Config{Name: "test", Type: Type, Path: "sequencer.test"})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Single: true,
	})
}
