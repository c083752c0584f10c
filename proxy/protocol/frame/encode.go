package frame

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"sync"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

var (
	errShort = errors.New("the body is shorter than its length")
	errLong  = errors.New("the body is longer than its length")
)

// outgoing is a message on its way out: what a handler was given or has answered.
type outgoing struct {
	codec Codec
	limit int // most bytes in a body
	// native is what it was read from, if it was a frame.
	native *Message
	// same: the frame is good as it is, but for the id and perhaps the body.
	same bool
	body io.Reader // nil if there is none
	// read: body was read to scratch.
	read    bool
	scratch *[]byte
	// code is an answer's own status, if that is known already.
	code string
	m    Message
}

var scratches = sync.Pool{New: func() any { return new([]byte) }}

// maxScratch is the largest scratch memory that is kept.
const maxScratch = 256 << 10

// nativeOf returns the message that native is, or nil.
func nativeOf(native any) *Message {
	m, _ := native.(*Message)
	return m
}

// request prepares req to be sent. Reading its body may take a while.
func (o *outgoing) request(req *stream.Request) error {
	kind := Request
	if req.OneWay {
		kind = OneWay
	}
	o.native = nativeOf(req.Native)
	o.same = o.native != nil && o.native.codec == o.codec && o.native.Type == kind &&
		o.native.Method == req.Method && o.native.untouched(&req.Header)
	o.m = Message{Type: kind, Method: req.Method, Header: &req.Header, Timeout: req.Timeout, Origin: o.native}
	return o.take(req.Body, req.ContentLength)
}

// response prepares the answer to a request.
func (o *outgoing) response(resp *stream.Response, to *Message) error {
	o.native = nativeOf(resp.Native)
	o.same = o.native != nil && o.native.codec == o.codec && o.native.Type == Response &&
		o.native.Status == resp.Status && o.native.untouched(&resp.Header)
	o.m = Message{Type: Response, Status: resp.Status, Header: &resp.Header, Origin: o.native, Request: to}
	o.m.Code = -1
	if o.native == nil || o.native.Status == resp.Status {
		text := resp.Header.Get(StatusField)
		if code, err := strconv.Atoi(text); err == nil {
			o.m.Code, o.code = code, text
		}
	}
	return o.take(resp.Body, resp.ContentLength)
}

// take takes the body. One that is at hand and fits the frame is left to be
// read later, once, to where it is written from.
func (o *outgoing) take(body io.ReadCloser, length int64) error {
	if body != nil {
		o.body = body
	}
	if o.same {
		n := int64(o.native.End - o.native.Start)
		switch {
		case body == nil && n == 0:
			return nil
		case body != nil && length == n && stream.BodyReady(body):
			return nil
		}
	}
	o.scratch = scratches.Get().(*[]byte)
	o.read = true
	var err error
	if *o.scratch, err = readAll((*o.scratch)[:0], o.body, length, o.limit); err != nil {
		return err
	}
	o.same = o.same && len(*o.scratch) == o.native.End-o.native.Start
	return nil
}

// readAll appends all of body to b.
func readAll(b []byte, body io.Reader, length int64, limit int) ([]byte, error) {
	if body == nil {
		return b, nil
	}
	if length > int64(limit) {
		return b, &stream.Error{Kind: stream.TooLarge, Op: "build frame", Err: errors.New("the body is larger than a frame may be")}
	}
	b = slices.Grow(b, int(min(max(length, 0), 64<<10))+1)
	for {
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b) > limit:
			return b, &stream.Error{Kind: stream.TooLarge, Op: "build frame", Err: errors.New("the body is larger than a frame may be")}
		case length >= 0 && int64(len(b)) > length:
			return b, errLong
		case err == io.EOF && int64(len(b)) < length:
			return b, errShort
		case err == io.EOF:
			return b, nil
		case err != nil:
			return b, err
		}
		if len(b) == cap(b) {
			b = slices.Grow(b, len(b))
		}
	}
}

// elasticity is the room for what another id may make a frame longer by.
const elasticity = 8

// append appends the frame, under id, to dst.
func (o *outgoing) append(dst []byte, id uint64) ([]byte, error) {
	if !o.same {
		if o.m.ID = id; o.scratch != nil {
			o.m.Body = *o.scratch
		}
		return o.codec.Append(dst, &o.m)
	}
	start, n := len(dst), o.native
	elastic, ok := o.codec.(Elastic)
	dst = slices.Grow(dst, len(n.Frame)+elasticity)
	if ok {
		dst = elastic.AppendID(dst, n, id)
	} else {
		dst = append(dst, n.Frame[:n.Start]...)
	}
	switch {
	case o.read:
		dst = append(dst, *o.scratch...)
	case n.Start < n.End:
		at, size := len(dst), n.End-n.Start
		dst = slices.Grow(dst, size)[:at+size]
		if err := fill(dst[at:], o.body); err != nil {
			return dst, err
		}
	}
	dst = append(dst, n.Frame[n.End:]...)
	if !ok {
		o.codec.SetID(dst[start:], id)
	}
	return dst, nil
}

// fill reads body, which is as long as b, into b.
func fill(b []byte, body io.Reader) error {
	for {
		n, err := body.Read(b)
		switch b = b[n:]; {
		case err == io.EOF && len(b) == 0:
			return nil
		case err == io.EOF:
			return errShort
		case err != nil:
			return err
		case len(b) == 0:
			var more [1]byte
			if n, err := body.Read(more[:]); n > 0 {
				return errLong
			} else if err != io.EOF {
				return err
			}
			return nil
		}
	}
}

// over gives memory back and forgets the message.
func (o *outgoing) over() {
	if o.scratch != nil && cap(*o.scratch) <= maxScratch {
		scratches.Put(o.scratch)
	}
	*o = outgoing{codec: o.codec, limit: o.limit}
}

// payload is the body of a message that was read.
type payload struct{ left []byte }

// Read implements io.Reader; the end comes with the last bytes.
func (p *payload) Read(b []byte) (int, error) {
	n := copy(b, p.left)
	if p.left = p.left[n:]; len(p.left) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// Ready implements stream.Ready.
func (p *payload) Ready() bool { return true }

// number returns n in decimal, without allocating where it is small.
func number(n int) string { return strconv.Itoa(n) }
