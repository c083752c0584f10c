package testserver

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// rabbitMQ is the server's start script; the one in PATH wants to become another user.
const rabbitMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// RabbitMQ starts a RabbitMQ server and stops it when the test ends. The user is
// guest with the password guest. It keeps what is durable over Stop and Start. The
// test is skipped when there is none on this machine.
func RabbitMQ(t testing.TB) *Process {
	t.Helper()
	if _, err := os.Stat(rabbitMQ); err != nil {
		t.Skip("SKIP: RabbitMQ not found: apt-get install rabbitmq-server")
	}
	dir := t.TempDir()
	// Erlang's nodes find each other by a daemon, which outlives them. This one is
	// ours, and ended after the server.
	names := Port(t)
	t.Cleanup(func() { stopNames(t, names) })
	distribution := Port(t)
	p := &Process{
		t: t, name: "RabbitMQ",
		command: func(port int) *exec.Cmd {
			cmd := exec.Command(rabbitMQ)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(),
				"HOME="+dir, "RABBITMQ_CONF_ENV_FILE="+os.DevNull,
				"RABBITMQ_NODENAME=ottavo"+strconv.Itoa(names)+"@localhost",
				"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT="+strconv.Itoa(port), "RABBITMQ_DIST_PORT="+strconv.Itoa(distribution),
				"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "data"), "RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"),
				"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"),
				"ERL_EPMD_PORT="+strconv.Itoa(names), "ERL_EPMD_ADDRESS=127.0.0.1",
			)
			return cmd
		},
		ready: func(addr string) error {
			c, err := net.DialTimeout("tcp", addr, time.Second)
			if err != nil {
				return err
			}
			defer c.Close() //nolint:errcheck // nothing follows
			if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
				return err
			}
			// It answers an unknown protocol with the one that it has.
			if _, err := c.Write([]byte("AMQP\x00\x00\x00\x00")); err != nil {
				return err
			}
			var answer [8]byte
			if _, err := io.ReadFull(c, answer[:]); err != nil || !bytes.HasPrefix(answer[:], []byte("AMQP")) {
				return fmt.Errorf("answer %q: %w", answer, err)
			}
			return nil
		},
	}
	p.launch()
	return p
}

// stopNames ends Erlang's daemon of names on a port. It refuses while it knows a
// node, and learns a moment late that one was killed.
func stopNames(t testing.TB, port int) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var out []byte
	for range 100 {
		out, _ = exec.Command("epmd", "-port", strconv.Itoa(port), "-kill").CombinedOutput()
		if bytes.Contains(out, []byte("Killed")) || bytes.Contains(out, []byte("Cannot connect")) {
			return
		}
		<-tick.C
	}
	t.Logf("testserver: epmd on port %d goes on: %s", port, out)
}
