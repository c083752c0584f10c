package layotto

import (
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// lockCode is the code of a failure of locks. What the store itself objects to
// has none of its own.
func lockCode(e *capability.Error) codes.Code {
	switch e.Kind {
	case capability.NotConfigured:
		return codes.FailedPrecondition
	case capability.UnknownComponent:
		return codes.InvalidArgument
	case capability.Internal:
		return codes.Unknown
	}
	return commonCode(e)
}

func lockText(e *capability.Error) string {
	switch e.Kind {
	case capability.NotConfigured:
		return "lock store is not configured"
	case capability.UnknownComponent:
		return fmt.Sprintf("lock store %s not found", e.Component)
	}
	return e.Cause()
}
