package stream

import (
	"context"
	"errors"
	"fmt"
)

// Kind says what went wrong with an exchange.
type Kind uint8

// The kinds of failure, and the HTTP status each is answered with by default.
const (
	Internal   Kind = iota // a defect of ours: 500
	BadMessage             // the peer's bytes are not a message of the protocol: 400 down, 502 up
	TooLarge               // a limit on size was passed: 413, 431
	NoRoute                // no route matched: 404
	NoCluster              // the route names a cluster that does not exist: 503
	NoHost                 // the cluster has no host to send to: 503
	Overload               // a limit on connections or requests was reached: 503
	Connect                // no connection to the host could be made: 503
	Reset                  // the connection ended in the middle of the exchange: 502
	Timeout                // a time limit passed: 504
	Canceled               // the caller went away: 499
	Stopping               // this side is shutting down: 503
	Denied                 // a policy refused the request: 403
)

var kindNames = [...]string{
	Internal: "internal", BadMessage: "bad message", TooLarge: "too large", NoRoute: "no route", NoCluster: "no cluster",
	NoHost: "no host", Overload: "overload", Connect: "connect", Reset: "reset", Timeout: "timeout",
	Canceled: "canceled", Stopping: "stopping", Denied: "denied",
}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Side says at which end of the core a failure arose.
type Side uint8

// The sides of an exchange.
const (
	Local      Side = iota // in the core itself
	Downstream             // at the caller
	Upstream               // at the host
)

// String returns "local", "downstream" or "upstream".
func (s Side) String() string {
	switch s {
	case Downstream:
		return "downstream"
	case Upstream:
		return "upstream"
	}
	return "local"
}

// Error is the one error type of the core.
type Error struct {
	Kind Kind
	Side Side
	// Retry is true when sending the request again cannot do it twice: nothing
	// of it reached a host, or its method is idempotent and no answer had begun.
	Retry bool
	// Op says what was being done, to what: `dial 127.0.0.1:80`.
	Op string
	// Err is the cause; it may be nil.
	Err error
}

// Error returns "side kind: op: cause", without the parts that are not known.
func (e *Error) Error() string {
	s := e.Kind.String()
	if e.Side != Local {
		s = e.Side.String() + " " + s
	}
	if e.Op != "" {
		s += ": " + e.Op
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error whose Op is the formatted text.
func Errorf(kind Kind, side Side, format string, args ...any) *Error {
	return &Error{Kind: kind, Side: side, Op: fmt.Sprintf(format, args...)}
}

// AsError returns err as an *Error. Context errors become Canceled and
// Timeout; anything unknown becomes Internal.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, context.Canceled):
		return &Error{Kind: Canceled, Side: Downstream, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Kind: Timeout, Err: err}
	}
	return &Error{Kind: Internal, Err: err}
}

// FromContext makes an Error of a context that has ended: Timeout if its
// deadline passed, Canceled otherwise.
func FromContext(ctx context.Context, op string) *Error {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{Kind: Timeout, Op: op, Err: ctx.Err()}
	}
	return &Error{Kind: Canceled, Side: Downstream, Op: op, Err: ctx.Err()}
}

// Status returns the HTTP status that stands for the error.
func (e *Error) Status() int {
	switch e.Kind {
	case BadMessage:
		if e.Side == Upstream {
			return 502
		}
		return 400
	case TooLarge:
		if e.Side == Upstream {
			return 502
		}
		return 413
	case NoRoute:
		return 404
	case NoCluster, NoHost, Overload, Connect, Stopping:
		return 503
	case Reset:
		return 502
	case Timeout:
		return 504
	case Canceled:
		return 499
	case Denied:
		return 403
	}
	return 500
}
