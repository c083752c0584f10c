package origdst_test

import (
	"errors"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/listener/origdst"
)

// wrapped is a connection around another, as *tls.Conn is one.
type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

// circle is a connection that says it is around itself.
type circle struct{ net.Conn }

func (c circle) NetConn() net.Conn { return c }

// What is no TCP connection is refused, without a panic.
func TestNoSocket(t *testing.T) {
	near, far := net.Pipe()
	defer func() { _ = near.Close() }()
	defer func() { _ = far.Close() }()
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close() }()
	dialed, err := net.Dial("unix", unix.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dialed.Close() }()

	for name, c := range map[string]net.Conn{
		"nil":           nil,
		"nothing in it": conn.New(nil),
		"pipe":          near,
		"wrapped pipe":  wrapped{conn.New(near)},
		"circle":        circle{},
		"unix":          dialed,
	} {
		for _, mode := range []origdst.Mode{origdst.Redirect, origdst.TProxy, origdst.Off, "else"} {
			if got, err := (origdst.Config{Mode: mode}).Destination(c); err == nil || got.IsValid() {
				t.Errorf("%s, %q: %v, %v; want an error", name, mode, got, err)
			}
		}
	}
}

func TestControlTransparentRefuses(t *testing.T) {
	for _, network := range []string{"", "udp", "udp6", "unix", "ip4:tcp"} {
		err := origdst.ControlTransparent(network, "somewhere", nil)
		if err == nil || !strings.Contains(err.Error(), "tcp") || !strings.Contains(err.Error(), "somewhere") {
			t.Errorf("%q: %v", network, err)
		}
	}
}

// Prepare leaves a listener alone that captures nothing, and a Control alone
// that is there already.
func TestPrepare(t *testing.T) {
	var off net.ListenConfig
	multipath := off.MultipathTCP()
	origdst.Config{}.Prepare(&off)
	if off.Control != nil || off.MultipathTCP() != multipath {
		t.Error("Off changed something")
	}

	mine := errors.New("mine")
	ran := 0
	for _, fail := range []error{nil, mine} {
		lc := net.ListenConfig{Control: func(string, string, syscall.RawConn) error {
			ran++
			return fail
		}}
		origdst.Config{Mode: origdst.Redirect}.Prepare(&lc)
		if lc.MultipathTCP() {
			t.Error("Multipath TCP is still on")
		}
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err == nil {
			_ = l.Close()
		}
		if fail == nil && runtime.GOOS != "linux" {
			fail = errors.ErrUnsupported
		}
		if !errors.Is(err, fail) {
			t.Errorf("listening: %v, want %v", err, fail)
		}
	}
	if ran != 2 {
		t.Errorf("the Control that was there ran %d times, want 2", ran)
	}
}
