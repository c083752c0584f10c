package tars

import (
	"net/http"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Values of iRet that Tars itself gives a meaning. Others are the servants' own.
const (
	codeOK           = 0
	codeDecode       = -1
	codeNoFunction   = -3
	codeNoServant    = -4
	codeQueueTimeout = -6
	codeTimeout      = -7
	codeConnect      = -8
	codeOverload     = -9
	codeNoAdapter    = -10
	codeUnknown      = -99
)

// statusOf returns the HTTP status that a code stands for.
func statusOf(code int32) int {
	switch code {
	case codeOK:
		return http.StatusOK
	case codeDecode:
		return http.StatusBadRequest
	case codeNoFunction, codeNoServant:
		return http.StatusNotFound
	case codeQueueTimeout, codeTimeout:
		return http.StatusGatewayTimeout
	case codeConnect, codeNoAdapter:
		return http.StatusBadGateway
	case codeOverload:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// codeOf returns the code that stands for an HTTP status.
func codeOf(status int) int32 {
	switch status {
	case http.StatusBadRequest:
		return codeDecode
	case http.StatusNotFound:
		return codeNoServant
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return codeTimeout
	case http.StatusBadGateway:
		return codeConnect
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, 509: // bandwidth limit exceeded
		return codeOverload
	}
	if status >= 200 && status < 400 {
		return codeOK
	}
	return codeUnknown
}

// codeFor returns the code for a call that failed on the way. It tells hosts
// that cannot be reached from limits, which have one HTTP status.
func codeFor(e *stream.Error) int32 {
	switch e.Kind {
	case stream.NoCluster, stream.NoHost, stream.Connect:
		return codeConnect
	}
	return codeOf(e.Status())
}

// Reply implements frame.Codec. Callers learn what kind of failure it was, and
// nothing of the hosts behind us.
func (Codec) Reply(_ *frame.Message, e *stream.Error) frame.Message {
	if e == nil {
		return frame.Message{Type: frame.HeartbeatReply}
	}
	h := new(stream.Header)
	h.Add(ResultField, e.Kind.String())
	code := codeFor(e)
	return frame.Message{Type: frame.Response, Code: int(code), Status: statusOf(code), Header: h}
}
