package testserver

import (
	"bufio"
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
	"testing"
	"time"
)

// RedisServer is a running redis-server. Its methods are for one goroutine.
type RedisServer struct {
	*Process
	// CA is the authority, in PEM, of the certificate it shows with RedisTLS.
	CA string

	args   []string
	bus    int // the port of the cluster's own talk; 0: no cluster
	secure bool
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
	s := &RedisServer{}
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
	s.launch(t)
	return s
}

// RedisCluster starts a cluster of that many masters without replicas, each
// with an equal share of the slots.
func RedisCluster(t testing.TB, masters int) []*RedisServer {
	t.Helper()
	const slots = 16384
	nodes := make([]*RedisServer, masters)
	for i := range nodes {
		n := Redis(t, func(s *RedisServer) { s.bus = Port(t) })
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
	s := &RedisServer{args: []string{conf, "--sentinel", "--bind", "127.0.0.1", "--loglevel", "warning"}}
	s.launch(t)
	return s
}

// launch starts the server on a port of its own and sees to its end.
func (s *RedisServer) launch(t testing.TB) {
	t.Helper()
	command := needCommand(t, "redis-server", "apt-get install redis-server")
	s.Process = &Process{
		t: t, name: "redis-server",
		command: func(port int) *exec.Cmd {
			args := slices.Clone(s.args)
			if s.secure {
				args = append(args, "--port", "0", "--tls-port", strconv.Itoa(port))
			} else {
				args = append(args, "--port", strconv.Itoa(port))
			}
			if s.bus != 0 {
				args = append(args, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(s.bus))
			}
			return exec.Command(command, args...)
		},
		ready: func(string) error {
			// A server with a password says so, which is an answer too.
			reply, err := s.command(2*time.Second, "PING")
			if err == nil && strings.HasPrefix(reply, "-LOADING") {
				err = errors.New(reply)
			}
			return err
		},
	}
	s.Process.launch()
}

// Start starts the server again, empty, after Stop.
func (s *RedisServer) Start() {
	s.t.Helper()
	s.Process.Start()
	if s.bus != 0 {
		s.awaitCluster()
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
		reply, err := s.command(2*time.Second, "EXISTS", "testserver")
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
	reply, err := s.command(Patience, args...)
	if err != nil {
		s.t.Fatalf("testserver: %v", err)
	}
	return reply
}

// command is Command with an error, when there is no reply within the limit.
func (s *RedisServer) command(limit time.Duration, args ...string) (string, error) {
	var c net.Conn
	c, err := net.DialTimeout("tcp", s.Addr, limit)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // nothing follows
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
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
