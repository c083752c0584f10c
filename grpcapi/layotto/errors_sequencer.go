package layotto

import (
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// sequencerCode is the code of a failure of sequencers. What the sequencer itself
// objects to has none of its own.
func sequencerCode(e *capability.Error) codes.Code {
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

func sequencerText(e *capability.Error) string {
	switch e.Kind {
	case capability.NotConfigured:
		return "Sequencer store is not configured"
	case capability.UnknownComponent:
		return fmt.Sprintf("Sequencer store %s not found", e.Component)
	}
	return e.Cause()
}
