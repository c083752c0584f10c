package layotto

import (
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// secretCode is the code of a failure of secrets.
func secretCode(e *capability.Error) codes.Code {
	switch e.Kind {
	case capability.NotConfigured:
		return codes.FailedPrecondition
	case capability.UnknownComponent:
		return codes.InvalidArgument
	case capability.NotFound:
		return codes.Internal // as for everything else that a store says
	}
	return commonCode(e)
}

func secretText(e *capability.Error) string {
	switch e.Kind {
	case capability.NotConfigured:
		return "error when get secret but not find configured"
	case capability.UnknownComponent:
		return fmt.Sprintf("failed finding secret store with key %s", e.Component)
	case capability.NotSupported:
		return e.Cause()
	}
	if e.Op == capability.SecretGetBulk {
		return fmt.Sprintf("failed getting secrets from secret store %s: %s", e.Component, e.Cause())
	}
	return fmt.Sprintf("failed getting secret with key %s from secret store %s: %s", bounded(e.Key, maxFact), e.Component, e.Cause())
}
