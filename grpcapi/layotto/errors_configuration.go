package layotto

import (
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// configurationCode is the code of a failure of configuration. Layotto has one for
// all that goes wrong at a store; the details tell more.
func configurationCode(e *capability.Error) codes.Code {
	switch e.Kind {
	case capability.InvalidArgument, capability.NotSupported, capability.TooLarge:
		return commonCode(e)
	case capability.Unavailable:
		if e.Err == nil { // this process, not a store: clients try another one
			return codes.Unavailable
		}
	}
	return codes.Unknown
}

func configurationText(e *capability.Error) string {
	switch e.Kind {
	case capability.NotConfigured, capability.UnknownComponent:
		return fmt.Sprintf("configure store [%s] don't support now", e.Component)
	}
	if e.Op == capability.ConfigurationGet {
		return "get configuration failed with error: " + e.Cause()
	}
	return e.Cause()
}
