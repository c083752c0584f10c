package origdst_test

import (
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/listener/origdst/netnstest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { netnstest.Main(func() { goleak.VerifyTestMain(m) }) }
