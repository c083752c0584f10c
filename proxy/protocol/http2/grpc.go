package http2

import (
	"errors"
	"strconv"
	"strings"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/semantics"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// The status codes of gRPC that a proxy gives.
const (
	grpcCanceled          = 1
	grpcDeadlineExceeded  = 4
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcUnimplemented     = 12
	grpcInternal          = 13
	grpcUnavailable       = 14
)

// grpcStatus returns the status of gRPC that stands for e. A stream that the
// host took back says by its code what happened.
func grpcStatus(e *stream.Error) int {
	if r, ok := errors.AsType[*ResetError](e); ok {
		switch xhttp2.ErrCode(r.Code) {
		case xhttp2.ErrCodeRefusedStream:
			return grpcUnavailable
		case xhttp2.ErrCodeCancel:
			return grpcCanceled
		case xhttp2.ErrCodeEnhanceYourCalm:
			return grpcResourceExhausted
		case xhttp2.ErrCodeInadequateSecurity:
			return grpcPermissionDenied
		}
		return grpcInternal
	}
	switch e.Kind {
	case stream.Timeout:
		return grpcDeadlineExceeded
	case stream.NoRoute:
		return grpcUnimplemented
	case stream.NoCluster, stream.NoHost, stream.Overload, stream.Connect, stream.Reset, stream.Stopping:
		return grpcUnavailable
	case stream.Canceled:
		return grpcCanceled
	case stream.TooLarge:
		return grpcResourceExhausted
	case stream.Denied:
		return grpcPermissionDenied
	}
	return grpcInternal
}

// grpcError is the answer for a failed call: a trailers-only one.
func grpcError(e *stream.Error, text string) *stream.Response {
	resp := &stream.Response{Status: 200}
	resp.Header.Add("content-type", "application/grpc")
	resp.Header.Add("grpc-status", strconv.Itoa(grpcStatus(e)))
	resp.Header.Add("grpc-message", grpcMessage(text))
	return resp
}

// grpcMessage percent-encodes what may not stand in grpc-message as it is.
func grpcMessage(text string) string {
	const hex = "0123456789ABCDEF"
	var s strings.Builder
	for i := 0; i < len(text); i++ {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			s.WriteByte('%')
			s.WriteByte(hex[c>>4])
			s.WriteByte(hex[c&15])
		} else {
			s.WriteByte(c)
		}
	}
	return strings.Trim(s.String(), " ")
}

// grpcTimeout parses a grpc-timeout: up to eight digits and a unit. 0 is none,
// or a malformed one, which the host may refuse.
func grpcTimeout(s string) time.Duration {
	if len(s) < 2 || len(s) > 9 {
		return 0
	}
	n, ok := semantics.ParseLength(s[:len(s)-1])
	if !ok {
		return 0
	}
	var unit time.Duration
	switch s[len(s)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0
	}
	const most = 1<<63 - 1
	if n > int64(most/unit) {
		return most
	}
	// A call whose time is over already still has a limit.
	return max(time.Duration(n)*unit, 1)
}
