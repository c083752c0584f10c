package ottavo

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrConflict is what errors.Is finds in the error of a write whose etag is no
// longer the item's, or of a first write that came second. Nothing was written;
// read the item again and decide anew.
var ErrConflict = errors.New("ottavo: the item was changed by another writer")

// ErrNotFound is what errors.Is finds in the error of a call about something that
// is not there: a file, an object, a binding's record. An item of a state store
// that is not there is no error.
var ErrNotFound = errors.New("ottavo: there is no such thing")

// Error is a call that failed. errors.Is knows it as ErrConflict, ErrNotFound,
// context.DeadlineExceeded or context.Canceled where it is one; the functions
// Code and FromError of gRPC's package status work on it, too.
type Error struct {
	// Call is the method of the API, such as "SaveState".
	Call string
	// Code is the gRPC code.
	Code codes.Code
	// Reason is the kind of failure as a word for programs, such as
	// "ETAG_MISMATCH", "UNKNOWN_COMPONENT" or "CALLEE_STATUS". It is "" when the
	// runtime gave none, and when the call never reached it.
	Reason string
	// Message says what failed, in words for people.
	Message string
	// HTTPStatus is the status of a service that answered with another one than
	// 2xx; otherwise 0.
	HTTPStatus int
	// Details are the facts that came along: "component", "key", "configured",
	// "http.status", "http.header.<name>", … nil when there are none.
	Details map[string]string

	status *status.Status
}

// Error returns the whole failure in words.
func (e *Error) Error() string {
	return fmt.Sprintf("ottavo: %s: %s: %s", e.Call, e.Code, e.Message)
}

// GRPCStatus returns the status as the runtime sent it.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// Is reports whether e is target in other words.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrConflict:
		return e.Code == codes.Aborted || e.Reason == "ETAG_MISMATCH"
	case ErrNotFound:
		return e.Code == codes.NotFound
	case context.DeadlineExceeded:
		return e.Code == codes.DeadlineExceeded
	case context.Canceled:
		return e.Code == codes.Canceled
	}
	return false
}

// failed makes the error of a call from gRPC's; nil stays nil.
func failed(call string, err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	e := &Error{Call: call, Code: s.Code(), Message: s.Message(), status: s}
	for _, d := range s.Details() {
		info, ok := d.(*errdetails.ErrorInfo)
		if !ok {
			continue
		}
		e.Reason, e.Details = info.GetReason(), info.GetMetadata()
		e.HTTPStatus, _ = strconv.Atoi(e.Details["http.status"]) // absent: 0
		break
	}
	return e
}
