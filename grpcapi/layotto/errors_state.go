package layotto

import (
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// stateCode is the code of a failure of state.
func stateCode(e *capability.Error) codes.Code {
	switch e.Kind {
	case capability.NotConfigured:
		return codes.FailedPrecondition
	case capability.UnknownComponent:
		return codes.InvalidArgument
	case capability.ETagMismatch, capability.ETagInvalid, capability.Internal:
		// What the store itself objects to. Layotto passes it on as it is where
		// it hands over many keys at once, and has one code for transactions; the
		// details tell an etag mismatch apart there too.
		switch e.Op {
		case capability.StateBulkGet, capability.StateBulkDelete:
			return codes.Unknown
		case capability.StateTransact:
			return codes.Internal
		}
	}
	return commonCode(e)
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
	key := bounded(e.Key, maxFact)
	switch e.Op {
	case capability.StateGet:
		return fmt.Sprintf("fail to get %s from state store %s: %s", key, e.Component, e.Cause())
	case capability.StateSave:
		if e.Msg == "" && key != "" {
			return fmt.Sprintf("failed saving state in state store %s: key %q: %s", e.Component, key, e.Cause())
		}
		return fmt.Sprintf("failed saving state in state store %s: %s", e.Component, e.Cause())
	case capability.StateDelete:
		return fmt.Sprintf("failed deleting state with key %s: %s", key, e.Cause())
	case capability.StateTransact:
		return "error while executing state transaction: " + e.Cause()
	case capability.StateBulkGet:
		return fmt.Sprintf("fail to get keys from state store %s: %s", e.Component, e.Cause())
	case capability.StateBulkDelete:
		return fmt.Sprintf("failed deleting states in state store %s: %s", e.Component, e.Cause())
	}
	return e.Error()
}
