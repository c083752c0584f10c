package testserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startTimeout is how long a server may take to answer.
const startTimeout = 15 * time.Second

// RedisServer is a running redis-server. Its methods are for one goroutine.
type RedisServer struct {
	// Addr is its host:port; it stays the same over Stop and Start.
	Addr string
	// CA is the authority, in PEM, of the certificate it shows with RedisTLS.
	CA string

	t      testing.TB
	args   []string
	port   int
	bus    int // the port of the cluster's own talk; 0: no cluster
	secure bool
	cmd    *exec.Cmd
	output *bytes.Buffer
	ended  chan struct{} // closed when the process has ended
}

// A RedisOption changes how Redis starts the server.
type RedisOption func(*RedisServer)

// RedisPassword makes the server ask for a password.
func RedisPassword(password string) RedisOption {
	return func(s *RedisServer) { s.args = append(s.args, "--requirepass", password) }
}

// RedisTLS makes the server speak TLS only.
func RedisTLS() RedisOption { return func(s *RedisServer) { s.secure = true } }

// RedisArgs adds arguments to the command line: "--maxmemory", "10mb".
func RedisArgs(args ...string) RedisOption {
	return func(s *RedisServer) { s.args = append(s.args, args...) }
}

// Redis starts a redis-server without persistence and stops it when the test
// ends. The test is skipped when there is none on this machine.
func Redis(t testing.TB, opts ...RedisOption) *RedisServer {
	t.Helper()
	s := &RedisServer{t: t}
	for _, o := range opts {
		o(s)
	}
	dir := t.TempDir()
	s.args = append([]string{"--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no", "--loglevel", "warning"}, s.args...)
	if s.secure {
		ca, cert, key := certificate(t)
		s.CA = string(ca)
		for name, data := range map[string][]byte{"ca.pem": ca, "cert.pem": cert, "key.pem": key} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s.args = append(s.args, "--tls-auth-clients", "no", "--tls-ca-cert-file", filepath.Join(dir, "ca.pem"),
			"--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"))
	}
	s.launch()
	return s
}

// RedisCluster starts a cluster of that many masters without replicas, each
// with an equal share of the slots.
func RedisCluster(t testing.TB, masters int) []*RedisServer {
	t.Helper()
	const slots = 16384
	nodes := make([]*RedisServer, masters)
	for i := range nodes {
		n := Redis(t, func(s *RedisServer) { s.bus = freePort(t) })
		nodes[i] = n
		first, last := i*slots/masters, (i+1)*slots/masters-1
		if reply := n.Command("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)); reply != "+OK" {
			t.Fatalf("testserver: cluster addslotsrange: %s", reply)
		}
		if reply := n.Command("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(nodes[0].port), strconv.Itoa(nodes[0].bus)); reply != "+OK" {
			t.Fatalf("testserver: cluster meet: %s", reply)
		}
	}
	for _, n := range nodes {
		n.awaitCluster()
	}
	return nodes
}

// RedisSentinel starts a sentinel that watches master under the given name.
func RedisSentinel(t testing.TB, master *RedisServer, name string) *RedisServer {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, fmt.Appendf(nil, "sentinel monitor %s %s %s 1\n", name, host, port), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &RedisServer{t: t, args: []string{conf, "--sentinel", "--bind", "127.0.0.1", "--loglevel", "warning"}}
	s.launch()
	return s
}

// launch starts the server on a free port and sees to its end.
func (s *RedisServer) launch() {
	s.t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		s.t.Skip("SKIP: redis-server not found: apt-get install redis-server")
	}
	s.t.Cleanup(s.Stop)
	var err error
	for range 5 { // somebody may take the port between our look and the start
		s.port = freePort(s.t)
		s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
		if err = s.start(); err == nil {
			return
		}
	}
	s.t.Fatal(err)
}

// Start starts the server again, empty, after Stop.
func (s *RedisServer) Start() {
	s.t.Helper()
	if s.cmd != nil {
		s.t.Fatal("testserver: Start of a server that runs")
	}
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
	if s.bus != 0 {
		s.awaitCluster()
	}
}

func (s *RedisServer) start() error {
	args := slices.Clone(s.args)
	if s.secure {
		args = append(args, "--port", "0", "--tls-port", strconv.Itoa(s.port))
	} else {
		args = append(args, "--port", strconv.Itoa(s.port))
	}
	if s.bus != 0 {
		args = append(args, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(s.bus))
	}
	s.output = &bytes.Buffer{}
	s.cmd = exec.Command("redis-server", args...)
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return fmt.Errorf("testserver: %w", err)
	}
	s.ended = make(chan struct{})
	cmd, ended := s.cmd, s.ended
	go func() {
		_ = cmd.Wait() // it is killed, or its output says what is wrong
		close(ended)
	}()

	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	var err error
	for {
		select {
		case <-ended:
			s.cmd = nil
			return fmt.Errorf("testserver: redis-server %s ended:\n%s", s.Addr, s.output)
		case <-deadline.C:
			s.Stop()
			return fmt.Errorf("testserver: redis-server %s does not answer after %s: %w\n%s", s.Addr, startTimeout, err, s.output)
		case <-tick.C:
			// A server with a password says so, which is an answer too.
			var reply string
			if reply, err = s.command("PING"); err == nil && !strings.HasPrefix(reply, "-LOADING") {
				return nil
			}
		}
	}
}

// Stop kills the server and waits for its end: connections break. It does
// nothing when the server does not run.
func (s *RedisServer) Stop() {
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("testserver: %v", err)
	}
	<-s.ended
	s.cmd = nil
}

// Pause makes the server hang: connections stay, nothing is answered, until Resume.
func (s *RedisServer) Pause() { s.t.Helper(); s.signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (s *RedisServer) Resume() { s.t.Helper(); s.signal(syscall.SIGCONT) }

func (s *RedisServer) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.cmd == nil {
		s.t.Fatal("testserver: the server does not run")
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("testserver: %v", err)
	}
}

// awaitCluster waits until the node knows that all slots are served.
func (s *RedisServer) awaitCluster() {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(s.t.Context(), startTimeout)
	defer cancel()
	for {
		reply, err := s.command("EXISTS", "testserver")
		if err == nil && (reply == ":0" || strings.HasPrefix(reply, "-MOVED")) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("testserver: the cluster does not come up: %s %v", reply, err)
		}
	}
}

// Command sends one command and returns the first line of the reply, with its
// type character: "+OK", ":1", "$5". The test ends when there is no reply.
func (s *RedisServer) Command(args ...string) string {
	s.t.Helper()
	reply, err := s.command(args...)
	if err != nil {
		s.t.Fatalf("testserver: %v", err)
	}
	return reply
}

func (s *RedisServer) command(args ...string) (string, error) {
	var c net.Conn
	c, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // nothing follows
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	if s.secure {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(s.CA))
		c = tls.Client(c, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// freePort returns a port of the loopback address that nobody listens on.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was accepted
	return l.Addr().(*net.TCPAddr).Port
}
