package layotto

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

const (
	// errorDomain is the domain of the ErrorInfo in every error's details.
	errorDomain = "ottavo"

	// Text and details travel in the trailers, for which many clients have no
	// more than 8 KiB; whoever asks for a key of a megabyte shall learn that it
	// failed all the same. All limits are in bytes.

	maxText            = 1<<10 + 256 // an error's text
	maxBodyInText      = 1 << 10     // a service's answer in the text
	maxFact            = 256         // a name or a key in the details
	maxHeaderInDetails = 2 << 10     // a service's headers in the details
)

// toStatus is where errors become what clients see: every method returns its
// error through it.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	e, ok := capability.AsError(err)
	if !ok {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return status.FromContextError(err).Err()
		}
		return status.Error(codes.Unknown, bounded(err.Error(), maxText))
	}
	s := status.New(codeOf(e), bounded(textOf(e), maxText))
	if detailed, err := s.WithDetails(infoOf(e)); err == nil {
		s = detailed
	}
	return s.Err()
}

// codeOf returns the code that Layotto answers this failure with.
func codeOf(e *capability.Error) codes.Code {
	switch e.Kind {
	case capability.Deadline:
		return codes.DeadlineExceeded
	case capability.Canceled:
		return codes.Canceled
	case capability.NotConfigured:
		if e.Capability == capability.StateName {
			return codes.FailedPrecondition
		}
		return codes.Unknown
	case capability.UnknownComponent:
		if e.Capability == capability.StateName {
			return codes.InvalidArgument
		}
		return codes.Unknown
	case capability.InvalidArgument:
		return codes.InvalidArgument
	case capability.IllegalKey:
		return codes.Unknown
	case capability.NotSupported:
		return codes.Unimplemented
	case capability.Unavailable, capability.CalleeStatus:
		return codes.Unavailable
	case capability.TooLarge:
		return codes.ResourceExhausted
	case capability.ETagMismatch, capability.ETagInvalid, capability.Internal:
		// What the store itself objects to. Layotto passes it on as it is where
		// it hands over many keys at once, and has one code for transactions; the
		// details tell an etag mismatch apart there too.
		switch {
		case e.Op == capability.StateBulkGet || e.Op == capability.StateBulkDelete:
			return codes.Unknown
		case e.Op == capability.StateTransact:
			return codes.Internal
		case e.Kind == capability.ETagMismatch:
			return codes.Aborted
		case e.Kind == capability.ETagInvalid:
			return codes.InvalidArgument
		}
		return codes.Internal
	}
	return codes.Unknown
}

// textOf returns the text, in the words that Layotto's clients may compare with.
func textOf(e *capability.Error) string {
	switch e.Capability {
	case capability.HelloName:
		switch e.Kind {
		case capability.NotConfigured, capability.UnknownComponent:
			return "no instance found"
		}
		return e.Cause()
	case capability.RPCName:
		return rpcText(e)
	case capability.StateName:
		return stateText(e)
	}
	return e.Error()
}

func stateText(e *capability.Error) string {
	switch e.Kind {
	case capability.NotConfigured:
		return "state store is not configured"
	case capability.UnknownComponent:
		return fmt.Sprintf("state store %s is not found", e.Component)
	case capability.NotSupported, capability.InvalidArgument, capability.IllegalKey:
		if e.Err == nil { // found before the store was asked: Msg says it all
			return e.Cause()
		}
	}
	switch e.Op {
	case capability.StateGet:
		return fmt.Sprintf("fail to get %s from state store %s: %s", e.Key, e.Component, e.Cause())
	case capability.StateSave:
		if e.Msg == "" && e.Key != "" {
			return fmt.Sprintf("failed saving state in state store %s: key %q: %s", e.Component, e.Key, e.Cause())
		}
		return fmt.Sprintf("failed saving state in state store %s: %s", e.Component, e.Cause())
	case capability.StateDelete:
		return fmt.Sprintf("failed deleting state with key %s: %s", e.Key, e.Cause())
	case capability.StateTransact:
		return "error while executing state transaction: " + e.Cause()
	case capability.StateBulkGet:
		return fmt.Sprintf("fail to get keys from state store %s: %s", e.Component, e.Cause())
	case capability.StateBulkDelete:
		return fmt.Sprintf("failed deleting states in state store %s: %s", e.Component, e.Cause())
	}
	return e.Error()
}

func rpcText(e *capability.Error) string {
	switch e.Kind {
	case capability.NotConfigured, capability.UnknownComponent:
		return "invoker not init"
	case capability.CalleeStatus:
		if resp := answer(e); resp != nil {
			return fmt.Sprintf("http response code %d, body: %s", resp.Status, capability.Excerpt(resp.Data, maxBodyInText))
		}
	}
	return e.Cause()
}

// answer returns the service's answer that e is about, or nil.
func answer(e *capability.Error) *rpc.Response {
	if r, ok := rpc.AsError(e.Err); ok {
		return r.Response
	}
	return nil
}

// infoOf returns the details of an error.
func infoOf(e *capability.Error) *errdetails.ErrorInfo {
	facts := map[string]string{"capability": string(e.Capability)}
	if e.Component != "" {
		facts["component"] = bounded(e.Component, maxFact)
	}
	if e.Key != "" {
		facts["key"] = bounded(e.Key, maxFact)
	}
	if e.Kind == capability.UnknownComponent {
		facts["configured"] = bounded(strings.Join(e.Known, ", "), maxFact)
	}
	if resp := answer(e); resp != nil {
		facts["http.status"] = strconv.Itoa(resp.Status)
		if resp.ContentType != "" {
			facts["http.content_type"] = bounded(resp.ContentType, maxFact)
		}
		addHeaders(facts, resp.Header)
	}
	return &errdetails.ErrorInfo{Reason: e.Kind.String(), Domain: errorDomain, Metadata: facts}
}

// addHeaders adds a service's headers to the facts as "http.header.<name>", the
// values of one name joined with ", ", as many as may be.
func addHeaders(facts map[string]string, header []rpc.Pair) {
	room := maxHeaderInDetails
	for _, h := range header {
		name, value := "http.header."+strings.ToLower(valid(h.Name)), valid(h.Value)
		size := len(name) + len(value)
		earlier, repeated := facts[name]
		if repeated {
			size, value = len(value)+2, earlier+", "+value
		}
		if size > room {
			continue
		}
		room -= size
		facts[name] = value
	}
}

// valid makes text fit for a protobuf string.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// bounded makes text fit for a protobuf string and cuts it off after limit bytes.
func bounded(s string, limit int) string {
	if len(s) <= limit {
		return valid(s)
	}
	return capability.Excerpt([]byte(s[:limit+1]), limit)
}
