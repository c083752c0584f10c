package layotto

import (
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// storeCode is the code of a failure of file and object stores: a name that is
// not configured is the request's mistake, whether others are or not.
func storeCode(e *capability.Error) codes.Code {
	switch e.Kind {
	case capability.NotConfigured, capability.UnknownComponent:
		return codes.InvalidArgument
	case capability.ETagMismatch: // a condition of the request
		return codes.FailedPrecondition
	}
	return commonCode(e)
}

// storeText is the text of a failure of file and object stores.
func storeText(e *capability.Error) string {
	switch e.Kind {
	case capability.NotConfigured, capability.UnknownComponent:
		return fmt.Sprintf("not supported store type: %s", e.Component)
	}
	return e.Cause()
}
