//nolint:misspell // mosquitto is a name
package testserver

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Mosquitto starts an MQTT server that lets everybody in, and stops it when the
// test ends. It keeps nothing over Stop and Start. The test is skipped when there is
// none on this machine; package testserver/mqtt has one that is always there, but
// which at times loses what it is to keep for a client that is away.
func Mosquitto(t testing.TB) *Process {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		if path = "/usr/sbin/mosquitto"; !exists(path) {
			t.Skip("SKIP: mosquitto not found: apt-get install mosquitto")
		}
	}
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	p := &Process{
		t: t, name: "mosquitto",
		command: func(port int) *exec.Cmd {
			text := "listener " + strconv.Itoa(port) + " 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
			if err := os.WriteFile(conf, []byte(text), 0o644); err != nil { //nolint:gosec // it becomes another user, who reads it
				t.Error(err)
			}
			return exec.Command(path, "-c", conf)
		},
		ready: func(addr string) error {
			c, err := net.DialTimeout("tcp", addr, time.Second)
			if err != nil {
				return err
			}
			return c.Close()
		},
	}
	p.launch()
	return p
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
