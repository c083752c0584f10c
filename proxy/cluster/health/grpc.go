package health

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// mostAnswer is the most bytes of an answer that are read. A good one has 7.
const mostAnswer = 4 << 10

// What grpc.health.v1 consists of, as far as it is used here.
const (
	methodPath   = "/grpc.health.v1.Health/Check"
	fieldService = 1 // of HealthCheckRequest
	fieldStatus  = 1 // of HealthCheckResponse
	stateServing = 1
)

// states are the names of what a HealthCheckResponse can say.
var states = [...]string{0: "UNKNOWN", stateServing: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}

// call makes req a call of grpc.health.v1.Health/Check.
func (c *Check) call(req *stream.Request) {
	message := make([]byte, 5, 16+len(c.service))
	if c.service != "" {
		message = protowire.AppendTag(message, fieldService, protowire.BytesType)
		message = protowire.AppendString(message, c.service)
	}
	binary.BigEndian.PutUint32(message[1:5], uint32(len(message)-5))
	req.Method, req.Path = http.MethodPost, methodPath
	req.Header.Add("content-type", "application/grpc")
	req.Header.Add("te", "trailers")
	req.Header.Add("grpc-timeout", strconv.FormatInt(max(1, min(c.timeout.Milliseconds(), 99999999)), 10)+"m")
	req.Body, req.ContentLength = body{bytes.NewReader(message)}, int64(len(message))
}

// body is a body that is at hand.
type body struct{ *bytes.Reader }

// Close implements io.Closer.
func (body) Close() error { return nil }

// Ready implements stream.Ready.
func (body) Ready() bool { return true }

// serving reports, as nil, that an answer says SERVING.
func serving(resp *stream.Response) error {
	if resp.Status != http.StatusOK {
		return fmt.Errorf("status %d", resp.Status)
	}
	if t := resp.Header.Get("content-type"); !strings.HasPrefix(strings.ToLower(t), "application/grpc") {
		return fmt.Errorf("the answer is not gRPC but %q", clip(t))
	}
	var message []byte
	if resp.Body != nil {
		var err error
		if message, err = io.ReadAll(io.LimitReader(resp.Body, mostAnswer+1)); err != nil {
			return err
		}
		if len(message) > mostAnswer {
			return fmt.Errorf("the answer is longer than %d bytes", mostAnswer)
		}
	}
	status, text := resp.Trailer.Get("grpc-status"), resp.Trailer.Get("grpc-message")
	if status == "" { // there are no trailers but the head
		status, text = resp.Header.Get("grpc-status"), resp.Header.Get("grpc-message")
	}
	if status != "0" {
		return refused(status, text)
	}
	state, err := parseAnswer(message)
	if err != nil {
		return err
	}
	switch {
	case state == stateServing:
		return nil
	case state < uint64(len(states)):
		return fmt.Errorf("the host says %s", states[state])
	}
	return fmt.Errorf("the host says %d, which means nothing", state)
}

// refused explains an answer with another status than OK.
func refused(status, text string) error {
	n, err := strconv.ParseUint(status, 10, 8)
	if err != nil {
		return fmt.Errorf("the answer has no status of gRPC (%q)", clip(status))
	}
	switch codes.Code(n) {
	case codes.Unimplemented:
		return errors.New("the host has no grpc.health.v1.Health service (Unimplemented)")
	case codes.NotFound:
		return errors.New("the host does not know the service (NotFound)")
	}
	return fmt.Errorf("the host answers %v: %q", codes.Code(n), clip(text))
}

// clip shortens what a host said.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// parseAnswer reads the one message of an answer and returns the state in it.
func parseAnswer(b []byte) (state uint64, err error) {
	malformed := errors.New("the answer is malformed")
	if len(b) < 5 || b[0] != 0 || uint64(binary.BigEndian.Uint32(b[1:])) != uint64(len(b)-5) {
		return 0, malformed
	}
	for b = b[5:]; len(b) > 0; {
		number, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, malformed
		}
		b = b[n:]
		if number == fieldStatus && typ == protowire.VarintType {
			state, n = protowire.ConsumeVarint(b)
		} else {
			n = protowire.ConsumeFieldValue(number, typ, b)
		}
		if n < 0 {
			return 0, malformed
		}
		b = b[n:]
	}
	return state, nil
}
