package transcoder

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"strings"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

var (
	// errCoding is a body in a coding that is not known here.
	errCoding = errors.New("the body is in a Content-Encoding other than gzip")
	errTimes  = fmt.Errorf("the body is compressed more than %d times", mostTimes)
)

// mostTimes is how often a body may have been compressed: there are bodies that
// unpack to themselves, for as long as one goes on.
const mostTimes = 3

// plainly returns the body of an HTTP message without its Content-Encoding, which
// means nothing in other protocols. It may have up to limit bytes then.
func plainly(h *stream.Header, body []byte, limit int64) ([]byte, error) {
	times := 0 // that it was compressed
	for name, value := range h.All() {
		if !stream.EqualName(name, "Content-Encoding") {
			continue
		}
		for coding := range strings.SplitSeq(value, ",") {
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "", "identity":
			case "gzip", "x-gzip":
				times++
			default:
				return nil, errCoding
			}
		}
	}
	if times > mostTimes {
		return nil, errTimes
	}
	var err error
	for ; times > 0 && err == nil; times-- {
		body, err = unzip(body, limit)
	}
	return body, err
}

// unzip returns what was compressed by gzip.
func unzip(body []byte, limit int64) ([]byte, error) {
	if len(body) == 0 {
		return body, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return readAll(z, -1, limit)
}

// unpackRequest is plainly for the caller's body.
func (x *exchange) unpackRequest(body []byte) ([]byte, error) {
	body, err := plainly(&x.req.Header, body, x.limit)
	switch {
	case err == nil:
		return body, nil
	case errors.Is(err, errLong):
		return nil, refuse(413, "unpacked, the body has more than %d bytes, which is the max_body_size", x.limit)
	case errors.Is(err, errCoding), errors.Is(err, errTimes):
		return nil, refuse(415, "%v", err)
	}
	return nil, refuse(400, "the body is no gzip: %v", err)
}

// unpackAnswer is plainly for the host's.
func (x *exchange) unpackAnswer(resp *stream.Response, body []byte) ([]byte, error) {
	body, err := plainly(&resp.Header, body, x.limit)
	switch {
	case err == nil:
		return body, nil
	case errors.Is(err, errLong):
		return nil, refuse(502, "unpacked, the answer has more than %d bytes, which is the max_body_size", x.limit)
	}
	return nil, refuse(502, "the answer cannot be unpacked: %v", err)
}
