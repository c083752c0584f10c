package ottavo_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := examples.end(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}))
}

// examples is the runtime that the examples call: the real program, as a
// process. See sdktest for why these tests must not import it.
var examples process

type process struct {
	once sync.Once
	err  error
	dir  string
	cmd  *exec.Cmd
}

const exampleConfig = `
runtime:
  listen: unix:%[1]s/api
  actuator: {enabled: false}
  data_dir: %[1]s
  hellos: {hello: {type: helloworld, hello: hi}}
  config_store: {config: {type: in-memory}}
  lock: {locks: {type: in-memory}}
  sequencer: {numbers: {type: in-memory}}
  pub_subs: {events: {type: in-memory}}
  file: {files: {type: local}}
  oss: {objects: {type: local}}
  bindings: {folder: {type: localstorage, metadata: {rootPath: %[1]s/bindings}}}
  cryption: {keys: {type: local}}
`

// start builds the program, unless OTTAVO_TEST_BINARY names one, and runs it.
func (p *process) start() error {
	binary := os.Getenv("OTTAVO_TEST_BINARY")
	if binary == "" {
		var err error
		if binary, err = filepath.Abs("../../.cache/test/sdk/ottavo"); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "../../cmd/ottavo").CombinedOutput()
		if err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	var err error
	if p.dir, err = os.MkdirTemp("", "ottavo"); err != nil {
		return err
	}
	file := filepath.Join(p.dir, "ottavo.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, exampleConfig, p.dir), 0o600); err != nil {
		return err
	}
	p.cmd = exec.Command(binary, "start", "-c", file)
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it ends with the tests, however those end
	return p.cmd.Start()
}

// end stops the program, if it runs.
func (p *process) end() error {
	if p.cmd == nil || p.cmd.Process == nil {
		return p.err
	}
	return errors.Join(p.err, p.cmd.Process.Signal(syscall.SIGTERM), p.cmd.Wait(), os.RemoveAll(p.dir))
}

// exampleClient is a client of a runtime with components; a program says
// ottavo.Dial(ottavo.DefaultAddress).
func exampleClient() (context.Context, *ottavo.Client, func()) {
	examples.once.Do(func() { examples.err = examples.start() })
	if examples.err != nil {
		log.Panic(examples.err)
	}
	client, err := ottavo.Dial("unix:" + filepath.Join(examples.dir, "api"))
	if err != nil {
		log.Panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	// Until the process listens.
	_, err = client.API().SayHello(ctx, &runtimev1.SayHelloRequest{ServiceName: "hello"}, grpc.WaitForReady(true))
	if err != nil {
		log.Panic(err)
	}
	return ctx, client, func() {
		if err := client.Close(); err != nil {
			log.Panic(err)
		}
		cancel()
	}
}
