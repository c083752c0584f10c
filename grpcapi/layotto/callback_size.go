package layotto

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// usualLimit is the largest message that implementations of gRPC receive if nobody has
// told them otherwise, in bytes.
const usualLimit = 4 << 20

// tooLargeTexts are how implementations of gRPC say that a message is larger than they
// take; the first group is the limit, if they say it. An application's own error with
// the same code does not read so.
var tooLargeTexts = []*regexp.Regexp{
	regexp.MustCompile(`(?i)larger than max \(\d+ vs\.? (\d+)\)`),                    // Go, and what is made of C; Node
	regexp.MustCompile(`(?i)exceeds maximum size (\d+)`),                             // Java
	regexp.MustCompile(`(?i)message length too large.*limit is:? (\d+)`),             // Rust
	regexp.MustCompile(`(?i)exceeds the maximum configured message size`),            // .NET
	regexp.MustCompile(`(?i)received message.* larger than (?:the )?max(?: (\d+))?`), // Go, of what was compressed
}

// tooLarge tells whether a call with a message of this size failed because the other
// side's gRPC does not take it, so that its application has not seen it; nil: that is
// not the reason.
func tooLarge(ctx context.Context, err error, size int) *capability.TooLargeError {
	s := status.Convert(err)
	switch s.Code() {
	case codes.ResourceExhausted, codes.OutOfRange:
		for _, text := range tooLargeTexts {
			found := text.FindStringSubmatch(s.Message())
			if found == nil {
				continue
			}
			big := &capability.TooLargeError{Size: int64(size), Err: err}
			if len(found) > 1 {
				big.Limit, _ = strconv.ParseInt(found[1], 10, 64)
			}
			if big.Limit >= big.Size {
				return nil // it is something else that is too large
			}
			return big
		}
	case codes.Canceled, codes.Internal:
		// Some have no answer but to end the call.
		if size > usualLimit && ctx.Err() == nil && strings.Contains(s.Message(), "RST_STREAM") {
			return &capability.TooLargeError{Size: int64(size), Suspected: true, Err: err}
		}
	}
	return nil
}
