package cli

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// watchSignals calls stop at the first SIGINT or SIGTERM and ends the process at
// the second, until the returned function is called.
func (p *program) watchSignals(stop func()) (release func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	released := make(chan struct{})
	go func() {
		stopping := false
		for {
			select {
			case <-released:
				return
			case s := <-signals:
				switch {
				case s == syscall.SIGHUP:
					p.warn("SIGHUP: taking a new configuration while running is not built in this version; restart to use one")
				case stopping:
					p.say("%s again: ending at once", s)
					p.Exit(exitCode(s))
				default:
					stopping = true
					p.say("%s: stopping; accepted calls finish first, a second signal ends at once", s)
					stop()
				}
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(released)
	}
}

// exitCode is the code that shells know for a process that a signal ended.
func exitCode(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return exitFailed
}

// say prints a line about what happens.
func (p *program) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.Stderr, "ottavo: "+format+"\n", args...) // there is nowhere else to complain
}
