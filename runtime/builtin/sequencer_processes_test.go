package builtin_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ottavo-runtime/ottavo/components/sequencer/sequencertest"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/internal/testserver/etcd"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// idSidecarFile is the environment variable that makes a process of this test be a
// sidecar: its value is the configuration.
const idSidecarFile = "OTTAVO_TEST_ID_SIDECAR"

// TestIDSidecarProcess is a sidecar for other tests, until its standard input ends.
func TestIDSidecarProcess(t *testing.T) {
	file := os.Getenv(idSidecarFile)
	if file == "" {
		t.Skip("SKIP: this is for processes that other tests start")
	}
	r := runtimetest.Start(t, file)
	fmt.Printf("listening on %s\n", r.Addr(t, r.Config.Runtime.Listener))
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed, or the test ends
}

// idSidecar is a process of its own.
type idSidecar struct {
	client runtimev1.RuntimeClient
	cmd    *exec.Cmd
}

func startIDSidecar(t *testing.T, file string) *idSidecar {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestIDSidecarProcess$", "-test.v")
	// What it leaves when it is killed is in a folder of ours.
	cmd.Env = append(os.Environ(), idSidecarFile+"="+file, "TMPDIR="+t.TempDir())
	cmd.WaitDelay = 5 * time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &idSidecar{cmd: cmd}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait() // killed, or in order
	})
	said, lines := "", bufio.NewScanner(stdout)
	for lines.Scan() {
		if _, addr, ok := strings.Cut(lines.Text(), "listening on "); ok {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cc.Close() })
			s.client = runtimev1.NewRuntimeClient(cc)
			return s
		}
		said += lines.Text() + "\n"
	}
	t.Fatalf("the sidecar does not start:\n%s", said)
	return nil
}

// kill ends it as kill -9 does.
func (s *idSidecar) kill(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
}

func (s *idSidecar) next(increment runtimev1.SequencerOptions_AutoIncrement, key string) func(context.Context) (int64, error) {
	return func(ctx context.Context) (int64, error) {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		resp, err := s.client.GetNextId(ctx, &runtimev1.GetNextIdRequest{
			StoreName: "ids", Key: key, Options: &runtimev1.SequencerOptions{Increment: increment},
		})
		return resp.GetNextId(), err
	}
}

// Sidecars in processes of their own share one backend, one of them is killed again
// and again, the backend goes away for a moment: no id is given out twice, strong
// ones are in order over all processes, and all are greater than they have to be.
func TestSequencersOfManyProcesses(t *testing.T) {
	const (
		weak   = runtimev1.SequencerOptions_WEAK
		strong = runtimev1.SequencerOptions_STRONG
	)
	for name, start := range map[string]func(t *testing.T) (metadata string, link *testserver.Link){
		"redis": func(t *testing.T) (string, *testserver.Link) {
			link := testserver.NewLink(t, testserver.Redis(t).Addr)
			return fmt.Sprintf("{redisHost: %q, segmentStep: 50}", link.Addr), link
		},
		"etcd": func(t *testing.T) (string, *testserver.Link) {
			link := testserver.NewLink(t, etcd.Start(t).Addr)
			return fmt.Sprintf("{endpoints: %q, segmentStep: 50}", link.Addr), link
		},
	} {
		t.Run(name, func(t *testing.T) {
			metadata, link := start(t)
			file := fmt.Sprintf(`
runtime:
  listen: 127.0.0.1:0
  app: {app_id: shop}
  actuator: {listen: "127.0.0.1:0"}
  sequencer:
    ids: {type: %s, biggerThan: {orders: 5000}, metadata: %s}
`, name, metadata)
			stays, falls := startIDSidecar(t, file), startIDSidecar(t, file)
			weaks, strongs := sequencertest.NewLoad(t, false), sequencertest.NewLoad(t, true)
			take := func(ctx context.Context, s *idSidecar) {
				for n := 0; ctx.Err() == nil; n++ {
					if n%2 == 0 {
						_ = weaks.Try(ctx, s.next(weak, "orders")) // failures are expected
					} else {
						_ = strongs.Try(ctx, s.next(strong, "bills"))
					}
				}
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() { take(ctx, stays) })
			}
			enough := func() {
				t.Helper()
				before, deadline := weaks.Count()+strongs.Count(), time.After(testserver.Patience)
				for weaks.Count()+strongs.Count() < before+200 {
					select {
					case <-time.After(5 * time.Millisecond):
					case <-deadline:
						t.Fatal("it does not go on")
					}
				}
			}
			for round := range 3 {
				life, end := context.WithCancel(ctx)
				for range 3 {
					wg.Go(func() { take(life, falls) })
				}
				enough()
				if round == 1 {
					link.Cut()
					<-time.After(50 * time.Millisecond)
					link.Mend()
					enough()
				}
				falls.kill(t)
				end()
				enough()
				falls = startIDSidecar(t, file)
			}
			stop()
			wg.Wait()
			ids := weaks.Check()
			if len(ids) < 100 || ids[0] <= 5000 {
				t.Errorf("%d weak ids from %d on", len(ids), ids[0])
			}
			if ids := strongs.Check(); len(ids) < 100 {
				t.Errorf("%d strong ids", len(ids))
			}
		})
	}
}
