package sdktest_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// timeout bounds the calls of a test.
func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testserver.Patience)
	t.Cleanup(cancel)
	return ctx
}

// everything is a runtime's configuration with one component of each kind, at an
// address and with its files in a folder.
const everything = `
runtime:
  listen: %s
  actuator: {enabled: false}
  data_dir: %[2]s
  app: {app_id: app1, grpc_callback_port: %[3]d}
  hellos: {hello: {type: helloworld, hello: hi}}
  config_store: {config: {type: local.file, metadata: {path: %[2]s/config.yaml, create: true, interval: 20ms}}}
  lock: {locks: {type: in-memory}}
  sequencer: {numbers: {type: in-memory}}
  pub_subs: {events: {type: in-memory, metadata: {redeliverInterval: 10ms}}}
  file: {files: {type: local}}
  oss: {objects: {type: local}}
  bindings: {folder: {type: localstorage, metadata: {rootPath: %[2]s/bindings}}}
  secret_store: {secrets: {type: local.env, metadata: {prefix: OTTAVO_SDK_TEST_}}}
  cryption: {keys: {type: local}}
  email: {mails: {type: local}}
  phone: {calls: {type: local}}
  sms: {texts: {type: local}}
`

// real is a real runtime behind a link that can be cut.
type real struct {
	*runtimetest.Runtime
	*testserver.Link
	dir string
}

// startReal starts a runtime with everything and a client of it; both end with
// the test. callbacks is where the application listens, or 0.
func startReal(t *testing.T, callbacks int) (*real, *ottavo.Client) {
	t.Helper()
	r := &real{dir: t.TempDir()}
	r.Runtime = runtimetest.Start(t, fmt.Sprintf(everything, "127.0.0.1:0", r.dir, callbacks))
	r.Link = testserver.NewLink(t, r.Runtime.Addr(t, r.Config.Runtime.Listener))
	client, err := ottavo.Dial(r.Link.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, client
}

func (r *real) path(name string) string { return filepath.Join(r.dir, name) }
