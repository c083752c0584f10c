package tars

import (
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// noAttributes is the payload of a TUP answer without attributes: an empty map.
var noAttributes = [...]byte{typeMap, typeZero}

// Append implements frame.Codec. The answer to a heartbeat that is one-way is
// nothing at all.
func (Codec) Append(dst []byte, m *frame.Message) ([]byte, error) {
	start := len(dst)
	if len(m.Body) > math.MaxInt32-maxHead {
		return dst, tooLarge(errTooLong)
	}
	var err error
	switch m.Type {
	case frame.Request, frame.OneWay, frame.Heartbeat:
		dst, err = appendRequest(dst, m)
	case frame.Response, frame.HeartbeatReply:
		dst = appendAnswer(dst, m)
	case frame.GoAway:
		a := answer{version: versionTars, desc: reconnect}
		dst = a.append(dst, m)
	default:
		return dst, errors.ErrUnsupported
	}
	switch size := len(dst) - start; {
	case err != nil:
		return dst[:start], err
	case size-len(m.Body) > maxHead:
		return dst[:start], tooLarge(errHead)
	}
	return dst, nil
}

func tooLarge(err error) error {
	return &stream.Error{Kind: stream.TooLarge, Op: "build a tars frame", Err: err}
}

// appendRequest appends a RequestPacket.
func appendRequest(dst []byte, m *frame.Message) ([]byte, error) {
	start := len(dst)
	from, own := packetOf(m.Origin)
	if !own {
		from = packet{version: versionTars}
	}
	kind := int32(twoWay)
	if m.Type == frame.OneWay {
		kind = oneWay
	}
	servant, function := "", ping
	if m.Type != frame.Heartbeat {
		var ok bool
		if servant, ok = m.Header.Lookup(ServiceField); !ok {
			return dst, errService
		}
		function = methodOf(m)
	}
	timeout := from.timeout
	if !own || m.Timeout != m.Origin.Timeout {
		timeout = milliseconds(m.Timeout)
	}
	dst = append(dst, 0, 0, 0, 0)
	dst = appendInt(dst, 1, from.version)
	dst = appendInt(dst, 2, kind)
	dst = appendInt(dst, 3, from.message)
	dst = appendInt(dst, 4, int32(uint32(m.ID)))
	dst = appendString(dst, 5, servant)
	dst = appendString(dst, 6, function)
	dst = appendBytes(dst, 7, m.Body)
	dst = appendInt(dst, 8, timeout)
	dst = appendMap(dst, 9, m, inContext)
	dst = appendMap(dst, 10, m, inStatus)
	finish(dst, start)
	return dst, nil
}

// methodOf returns the function to call: that of the header field, unless
// Method was changed and the field was not.
func methodOf(m *frame.Message) string {
	if m.Origin != nil && m.Method != m.Origin.Method {
		return m.Method
	}
	if f, ok := m.Header.Lookup(MethodField); ok {
		return f
	}
	return m.Method
}

// milliseconds returns a limit as iTimeout has it.
func milliseconds(d time.Duration) int32 {
	switch ms := (d + time.Millisecond - 1) / time.Millisecond; {
	case d <= 0:
		return 0
	case d >= frame.Never || ms > math.MaxInt32:
		return -1
	default:
		return int32(ms)
	}
}

// answer is what is in an answer beside payload and maps.
type answer struct {
	version, message, ret int32
	desc                  string
	servant, function     []byte // for TUP
}

// appendAnswer appends the packet that answers m.Request.
func appendAnswer(dst []byte, m *frame.Message) []byte {
	a := answer{version: versionTars}
	if p, ok := packetOf(m.Origin); ok {
		a.version, a.message = p.version, p.message
	}
	if p, ok := packetOf(m.Request); ok {
		if p.kind == oneWay {
			return dst
		}
		a.version, a.servant, a.function = p.version, p.servant, p.function
		if m.Origin == nil {
			a.message = p.message
		}
	}
	if m.Type == frame.Response {
		a.ret = resultOf(m)
		a.desc = m.Header.Get(ResultField)
	}
	return a.append(dst, m)
}

// resultOf returns the code of an answer to be built.
func resultOf(m *frame.Message) int32 {
	_, own := packetOf(m.Origin)
	if m.Origin != nil && !own || m.Code == -1 || m.Code != int(int32(m.Code)) {
		return codeOf(m.Status)
	}
	return int32(m.Code)
}

// append appends the packet in the form that its version has.
func (a *answer) append(dst []byte, m *frame.Message) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = appendInt(dst, 1, a.version)
	dst = appendInt(dst, 2, twoWay)
	id := int32(uint32(m.ID))
	if a.version == versionTUP {
		body := m.Body
		if len(body) == 0 {
			body = noAttributes[:]
		}
		dst = appendInt(dst, 3, a.message)
		dst = appendInt(dst, 4, id)
		dst = appendString(dst, 5, string(a.servant))
		dst = appendString(dst, 6, string(a.function))
		dst = appendBytes(dst, 7, body)
		dst = appendInt(dst, 8, 0)
		dst = appendMap(dst, 9, m, inContext)
		dst = appendMap(dst, 10, m, inStatus, a.result()...)
	} else {
		dst = appendInt(dst, 3, id)
		dst = appendInt(dst, 4, a.message)
		dst = appendInt(dst, 5, a.ret)
		dst = appendBytes(dst, 6, m.Body)
		dst = appendMap(dst, 7, m, inStatus)
		dst = appendString(dst, 8, a.desc)
		dst = appendMap(dst, 9, m, inContext)
	}
	finish(dst, start)
	return dst
}

