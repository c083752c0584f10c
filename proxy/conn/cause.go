package conn

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Cause is why a connection has ended. The first reason that there was counts:
// a peer that closes after we said that we will is LocalClose.
type Cause uint8

// Causes.
const (
	Unknown       Cause = iota // it has not ended, or nobody knows
	RemoteClose                // the peer ended it in order
	LocalClose                 // we ended it in order: its last exchange was over
	IdleTimeout                // nothing happened on it for too long
	Timeout                    // the peer took too long to send, or to take, what was begun
	ReadError                  // it broke while we read
	WriteError                 // it broke while we wrote
	ProtocolError              // the peer sent what it must not
	Drained                    // its listener ends, or changes
	CutOff                     // we closed it in the middle: no time was left, or the answer broke off
	Limit                      // it was refused: there are too many
	Panic                      // a defect of ours
)

// CauseCount is how many causes there are.
const CauseCount = int(Panic) + 1

var causeNames = [CauseCount]string{
	"unknown", "remote_close", "local_close", "idle_timeout", "timeout", "read_error", "write_error", "protocol_error", "drain", "cut_off", "limit", "panic",
}

// String returns the cause as a metric's label has it: "remote_close".
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return causeNames[Unknown]
}

// SetCause says why the connection ends. Only the first call does something.
func (c *Conn) SetCause(cause Cause) { c.cause.CompareAndSwap(uint32(Unknown), uint32(cause)) }

// Cause returns why the connection has ended, Unknown while that is not known.
func (c *Conn) Cause() Cause { return Cause(c.cause.Load()) }

// Settle names the cause of a connection that ended with err, unless one is
// known already.
func (c *Conn) Settle(err error) { c.SetCause(causeOf(err)) }

// causeOf says what an error means that a user of a connection ended with.
func causeOf(err error) Cause {
	switch {
	case err == nil, errors.Is(err, net.ErrClosed):
		return LocalClose
	case errors.Is(err, ErrDraining):
		return Drained
	case errors.Is(err, io.EOF):
		return RemoteClose
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return CutOff
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, new(syscall.Errno)):
		return ReadError
	}
	return ProtocolError
}

// noteRead takes the error of a read. What is not the peer's doing, or may be
// meant as a look at the clock, says nothing.
func (c *Conn) noteRead(err error) {
	switch {
	case errors.Is(err, io.EOF):
		c.SetCause(RemoteClose)
	case !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded):
		c.SetCause(ReadError)
	}
}

// noteWrite takes the error of a write.
func (c *Conn) noteWrite(err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.SetCause(Timeout)
	case !errors.Is(err, net.ErrClosed):
		c.SetCause(WriteError)
	}
}
