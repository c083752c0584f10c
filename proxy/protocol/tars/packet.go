package tars

import (
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
)

// Values of iVersion and cPacketType.
const (
	versionTars = 1
	versionTUP  = 3
	versionJSON = 5
	twoWay      = 0
	oneWay      = 1
)

const (
	// lengthSize is the size of the length that a frame begins with.
	lengthSize = 4
	// ping is the function that asks whether a server is alive.
	ping = "tars_ping"
	// reconnect is what a server that goes away puts into sResultDesc of an
	// answer that nobody has asked for.
	reconnect = "_reconnect_"
	// Entries of the status map that hold the result of a call of TUP.
	resultCode = "STATUS_RESULT_CODE"
	resultDesc = "STATUS_RESULT_DESC"
)

var errMissing = errors.New("a field is missing")

// packet is what stands before and around the payload of a frame. Positions
// count from the start of the frame.
type packet struct {
	// request tells a RequestPacket from a ResponsePacket.
	request bool
	version int32
	kind    int32 // cPacketType
	message int32 // iMessageType
	id      int32
	// idStart and idEnd are where the field of the id is, with its head.
	idStart, idEnd int
	servant        []byte // only in requests, as are function and timeout
	function       []byte
	timeout        int32
	ret            int32 // only in answers
	start, end     int   // the payload
	// rest is where the maps begin, behind a field of the tag last.
	rest, last int
}

// idTag returns the tag of the id.
func (p *packet) idTag() byte {
	if p.request {
		return 4
	}
	return 3
}

// parse reads the packet in a frame as far as before the maps.
func parse(b []byte) (p packet, err error) {
	r := reader{b, lengthSize}
	var (
		ints   [5]int32 // by tag, as are starts and ends
		starts [5]int
		ends   [5]int
		seen   uint16
	)
	p.last, p.rest = -1, len(b)
	for r.more() {
		at := r.at
		tag, typ, err := r.head()
		if err != nil {
			return p, err
		}
		if tag <= p.last {
			return p, errOrder
		}
		// Behind tag 5 it is known which of the two packets this is.
		if tag > 8 || tag > 6 && !p.request {
			p.rest = at
			break
		}
		switch {
		case tag == 0:
			err = r.skip(typ, 0)
		case tag < 5:
			ints[tag], err = r.int(typ)
			starts[tag], ends[tag] = at, r.at
		case tag == 5 && (typ == typeString1 || typ == typeString4):
			p.request = true
			p.servant, err = r.string(typ)
		case tag == 5:
			p.ret, err = r.int(typ)
		case tag == 6 && p.request:
			p.function, err = r.string(typ)
		case tag == 8:
			p.timeout, err = r.int(typ)
		default: // 6 in an answer, 7 in a request
			var payload []byte
			payload, err = r.bytes(typ)
			p.start, p.end = r.at-len(payload), r.at
		}
		if err != nil {
			return p, err
		}
		p.last = tag
		seen |= 1 << tag
	}
	p.version, p.kind = ints[1], ints[2]
	p.id, p.message = ints[3], ints[4]
	if p.request {
		p.id, p.message = ints[4], ints[3]
	}
	id := p.idTag()
	p.idStart, p.idEnd = starts[id], ends[id]
	if seen&(1<<1) == 0 || seen&(1<<id) == 0 || seen&(1<<5) == 0 || p.start == 0 {
		return p, errMissing
	}
	return p, nil
}

// tail reads what comes behind the payload.
func (p *packet) tail(b []byte) tail { return tail{reader{b, p.rest}, p.last} }

// tail reads the fields behind the payload, one after the other.
type tail struct {
	reader
	last int
}

// next returns the tag and the type of the next field, whose value has to be
// read then; ok is false at the end.
func (t *tail) next() (tag int, typ byte, ok bool, err error) {
	if !t.more() {
		return 0, 0, false, nil
	}
	if tag, typ, err = t.head(); err != nil {
		return 0, 0, false, err
	}
	if tag <= t.last {
		return 0, 0, false, errOrder
	}
	t.last = tag
	return tag, typ, true, nil
}

// pairs begins a map of strings and returns how many entries it has.
func (t *tail) pairs(typ byte) (int, error) {
	if typ != typeMap {
		return 0, errType
	}
	return t.count()
}

// goesAway reports whether an answer is a server's good-bye.
func (p *packet) goesAway(b []byte) bool {
	if p.id != 0 {
		return false
	}
	for t := p.tail(b); ; {
		tag, typ, ok, err := t.next()
		if err != nil || !ok || tag > 8 {
			return false
		}
		if tag == 8 {
			s, err := t.string(typ)
			return err == nil && string(s) == reconnect
		}
		if t.skip(typ, 0) != nil {
			return false
		}
	}
}

// result returns the result in an answer of TUP.
func (p *packet) result(b []byte) int32 {
	for t := p.tail(b); ; {
		tag, typ, ok, err := t.next()
		switch {
		case err != nil:
			return codeUnknown
		case !ok:
			return codeOK
		case tag == 10:
			n, err := t.pairs(typ)
			for ; err == nil && n > 0; n-- {
				var k, v []byte
				if k, v, err = t.pair(); err == nil && string(k) == resultCode {
					return number(v)
				}
			}
			if err != nil {
				return codeUnknown
			}
			return codeOK
		}
		if t.skip(typ, 0) != nil {
			return codeUnknown
		}
	}
}

// number reads a result in decimal.
func number(b []byte) int32 {
	const longest = len("-2147483648")
	if len(b) > longest {
		return codeUnknown
	}
	n, err := strconv.ParseInt(string(b), 10, 32)
	if err != nil {
		return codeUnknown
	}
	return int32(n)
}

// packetOf returns the packet that m was read from, if m is of this protocol.
func packetOf(m *frame.Message) (packet, bool) {
	if m == nil || m.Codec() != frame.Codec(Codec{}) {
		return packet{}, false
	}
	p, err := parse(m.Frame)
	return p, err == nil
}

// finish puts the length into the frame that begins at start.
func finish(dst []byte, start int) {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start))
}
