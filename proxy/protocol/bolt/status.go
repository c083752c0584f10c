package bolt

import (
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Statuses of answers.
const (
	Success              = 0
	Error                = 1
	ServerException      = 2
	Unknown              = 3
	ServerBusy           = 4
	CommunicationError   = 5
	NoProcessor          = 6
	Timeout              = 7
	ClientSendError      = 8
	CodecException       = 9
	ConnectionClosed     = 16
	SerializeException   = 17
	DeserializeException = 18
)

// httpStatus returns the HTTP status that a status stands for.
func httpStatus(code int) int {
	switch code {
	case Success:
		return 200
	case ServerBusy:
		return 503
	case Timeout:
		return 504
	case ConnectionClosed:
		return 502
	}
	return 500
}

// refused reports whether a status blames the call: nobody serves what it asks for,
// or it cannot be read. All of these stand for 500, as MOSN's do, which retries and
// access logs go by.
func refused(code int) bool {
	return code == NoProcessor || code == CodecException || code == DeserializeException
}

// statusOf returns the status for an HTTP status: that of an answer that was
// made on the way, or came by another protocol.
func (c Codec) statusOf(status int) int {
	switch {
	case status >= 200 && status < 400:
		return Success
	case status == 404, status == 502:
		return NoProcessor
	case status == 503:
		return ServerBusy
	case status == 504:
		return Timeout
	case status == 400:
		return CodecException
	case status == 403, status == 401:
		return c.denied()
	}
	return Unknown
}

// denied: only version 1 has a status for it.
func (c Codec) denied() int {
	if c.v2 {
		return Unknown
	}
	return ServerException
}

// Reply implements frame.Codec.
func (c Codec) Reply(req *frame.Message, e *stream.Error) frame.Message {
	if e == nil {
		return frame.Message{Type: frame.HeartbeatReply}
	}
	if f := own(req); f != nil {
		c.v2 = f[0] == code2
	}
	return frame.Message{Type: frame.Response, Code: c.failure(e)}
}

// failure returns the status for an exchange that failed on the way.
func (c Codec) failure(e *stream.Error) int {
	switch e.Kind {
	case stream.NoRoute, stream.NoCluster, stream.NoHost, stream.Connect, stream.Reset:
		return NoProcessor
	case stream.Overload, stream.Stopping:
		return ServerBusy
	case stream.Timeout:
		return Timeout
	case stream.BadMessage, stream.TooLarge:
		return CodecException
	case stream.Denied:
		return c.denied()
	}
	return Unknown
}
