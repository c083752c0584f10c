package rpc

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// jars is where the jars are that programs in testdata/java use.
const jars = "../../../.cache/jars/java"

// saidByJava is what testdata/java/peers/Calls.java prints when all is well; the
// exceptions are those of the framework.
const saidByJava = `who: a b
echo: größer 网商
object: 8 [tea, größer] 12.5
big: true
an exception of its own: Trouble no money
nobody serves it: NOBODY
host is gone: NOBODY
too slow for the route: SLOW
too slow for the caller: SLOW
after all that: a
behind them: b
one-way: true
idle
awake
afterwards: a b
many: 10000
under way: true
cut
not broken off: 0
at once: true
the others: 20
afterwards: a
`

// TestJava: clients of SOFA and of Dubbo, through the core to their servers;
// testdata/java/peers/Calls.java is what they do. They do it at the same time, as
// much of it is waiting.
func TestJava(t *testing.T) {
	t.Parallel()
	j := newJava(t)
	sofa, apache := j.server(t, "BoltServer"), j.server(t, "DubboServer")
	// A host that is silent for a moment is asked, and has to answer.
	opts := frame.Options{HeartbeatInterval: 100 * time.Millisecond, HeartbeatTimeout: 30 * time.Second, HeartbeatFailures: 2}
	bolts := []protocol.Protocol{bolt.New(bolt.V1(), opts), bolt.New(bolt.V2(), opts)}
	byID := func(name, cluster string) config.Route { return serves("peers.Demo:1.0:"+name, cluster) }
	byGroup := func(name, cluster string) config.Route {
		to := serves("peers.Demo", cluster)
		to.Match.Headers = append(to.Match.Headers, config.HeaderMatch{Name: "group", Value: name})
		return to
	}
	// What fails on the way is told in the protocol's terms, and the client tells it
	// in its own. Dubbo's 1 is the network, and 2 a timeout.
	sofaSays := strings.NewReplacer("NOBODY", "SofaRpcException NO_PROCESSOR", "SLOW", "SofaTimeOutException TIMEOUT")
	boltSays := strings.NewReplacer("NOBODY", "InvokeException NO_PROCESSOR", "SLOW", "InvokeTimeoutException TIMEOUT")
	dubboSays := strings.NewReplacer("NOBODY", "RpcException 1", "SLOW", "RpcException 2")
	for _, tc := range []struct {
		name      string
		host      string
		upstream  string
		protocols []protocol.Protocol
		route     func(name, cluster string) config.Route
		client    []string
		says      *strings.Replacer
	}{
		{"SOFA RPC, Bolt 1", sofa, "", bolts, byID, []string{"BoltClient", "1"}, sofaSays},
		{"SOFA RPC, Bolt 1 to 2", sofa, "boltv2", bolts, byID, []string{"BoltClient", "1"}, sofaSays},
		{"SOFA Bolt, Bolt 2 with checksums", sofa, "", bolts, byID, []string{"BoltClient", "2"}, boltSays},
		{"Dubbo", apache, "", []protocol.Protocol{frame.New(dubbo.Codec{}, opts)}, byGroup, []string{"DubboClient"}, dubboSays},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := proxytest.Bound("rpc", "r", "127.0.0.1:0")
			l.FilterChains[0].Filters[0].Config["downstream_protocol"] = "Auto"
			l.FilterChains[0].Filters[0].Config["upstream_protocol"] = tc.upstream
			a, b := newTap(t, tc.host), newTap(t, tc.host)
			hasty := tc.route("hasty", "a")
			hasty.Route.Timeout = 300 * time.Millisecond
			s := start(t, &config.Snapshot{
				Listeners: []config.Listener{l},
				Routers:   []config.Router{proxytest.Router("r", tc.route("a", "a"), tc.route("b", "b"), tc.route("gone", "gone"), hasty)},
				Clusters: []config.Cluster{
					proxytest.Cluster("a", a.addr), proxytest.Cluster("b", b.addr), proxytest.Cluster("gone", testserver.Addr(t)),
				},
			}, tc.protocols...)
			in := newTap(t, s.Addr(t, "rpc"))
			taps := map[string]*tap{"the caller": in, "host a": a, "host b": b}
			opened := make(map[string]int64)
			got := j.run(t, tc.client[0], append([]string{in.addr}, tc.client[1:]...), map[string]func(){
				"idle": func() {
					for name, p := range taps {
						p.there.Store(0)
						p.back.Store(0)
						opened[name] = p.opened.Load()
					}
				},
				"awake": func() {
					for name, p := range taps {
						if there, back := p.there.Load(), p.back.Load(); there == 0 || back == 0 {
							t.Errorf("heartbeats: from and to %s there were %d and %d bytes while nobody called", name, there, back)
						}
					}
				},
				"cut": a.cut,
			})
			if want := tc.says.Replace(saidByJava); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			// Connections lasted, except for the one that was broken off.
			opened["host a"]++
			for name, p := range taps {
				if n := p.opened.Load(); n != opened[name] {
					t.Errorf("there were %d connections to %s, want %d", n, name, opened[name])
				}
			}
			failed := make(map[stream.Kind]int)
			records := s.Records.All()
			for _, rec := range records {
				if rec.Err != nil {
					failed[stream.AsError(rec.Err).Kind]++
				}
			}
			if failed[stream.Reset] != 20 {
				t.Errorf("failed calls: %v of %d; want 20 by a connection that broke off", failed, len(records))
			}
			if t.Failed() {
				why := make(map[string]int)
				for _, rec := range records {
					if rec.Err != nil {
						why[rec.Err.Error()]++
					}
				}
				t.Logf("why calls failed: %v\ncallers' connections: %+v\nhosts: %+v", why, s.Status(t, "rpc"), s.Clusters())
			}
		})
	}
}

