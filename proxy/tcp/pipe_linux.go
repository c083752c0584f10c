package tcp

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// pipeSize is how many bytes a pipe should hold. The system may grant less.
const pipeSize = 256 << 10

// pipe is a kernel's pipe through which bytes are spliced. It is empty while
// nobody has borrowed it.
type pipe struct {
	pipeEnds
	size    int
	cleanup runtime.Cleanup
}

// pipeEnds are file descriptors.
type pipeEnds struct{ r, w int }

func (e pipeEnds) closeEnds() {
	_ = unix.Close(e.r)
	_ = unix.Close(e.w)
}

// pipes are not in use. One that the collector takes is closed.
var pipes sync.Pool

// borrowPipe returns an empty pipe, nil if the system has none to give.
func borrowPipe() *pipe {
	if p, ok := pipes.Get().(*pipe); ok {
		return p
	}
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return nil
	}
	p := &pipe{pipeEnds: pipeEnds{fds[0], fds[1]}}
	size, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, pipeSize)
	if err != nil {
		if size, err = unix.FcntlInt(uintptr(p.w), unix.F_GETPIPE_SZ, 0); err != nil {
			p.closeEnds()
			return nil
		}
	}
	p.size = size
	p.cleanup = runtime.AddCleanup(p, pipeEnds.closeEnds, p.pipeEnds)
	return p
}

// giveBack returns an empty pipe.
func (p *pipe) giveBack() { pipes.Put(p) }

// close closes a pipe that is not empty.
func (p *pipe) close() {
	p.cleanup.Stop()
	p.closeEnds()
}
