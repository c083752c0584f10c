package dubbo

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Statuses of answers. The body of one that is not StatusOK is a message.
const (
	StatusOK              = 20
	StatusClientTimeout   = 30
	StatusServerTimeout   = 31
	StatusBadRequest      = 40
	StatusBadResponse     = 50
	StatusServiceNotFound = 60
	StatusServiceError    = 70
	StatusServerError     = 80
	StatusClientError     = 90
	StatusServerExhausted = 100
)

// maxText is how much of a text that is no Dubbo answer is told to a caller.
const maxText = 4 << 10

// httpStatus is the HTTP status that an answer stands for: what its status says,
// or, more exactly, its message if that is one of Failure.
func httpStatus(code int, in byte, body []byte) int {
	if code == StatusOK {
		return 200
	}
	if n := MessageStatus(message(in, body)); n > 0 && codeOf(Number(n)) == code {
		return n
	}
	switch code {
	case StatusClientTimeout, StatusServerTimeout:
		return 504
	case StatusBadRequest:
		return 400
	case StatusServiceNotFound:
		return 404
	case StatusServerExhausted:
		return 503
	}
	return 500
}

// message returns what the body of an answer begins with, if that is text.
func message(in byte, body []byte) []byte {
	switch {
	case in == fastjson && len(body) > 0:
		return body[1:]
	case in == hessian2:
		s := scanner{b: body}
		if n, _ := s.piece(); n >= 0 {
			return body[s.i:]
		}
	}
	return nil
}

// MessageStatus returns the HTTP status that a text of Failure or FailureStatus
// begins with; 0 if it is none of them.
func MessageStatus(text []byte) int {
	if len(text) < 4 || text[3] != '|' {
		return 0
	}
	n := 0
	for _, c := range text[:3] {
		if c < '0' || c > '9' {
			return 0
		}
		n = 10*n + int(c-'0')
	}
	switch {
	case n == 509:
		return 429
	case n < 400 || n > 599:
		return 0
	}
	return n
}

// Failure says what the caller of an RPC protocol is told about an error: a
// number, which is mostly an HTTP status, and a text that begins with it. Both
// are those of MOSN's.
func Failure(e *stream.Error) (number int, text string) {
	switch e.Kind {
	case stream.BadMessage, stream.TooLarge:
		number = 0
	case stream.NoRoute:
		number = 404
	case stream.NoCluster, stream.NoHost, stream.Connect, stream.Reset, stream.Stopping:
		number = 502
	case stream.Overload:
		number = 503
	case stream.Timeout:
		number = 504
	case stream.Denied:
		number = 403
	default:
		number = 500
	}
	return number, strconv.Itoa(number) + "|" + words(number)
}

// FailureStatus does what Failure does, for an answer with an HTTP status above
// 399. The text is body, where that is one.
func FailureStatus(status int, body []byte) (number int, text string) {
	number = Number(status)
	if len(body) == 0 || !utf8.Valid(body) {
		return number, strconv.Itoa(number) + "|" + words(number)
	}
	return number, strconv.Itoa(status) + "|" + shorten(body)
}

// Number is the number of FailureStatus.
func Number(status int) int {
	switch status {
	case 400, 413, 431:
		return 0
	case 401, 403:
		return 403
	case 404, 502, 503, 504:
		return status
	case 408:
		return 504
	case 429, 509:
		return 509
	}
	return 500
}

// shorten returns what of a text is told.
func shorten(text []byte) string {
	if len(text) <= maxText {
		return string(text)
	}
	end := maxText
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return string(text[:end])
}

// words are what is said beside a number.
func words(number int) string {
	switch number {
	case 0:
		return "codec exception"
	case 403:
		return "permission denied"
	case 404:
		return "router unavailable"
	case 502:
		return "no health upstream"
	case 503:
		return "upstream overflow"
	case 504:
		return "timeout"
	case 509:
		return "limit exceeded"
	}
	return "internal error"
}

// codeOf is the status of Dubbo's for a number of Failure.
func codeOf(number int) int {
	switch number {
	case 403:
		return StatusServerError
	case 404, 502:
		return StatusServiceNotFound
	case 503, 509:
		return StatusBadRequest
	case 504:
		return StatusClientTimeout
	}
	return StatusServiceError
}

// appendText appends a string value in one of the serialisations we can write.
func appendText(dst []byte, in byte, text string) []byte {
	if in == fastjson {
		b, _ := json.Marshal(text) // of a string it cannot fail
		return append(append(dst, b...), '\n')
	}
	return appendString(dst, text)
}
