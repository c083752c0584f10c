package memory

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/configuration/configurationtest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	matrix.Backend(t, "configuration", "in-memory")
	configurationtest.Run(t, configurationtest.Options{New: func(t *testing.T) configuration.Store {
		s, err := New(t.Context(), components.Env{}, components.Config{Name: "test", Type: Type, Path: "config_store.test"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}})
}
