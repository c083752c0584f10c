package testserver

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// Memcached starts a memcached and stops it when the test ends. Its data are gone
// after Stop. The test is skipped when there is none on this machine.
func Memcached(t testing.TB) *Process {
	t.Helper()
	command := needCommand(t, "memcached", "apt-get install memcached")
	dir, as := ownDir(t, "nobody") // it does not run as root
	p := &Process{
		t: t, name: "memcached",
		command: func(port int) *exec.Cmd {
			cmd := exec.Command(command, "-l", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "0", "-m", "32")
			cmd.Dir, cmd.SysProcAttr = dir, clone(as)
			return cmd
		},
		ready: func(addr string) error {
			out, err := talk(addr, "version\r\nquit\r\n")
			if err == nil && !strings.HasPrefix(out, "VERSION") {
				err = fmt.Errorf("it says %q", out)
			}
			return err
		},
	}
	p.launch()
	return p
}
