package builtin_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/runtime"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/config"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// soakFile is the variable by which the test's child process is told its
// configuration.
const soakFile = "OTTAVO_SOAK_FILE"

// TestPubSubSoakSidecar is no test but the sidecar of TestPubSubSoak: a process
// that can be killed.
func TestPubSubSoakSidecar(t *testing.T) {
	file := os.Getenv(soakFile)
	if file == "" {
		t.Skip("SKIP: it is started by TestPubSubSoak")
	}
	tables := builtin.Tables()
	cfg, _, err := config.Load(file, tables.ConfigOptions())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	for { // the broker may be down at the moment
		r, err := runtime.New(t.Context(), runtime.Options{Config: cfg, Tables: tables, Log: log})
		if err != nil {
			log.Warn("the sidecar does not start yet", "error", err)
			continue
		}
		if err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// sidecar is the child process.
type sidecar struct {
	t    *testing.T
	file string
	cmd  *exec.Cmd
	out  *os.File
}

func (s *sidecar) start() {
	s.t.Helper()
	s.cmd = exec.Command(os.Args[0], "-test.run=^TestPubSubSoakSidecar$")
	// What it leaves when it is killed is in a folder of ours.
	s.cmd.Env = append(os.Environ(), soakFile+"="+s.file, "TMPDIR="+s.t.TempDir())
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sidecar) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()
	s.cmd = nil
}

// counter is an application that counts the numbers it gets.
type counter struct {
	runtimev1.UnimplementedAppCallbackServer
	t      *testing.T
	addr   string
	server *grpc.Server
	done   chan struct{}

	mu    sync.Mutex
	got   map[string]int
	calls int
}

func (c *counter) ListTopicSubscriptions(context.Context, *emptypb.Empty) (*runtimev1.ListTopicSubscriptionsResponse, error) {
	return &runtimev1.ListTopicSubscriptionsResponse{Subscriptions: []*runtimev1.TopicSubscription{{PubsubName: "events", Topic: "numbers"}}}, nil
}

// OnTopicEvent asks for every 17th event again.
func (c *counter) OnTopicEvent(_ context.Context, e *runtimev1.TopicEventRequest) (*runtimev1.TopicEventResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls++; c.calls%17 == 0 {
		return &runtimev1.TopicEventResponse{Status: runtimev1.TopicEventResponse_RETRY}, nil
	}
	c.got[string(e.GetData())]++
	return &runtimev1.TopicEventResponse{}, nil
}

func (c *counter) start() {
	c.t.Helper()
	l, err := net.Listen("tcp", c.addr)
	if err != nil {
		c.t.Fatal(err)
	}
	c.addr = l.Addr().String()
	server, done := grpc.NewServer(), make(chan struct{})
	runtimev1.RegisterAppCallbackServer(server, c)
	c.server, c.done = server, done
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
}

func (c *counter) kill() {
	c.server.Stop()
	<-c.done
}

func (c *counter) missing(numbers int) (lost []string, duplicates int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range numbers {
		n := c.got[strconv.Itoa(i)]
		if n == 0 {
			lost = append(lost, strconv.Itoa(i))
		}
		duplicates += max(0, n-1)
	}
	return lost, duplicates
}

// wait waits that long; what the test waits for is time itself.
func wait(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}

// TestPubSubSoak publishes numbers while the application, the sidecar and Redis
// are killed and started again in turn: every number that was acknowledged arrives.
// OTTAVO_SOAK=60s lets it go on for longer.
func TestPubSubSoak(t *testing.T) {
	t.Parallel()
	server := testserver.Redis(t, testserver.RedisArgs("--appendonly", "yes", "--appendfsync", "always"))
	soak(t, server, fmt.Sprintf("{type: redis, metadata: {redisHost: %q, processingTimeout: 1s, redeliverInterval: 500ms}}", server.Addr))
}

// soak does what TestPubSubSoak says with the broker of a server.
func soak(t *testing.T, server faultServer, broker string) {
	t.Helper()
	duration := 5 * time.Second
	if text := os.Getenv("OTTAVO_SOAK"); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	app := &counter{t: t, addr: testserver.Addr(t), got: map[string]int{}}
	app.start()
	defer func() { app.kill() }()
	_, appPort, err := net.SplitHostPort(app.addr)
	if err != nil {
		t.Fatal(err)
	}
	api := testserver.Addr(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "ottavo.yaml")
	err = os.WriteFile(file, fmt.Appendf(nil, `
runtime:
  listen: %s
  actuator: {listen: "127.0.0.1:0"}
  app: {app_id: soak, grpc_callback_port: %s}
  pub_subs:
    events: %s
`, api, appPort, broker), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "sidecar.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() //nolint:errcheck // nobody reads it any more
	car := &sidecar{t: t, file: file, out: out}
	car.start()
	defer func() {
		car.kill()
		if t.Failed() {
			text, _ := os.ReadFile(out.Name())
			t.Logf("the sidecar's log ends with:\n%s", text[max(0, len(text)-4000):])
		}
	}()

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	published := make(chan int, 1)
	var acknowledged atomic.Int64
	go func() { published <- publishNumbers(ctx, t, api, &acknowledged) }()

	kills := 0
	for end := time.Now().Add(duration); kills < 3 || time.Now().Before(end); kills++ {
		// Between two kills something must get through, however slow the machine is.
		before := acknowledged.Load()
		for late := time.Now().Add(3 * time.Minute); acknowledged.Load() < before+20; wait(20 * time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("after %d kills nothing can be published any more", kills)
			}
		}
		wait(200 * time.Millisecond)
		switch kills % 3 {
		case 0:
			app.kill()
			wait(100 * time.Millisecond)
			app.start()
		case 1:
			car.kill()
			car.start()
		case 2:
			server.Stop()
			wait(100 * time.Millisecond)
			server.Start()
		}
	}
	stop()
	numbers := <-published
	deadline := time.Now().Add(testserver.Patience)
	for {
		lost, duplicates := app.missing(numbers)
		if len(lost) == 0 {
			t.Logf("%d numbers were acknowledged, none was lost, %d came twice; %d kills in %s", numbers, duplicates, kills, duration)
			if numbers < 50 {
				t.Errorf("only %d numbers were published: the test shows little", numbers)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d acknowledged numbers are lost: %v…", len(lost), numbers, lost[:min(10, len(lost))])
		}
		wait(50 * time.Millisecond)
	}
}

// publishNumbers publishes 0, 1, 2, … until ctx ends, each until it is
// acknowledged, and returns how many were.
func publishNumbers(ctx context.Context, t *testing.T, api string, acknowledged *atomic.Int64) int {
	cc, err := grpc.NewClient(api, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(grpc.ConnectParams{
		Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.2, MaxDelay: 100 * time.Millisecond}, MinConnectTimeout: time.Second,
	}))
	if err != nil {
		t.Error(err)
		return 0
	}
	defer cc.Close() //nolint:errcheck // nothing follows
	client := runtimev1.NewRuntimeClient(cc)
	for n := 0; ; {
		if ctx.Err() != nil {
			return n
		}
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		_, err := client.PublishEvent(call, &runtimev1.PublishEventRequest{PubsubName: "events", Topic: "numbers", Data: []byte(strconv.Itoa(n))}, grpc.WaitForReady(true))
		cancel()
		if err == nil {
			n++
			acknowledged.Store(int64(n))
		}
	}
}
