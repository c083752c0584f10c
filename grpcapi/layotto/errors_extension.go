package layotto

import (
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// extensionCode is the code of a failure of the extension services (cryption,
// email, phone, sms): a component that is not there is the caller's mistake.
func extensionCode(e *capability.Error) codes.Code {
	switch e.Kind {
	case capability.NotConfigured, capability.UnknownComponent:
		return codes.InvalidArgument
	}
	return commonCode(e)
}

func extensionText(e *capability.Error) string {
	switch e.Kind {
	case capability.NotConfigured, capability.UnknownComponent:
		return fmt.Sprintf("component not found. kind: %s , name: %s", e.Capability, e.Component)
	}
	return e.Cause()
}
