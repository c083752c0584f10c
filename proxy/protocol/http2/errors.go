package http2

import (
	"context"
	"errors"
	"fmt"

	xhttp2 "golang.org/x/net/http2"
)

// connError ends a connection: the peer broke the protocol, or asks too much.
type connError struct {
	code   xhttp2.ErrCode
	reason string
}

func (e *connError) Error() string { return fmt.Sprintf("%s (%s)", e.reason, e.code) }

// streamError ends one stream.
type streamError struct {
	id     uint32
	code   xhttp2.ErrCode
	reason string
}

func (e *streamError) Error() string {
	return fmt.Sprintf("stream %d: %s (%s)", e.id, e.reason, e.code)
}

// ResetError is why an exchange failed when the peer took its stream back: the
// cause of a stream.Error of kind Reset or Canceled.
type ResetError struct {
	// Code is the error code of RFC 9113 section 7.
	Code uint32
}

// Error names the code.
func (e *ResetError) Error() string {
	return "the peer reset the stream with " + xhttp2.ErrCode(e.Code).String()
}

// resetCode is the code that tells the peer of err after a head was sent. What
// the other side of the core said of us is not passed on as if the peer had
// earned it.
func resetCode(err error) xhttp2.ErrCode {
	if r, ok := errors.AsType[*ResetError](err); ok {
		switch code := xhttp2.ErrCode(r.Code); code {
		case xhttp2.ErrCodeCancel, xhttp2.ErrCodeEnhanceYourCalm:
			return code
		}
	}
	if errors.Is(err, context.Canceled) {
		return xhttp2.ErrCodeCancel
	}
	return xhttp2.ErrCodeInternal
}

var (
	errCut      = errors.New("the peer ended the connection in the middle of the exchange")
	errClosed   = errors.New("the connection was closed")
	errGoAway   = errors.New("the host takes no more requests on this connection")
	errTimeUp   = errors.New("the time limit has passed")
	errStalled  = errors.New("the peer takes no bytes")
	errSilent   = errors.New("the peer does not answer")
	errIdle     = errors.New("nothing happened on the connection")
	errDone     = errors.New("the last exchange is over")
	errNoIDs    = errors.New("the connection has used up its stream ids")
	errAbandons = errors.New("the exchange is over")
)

// The two ways in which a body and its stated length differ.
var (
	errShortBody = errors.New("the body is shorter than its Content-Length")
	errLongBody  = errors.New("the body is longer than its Content-Length")
)

// errField is a field of our own making that cannot be written.
var errField = errors.New("a header field name or value has characters that HTTP does not allow")

// sourceError marks an error that came from the source of a body, not from
// the connection it was written to.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }
