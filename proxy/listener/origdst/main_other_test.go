//go:build !linux

package origdst_test

import (
	"errors"
	"net"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/listener/origdst"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUnsupported(t *testing.T) {
	for _, mode := range []origdst.Mode{origdst.Redirect, origdst.TProxy} {
		var lc net.ListenConfig
		origdst.Config{Mode: mode}.Prepare(&lc)
		if l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0"); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: listening: %v", mode, err)
			if err == nil {
				_ = l.Close()
			}
		}
	}
}
