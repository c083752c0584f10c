package layotto

import (
	"fmt"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// bindingText is the text of a failure of bindings. Its code is INTERNAL for
// everything, also for what the caller did wrong; the details tell.
func bindingText(e *capability.Error) string {
	cause := e.Cause()
	switch e.Kind {
	case capability.NotConfigured, capability.UnknownComponent:
		cause = fmt.Sprintf("couldn't find output binding %s", e.Component)
	}
	return fmt.Sprintf("error when invoke output binding %s: %s", e.Component, cause)
}