// result returns what the status map of an answer of TUP has besides.
func (a *answer) result() (list []stream.Field) {
	if a.ret != codeOK {
		list = append(list, stream.Field{Name: resultCode, Value: strconv.Itoa(int(a.ret))})
	}
	if a.desc != "" {
		list = append(list, stream.Field{Name: resultDesc, Value: a.desc})
	}
	return list
}

// place is the map that a header field goes to.
type place uint8

const (
	nowhere place = iota
	inContext
	inStatus
)

// placeOf returns where a field goes. Of those that stand for another part of
// the packet, the first does; more of that name come from the context map.
func placeOf(f stream.Field, special *[2]string) place {
	for i, name := range special {
		if name != "" && stream.EqualName(f.Name, name) {
			special[i] = ""
			return nowhere
		}
	}
	switch {
	case stream.EqualName(f.Name, frame.StatusField):
		return nowhere
	case len(f.Name) >= len(StatusPrefix) && stream.EqualName(f.Name[:len(StatusPrefix)], StatusPrefix):
		return inStatus
	}
	return inContext
}

// appendMap appends the map of the fields that go to want, and of more.
func appendMap(dst []byte, tag byte, m *frame.Message, want place, more ...stream.Field) []byte {
	special := [2]string{ResultField}
	if m.Type == frame.Request || m.Type == frame.OneWay {
		special = [2]string{ServiceField, MethodField}
	}
	n, left := len(more), special
	for i := range headerLen(m) {
		if placeOf(m.Header.At(i), &left) == want {
			n++
		}
	}
	dst = append(dst, tag<<4|typeMap)
	dst = appendInt(dst, 0, int32(n))
	left = special
	for i := range headerLen(m) {
		f := m.Header.At(i)
		if placeOf(f, &left) != want {
			continue
		}
		if want == inStatus {
			f.Name = f.Name[len(StatusPrefix):]
		}
		dst = appendPair(dst, f)
	}
	for _, f := range more {
		dst = appendPair(dst, f)
	}
	return dst
}

// headerLen returns how many fields m has; heartbeats may be without a header.
func headerLen(m *frame.Message) int {
	if m.Header == nil {
		return 0
	}
	return m.Header.Len()
}
