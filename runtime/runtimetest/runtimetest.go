package runtimetest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/internal/logtest"
	"github.com/ottavo-runtime/ottavo/runtime"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// Runtime is a runtime that runs until the test ends.
type Runtime struct {
	*runtime.Runtime
	// Config is what the file said.
	Config *config.Config
	// Log is what was logged so far.
	Log *logtest.Log

	stop   context.CancelFunc
	result chan error
	once   sync.Once
	err    error
}

// Options change how a Runtime is started. The zero value is the usual way.
type Options struct {
	// Tables are used instead of everything that is built in.
	Tables *runtime.Tables
	// CheckInterval is how often components are asked for their health; 0: 20 ms.
	CheckInterval time.Duration
	// ComponentSockets is a folder in which components in processes of their own are
	// looked for; "": there are none.
	ComponentSockets string
}

// Load writes the file (YAML) into a temporary folder and loads it. What it leaves to
// the defaults does not meet with other tests': the ports, and the folder of data.
func Load(t testing.TB, file string, tables runtime.Tables) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ottavo.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(path, tables.ConfigOptions())
	if err != nil {
		t.Fatalf("loading the test's configuration: %v", err)
	}
	if cfg.Runtime != nil && cfg.Runtime.DataDir == config.DefaultDataDir {
		cfg.Runtime.DataDir = t.TempDir()
	}
	for i, l := range cfg.Proxy.Listeners {
		if l.Address == config.DefaultListen || l.Address == config.DefaultActuatorListen {
			cfg.Proxy.Listeners[i].Address = "127.0.0.1:0" // two tests may run at a time
		}
	}
	return cfg
}

// Start loads the file (YAML; port 0 in an address is a free one), starts a
// runtime with it, and ends it in order when the test ends. A runtime that does
// not end in order fails the test.
func Start(t testing.TB, file string, opts ...Options) *Runtime {
	t.Helper()
	var o Options
	if len(opts) > 0 {
		o = opts[0]
	}
	tables := builtin.Tables()
	if o.Tables != nil {
		tables = *o.Tables
	}
	if o.ComponentSockets != "" {
		var bad decode.Problems
		tables, bad = tables.Discover(t.Context(), func(string) (string, bool) { return o.ComponentSockets, true })
		for _, b := range bad {
			t.Log(b)
		}
	}
	if o.CheckInterval == 0 {
		o.CheckInterval = 20 * time.Millisecond
	}
	r := &Runtime{Config: Load(t, file, tables), Log: new(logtest.Log), result: make(chan error, 1)}
	log := slog.New(slog.NewTextHandler(r.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r.stop = stop
	rt, err := runtime.New(ctx, runtime.Options{Config: r.Config, Tables: tables, Log: log, Version: "test", CheckInterval: o.CheckInterval})
	if err != nil {
		stop()
		t.Fatalf("starting the runtime: %v\n%s", err, r.Log)
	}
	r.Runtime = rt
	go func() { r.result <- rt.Run(ctx) }()
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Errorf("the runtime did not end in order: %v\n%s", err, r.Log)
		}
	})
	return r
}

// Stop ends the runtime in order and returns what Run returned. It is safe twice.
func (r *Runtime) Stop() error {
	r.once.Do(func() {
		r.stop()
		r.err = <-r.result
	})
	return r.err
}

// Addr returns where the named listener listens: "host:port", or the path of a
// socket.
func (r *Runtime) Addr(t testing.TB, name string) string {
	t.Helper()
	for _, l := range r.Status().Listeners {
		if l.Name == name && l.Addr != nil {
			return l.Addr.String()
		}
	}
	t.Fatalf("there is no listener %q with an address: %+v", name, r.Status().Listeners)
	return ""
}

// Client returns a connection to the API, closed when the test ends.
func (r *Runtime) Client(t testing.TB) *grpc.ClientConn {
	t.Helper()
	target := "passthrough:///" + r.Addr(t, r.Config.Runtime.Listener)
	if strings.HasPrefix(target, "passthrough:////") { // the path of a socket
		target = "unix://" + strings.TrimPrefix(target, "passthrough:///")
	}
	cc, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}
