package capability

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Panic is what a component panicked with, and where. It is for the log: its text has
// the stack, so that no client may see it. Whoever handles the call panics with it, and
// the server's recovery does the rest.
type Panic struct {
	Value any
	Stack []byte
}

// Error returns all of it.
func (p *Panic) Error() string {
	return fmt.Sprintf("%v\n\nin a goroutine of its own:\n%s", p.Value, p.Stack)
}

// Guard calls f and returns its error, a *Panic if it panicked: for goroutines of ours,
// which no recovery of the server's is around. A component must not end the process.
func Guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Panic{Value: p, Stack: debug.Stack()}
		}
	}()
	return f()
}

// Repanic panics when err is a component's panic, in a goroutine that is recovered.
func Repanic(err error) {
	if p, ok := errors.AsType[*Panic](err); ok {
		panic(p)
	}
}