// java runs programs of testdata/java.
type java struct {
	path    string // of the program java
	classes string
}

// newJava compiles the programs. It skips the test where that cannot be done.
func newJava(t *testing.T) *java {
	t.Helper()
	path, err := exec.LookPath("java")
	if err != nil {
		t.Skip("SKIPPED: java is not installed, so nothing was tested with Java's RPC programs")
	}
	javac, err := exec.LookPath("javac")
	if err != nil {
		t.Skip("SKIPPED: javac is not installed, so nothing was tested with Java's RPC programs")
	}
	if _, err := os.Stat(jars); err != nil {
		t.Skip("SKIPPED: the jars of proxy/interop/rpc/testdata/java are not there (tools/test/jars.sh fetches them), so nothing was tested with Java's RPC programs")
	}
	sources, err := filepath.Glob("testdata/java/peers/*.java")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no programs in testdata/java: %v", err)
	}
	j := &java{path: path, classes: t.TempDir()}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args := append([]string{"-encoding", "UTF-8", "-d", j.classes, "-cp", filepath.Join(jars, "*")}, sources...)
	if out, err := exec.CommandContext(ctx, javac, args...).CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	return j
}

// command returns a command that runs a program, and is killed when it takes too
// long.
func (j *java) command(t testing.TB, class string, args []string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, j.path, append([]string{
		// Programs that run for seconds start faster with these.
		"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx512m",
		"-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-Djava.net.preferIPv4Stack=true",
		// They write logs and caches there.
		"-Duser.home=" + t.TempDir(),
		// Bolt asks a silent peer every second, and may have 10,000 calls and
		// answers waiting; its calls are not traced.
		// A busy machine may make both wait: nobody is given up for that.
		"-Dbolt.tcp.heartbeat.interval=1000", "-Dbolt.tcp.heartbeat.maxtimes=60",
		"-Dbolt.netty.buffer.high.watermark=67108864", "-Dbolt.netty.buffer.low.watermark=33554432",
		"-Dasync.pool.queue=20000", "-Dmodule.load.list=!sofaTracer,!sofaTracer-resteasy,!fault-tolerance", "-Ddefault.tracer=",
		"-cp", j.classes + string(filepath.ListSeparator) + filepath.Join(jars, "*"),
		"peers." + class,
	}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it ends with the test, however that ends
	cmd.WaitDelay = time.Second
	return cmd
}

// server starts a program that prints its port, and ends it with the test. It
// returns its address.
func (j *java) server(t testing.TB, class string) string {
	t.Helper()
	cmd := j.command(t, class, nil)
	whenFailed(t, cmd)
	return serve(t, cmd)
}

// run returns what a program prints; it has to succeed. Each of its lines that is
// a key of on calls the function.
func (j *java) run(t testing.TB, class string, args []string, on map[string]func()) string {
	t.Helper()
	cmd := j.command(t, class, args)
	whenFailed(t, cmd)
	var said strings.Builder
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if f := on[lines.Text()]; f != nil {
			f()
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v", class, err)
	}
	return said.String()
}

// whenFailed shows the end of what a command complains about, if the test fails:
// these programs say much there, and most of it is harmless.
func whenFailed(t testing.TB, cmd *exec.Cmd) {
	var errs bytes.Buffer
	cmd.Stderr = &errs
	t.Cleanup(func() {
		if t.Failed() {
			b := errs.Bytes()
			t.Logf("%v:\n%s", cmd, b[max(0, len(b)-4000):])
		}
	})
}
