package capability_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wantError fails unless err is an *capability.Error of that kind, and returns
// what it holds.
func wantError(t *testing.T, err error, kind capability.Kind) capability.Error {
	t.Helper()
	e, ok := capability.AsError(err)
	if !ok || e.Kind != kind {
		t.Fatalf("error %v (%T), want kind %v", err, err, kind)
	}
	return *e
}
