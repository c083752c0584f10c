//go:build linux

package netnstest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait for something that should happen at once.
const patience = time.Minute

// Namespace is a network namespace. It goes with the test.
type Namespace struct {
	t     testing.TB
	tid   int
	calls chan func() // to a thread in it; nil where all threads are
	locks string
}

// Own returns the namespace of the process, for a test that Main or Again has
// started. All goroutines are in it, so that any code can be tested there. The
// test is skipped where there is none.
func Own(t testing.TB) *Namespace {
	t.Helper()
	if os.Getenv(inside) == "" {
		t.Skip("network namespaces cannot be made here: neither CAP_SYS_ADMIN nor user namespaces")
	}
	if find("ip") == "" {
		t.Skip("no ip command (Debian's package iproute2)")
	}
	ns := &Namespace{t: t, tid: os.Getpid(), locks: filepath.Join(t.TempDir(), "xtables.lock")}
	ns.Must("ip", "link", "set", "lo", "up")
	return ns
}

// New makes a namespace with a thread in it, on which Do runs code. The test is
// skipped where there can be none.
func New(t testing.TB) *Namespace {
	t.Helper()
	ns := Own(t)
	ns.calls = make(chan func())
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		// Never unlocked: the thread ends with the goroutine, and the namespace
		// with the thread.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		ns.tid = unix.Gettid()
		started <- err
		for call := range ns.calls {
			call()
		}
	}()
	t.Cleanup(func() {
		close(ns.calls)
		<-ended
	})
	if err := <-started; err != nil {
		t.Skipf("no network namespace: unshare(CLONE_NEWNET): %v", err)
	}
	ns.Must("ip", "link", "set", "lo", "up")
	return ns
}

// Do runs f in the namespace. f must not end the test.
func (ns *Namespace) Do(f func()) {
	if ns.calls == nil {
		f()
		return
	}
	done := make(chan struct{})
	ns.calls <- func() {
		defer close(done)
		f()
	}
	<-done
}

// run runs a program in the namespace.
func (ns *Namespace) run(stdin string, command ...string) error {
	var out []byte
	var err error
	ns.Do(func() {
		cmd := exec.CommandContext(ns.t.Context(), find(command[0]), command[1:]...)
		cmd.Stdin = strings.NewReader(stdin)
		cmd.Env = append(os.Environ(), "XTABLES_LOCKFILE="+ns.locks)
		out, err = cmd.CombinedOutput()
	})
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Must runs a program in the namespace, which must succeed.
func (ns *Namespace) Must(command ...string) {
	ns.t.Helper()
	if err := ns.run("", command...); err != nil {
		ns.t.Fatal(err)
	}
}

// Listen opens a socket in the namespace, until the end of the test.
func (ns *Namespace) Listen(lc net.ListenConfig, network, address string) (l net.Listener, err error) {
	ns.Do(func() { l, err = lc.Listen(ns.t.Context(), network, address) })
	if err == nil {
		ns.t.Cleanup(func() { _ = l.Close() })
	}
	return l, err
}

// Dial connects from the namespace to an address without a name: that is dialed
// on the calling goroutine, and so on the namespace's thread. The connection
// ends with the test.
func (ns *Namespace) Dial(d net.Dialer, address string) (c net.Conn, err error) {
	if d.Timeout == 0 {
		d.Timeout = patience
	}
	ns.Do(func() { c, err = d.DialContext(ns.t.Context(), "tcp", address) })
	if err == nil {
		ns.t.Cleanup(func() { _ = c.Close() })
		err = c.SetDeadline(time.Now().Add(patience))
	}
	return c, err
}

// Addresses of the two namespaces that Connect connects, and ones that nobody has.
const (
	Caller4, Proxy4, Far4 = "10.77.0.1", "10.77.0.2", "192.0.2.10"
	Caller6, Proxy6, Far6 = "fd77::1", "fd77::2", "2001:db8::10"
)

// Connect connects the namespace of a proxy and the one of a caller, whose
// packets all go by way of the proxy.
func Connect(proxy, caller *Namespace) {
	proxy.t.Helper()
	proxy.Must("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1", "netns", strconv.Itoa(caller.tid))
	for _, end := range []struct {
		ns             *Namespace
		nic            string
		ip4, ip6       string
		other4, other6 string
	}{
		{proxy, "veth0", Proxy4, Proxy6, Caller4, Caller6},
		{caller, "veth1", Caller4, Caller6, Proxy4, Proxy6},
	} {
		end.ns.Must("ip", "addr", "add", end.ip4+"/24", "dev", end.nic)
		end.ns.Must("ip", "addr", "add", end.ip6+"/64", "dev", end.nic, "nodad")
		end.ns.Must("ip", "link", "set", end.nic, "up")
		end.ns.Must("ip", "route", "add", "default", "via", end.other4)
		end.ns.Must("ip", "-6", "route", "add", "default", "via", end.other6)
	}
}

// Firewall is a program that sets rules. An iptables rule is set by each of the
// commands (IPv4, IPv6); rules for nft are a script.
type Firewall struct {
	name     string
	packages string
	commands []string
}

var firewalls = []Firewall{
	{"iptables-legacy", "iptables", []string{"iptables-legacy", "ip6tables-legacy"}},
	{"iptables-nft", "iptables", []string{"iptables-nft", "ip6tables-nft"}},
	{"nft", "nftables", []string{"nft"}},
}

// EachFirewall runs a test with every program that sets rules, in namespaces
// of its own. One after the other: while one starts a program, the new process
// has the sockets of all for a moment, and their ports are not free when closed.
func EachFirewall(t *testing.T, test func(t *testing.T, fw Firewall)) {
	for _, fw := range firewalls {
		t.Run(fw.name, func(t *testing.T) {
			for _, command := range fw.commands {
				if find(command) == "" {
					t.Skipf("no %s command (Debian's package %s)", command, fw.packages)
				}
			}
			test(t, fw)
		})
	}
}

// find returns the path of a program, "" when there is none. Only root has the
// folders of programs like these in PATH.
func find(name string) string {
	for _, folder := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path
		}
	}
	return ""
}

// Apply sets the rules in ns: script with nft, and each rule of iptables
// otherwise. The test is skipped where the kernel has no such rules.
func (fw Firewall) Apply(ns *Namespace, script string, rules ...string) {
	ns.t.Helper()
	if fw.name == "nft" {
		if err := ns.run(script, "nft", "-f", "-"); err != nil {
			ns.t.Skipf("the kernel takes no such rules: %v", err)
		}
		return
	}
	for _, command := range fw.commands {
		for _, rule := range rules {
			if err := ns.run("", append([]string{command, "-w"}, strings.Fields(rule)...)...); err != nil {
				ns.t.Skipf("the kernel takes no such rule: %v", err)
			}
		}
	}
}
