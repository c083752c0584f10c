package layotto

import (
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// pubSubCode is the code of a failure of publishing or subscribing.
func pubSubCode(e *capability.Error) codes.Code {
	if e.Op == capability.PubSubSubscribe {
		// Layotto has one code for streams. That this runtime stops is new, and
		// worth telling apart: another one may take the stream.
		if e.Kind == capability.Unavailable {
			return codes.Unavailable
		}
		return codes.Unknown
	}
	switch e.Kind {
	case capability.NotConfigured, capability.UnknownComponent, capability.InvalidArgument:
		return codes.InvalidArgument
	case capability.NotSupported:
		if e.Op == capability.PubSubDelay && e.Err == nil {
			return codes.InvalidArgument // to Layotto it is no delay queue at all
		}
	case capability.TooLarge:
		return codes.ResourceExhausted
	}
	return codes.Internal
}

func pubSubText(e *capability.Error) string {
	unknown := e.Kind == capability.NotConfigured || e.Kind == capability.UnknownComponent
	switch e.Op {
	case capability.PubSubSubscribe:
		if unknown {
			return fmt.Sprintf("pubsub %s is not initialized.", e.Component)
		}
		return e.Cause()
	case capability.PubSubDelay:
		if unknown || e.Kind == capability.NotSupported && e.Err == nil {
			return fmt.Sprintf("component not found. kind: delay_queue , name: %s", e.Component)
		}
	}
	switch {
	case unknown:
		return fmt.Sprintf("pubsub %s not found", e.Component)
	case e.Kind == capability.InvalidArgument:
		return e.Cause()
	}
	return fmt.Sprintf("error when publish to topic %s in pubsub %s: %s", bounded(e.Key, maxFact), e.Component, e.Cause())
}
