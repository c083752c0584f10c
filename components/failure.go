package components

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// away is an error of a backend that is not there.
type away struct{ error }

// Unwrap returns the cause.
func (a away) Unwrap() error { return a.error }

// Away marks err as one of a backend that could not be reached, or whose connection
// was lost, for IsAway: for errors that do not show it themselves. Its text stays the
// same. nil stays nil.
func Away(err error) error {
	if err == nil {
		return nil
	}
	return away{err}
}

// late is an error of a backend that did not answer in time.
type late struct{ error }

// Unwrap returns the cause.
func (l late) Unwrap() error { return l.error }

// Late marks err as one of a backend that is there and has not answered within a
// limit, for IsLate: for errors that do not show it themselves. Its text stays the
// same. nil stays nil.
func Late(err error) error {
	if err == nil {
		return nil
	}
	return late{err}
}

// IsLate tells whether err says that a limit of time has passed, whoever set it. What
// Away has marked is not late, though it took its time to find out.
func IsLate(err error) bool {
	if _, ok := errors.AsType[away](err); ok {
		return false
	}
	if _, ok := errors.AsType[late](err); ok {
		return true
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return true
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// IsAway tells whether err says that a backend could not be reached, or that the
// connection to it was lost.
func IsAway(err error) bool {
	if _, ok := errors.AsType[away](err); ok {
		return true
	}
	if IsLate(err) {
		return false
	}
	for _, sign := range []error{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.ENETUNREACH, syscall.EHOSTUNREACH,
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, driver.ErrBadConn,
	} {
		if errors.Is(err, sign) {
			return true
		}
	}
	_, network := errors.AsType[*net.OpError](err)
	_, name := errors.AsType[*net.DNSError](err)
	return network || name
}
