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

// codeOf returns the code that Layotto answers this failure with. What is the same
// everywhere is here; the rest is said beside each capability's methods.
func codeOf(e *capability.Error) codes.Code {
	switch e.Kind {
	case capability.Deadline:
		return codes.DeadlineExceeded
	case capability.Canceled:
		return codes.Canceled
	}
	switch e.Capability {
	case capability.ConfigurationName:
		return configurationCode(e)
	case capability.StateName:
		return stateCode(e)
	case capability.LockName:
		return lockCode(e)
	case capability.SequencerName:
		return sequencerCode(e)
	case capability.PubSubName:
		return pubSubCode(e)
	case capability.FileName, capability.ObjectsName:
		return storeCode(e)
	case capability.SecretName:
		return secretCode(e)
	case capability.BindingName:
		return codes.Internal
	case capability.CryptionName, capability.EmailName, capability.PhoneName, capability.SMSName:
		return extensionCode(e)
	}
	return commonCode(e)
}

// commonCode is the code for capabilities that say nothing else.
func commonCode(e *capability.Error) codes.Code {
	switch e.Kind {
	case capability.InvalidArgument:
		return codes.InvalidArgument
	case capability.NotSupported:
		return codes.Unimplemented
	case capability.Unavailable, capability.CalleeStatus:
		return codes.Unavailable
	case capability.TooLarge:
		return codes.ResourceExhausted
	case capability.NotFound:
		return codes.NotFound
	case capability.Exists:
		return codes.AlreadyExists
	case capability.PermissionDenied:
		return codes.PermissionDenied
	case capability.Expired:
		return codes.DataLoss
	case capability.ETagMismatch:
		return codes.Aborted
	case capability.ETagInvalid:
		return codes.InvalidArgument
	case capability.Internal:
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
	case capability.ConfigurationName:
		return configurationText(e)
	case capability.StateName:
		return stateText(e)
	case capability.LockName:
		return lockText(e)
	case capability.SequencerName:
		return sequencerText(e)
	case capability.PubSubName:
		return pubSubText(e)
	case capability.FileName, capability.ObjectsName:
		return storeText(e)
	case capability.SecretName:
		return secretText(e)
	case capability.BindingName:
		return bindingText(e)
	case capability.LifecycleName:
		return e.Cause()
	case capability.CryptionName, capability.EmailName, capability.PhoneName, capability.SMSName:
		return extensionText(e)
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
