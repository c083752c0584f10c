package http2

import (
	"encoding/binary"
	"runtime"
	"sync"

	xhttp2 "golang.org/x/net/http2"
)

// maxOutput is how many framed bytes may wait for the writer before those who
// have more to say wait too. A frame or header block may exceed it.
const maxOutput = 64 << 10

// Buffers for framed bytes: small ones for single messages, large ones for bodies.
const (
	smallOutput = 4 << 10
	largeOutput = maxOutput + 2*maxFrame
)

var (
	smallOutputs = sync.Pool{New: func() any { return new([smallOutput]byte) }}
	largeOutputs = sync.Pool{New: func() any { return new([largeOutput]byte) }}
)

func freeOutput(b []byte) {
	switch cap(b) {
	case smallOutput:
		smallOutputs.Put((*[smallOutput]byte)(b[:smallOutput]))
	case largeOutput:
		largeOutputs.Put((*[largeOutput]byte)(b[:largeOutput]))
	}
}

// output is what a session has to write: two lists of bytes, framed, and the
// writer that takes them away. The session's mutex guards it.
type output struct {
	s *session
	// urgent holds frames that may overtake others: WINDOW_UPDATE, PING and
	// GOAWAY. ordered holds all others. RST_STREAM and the acknowledgement of
	// settings are among those: they mean something only after what was
	// framed before them.
	urgent, ordered []byte
	// control counts the bytes of answers to the peer's control frames.
	control int
	writing bool
	broken  bool
	// run is flush; kept because a method value costs an allocation.
	run func()
	// stopped is signalled when the writer goes to rest.
	stopped sync.Cond
	turns   turns
}

func (o *output) init(s *session) {
	o.s = s
	o.run = o.flush
	o.stopped.L = &s.mu
}

// frames makes room for n bytes in ordered.
func (o *output) frames(n int) {
	b := o.ordered
	switch {
	case cap(b)-len(b) >= n:
		return
	case cap(b) == 0 && n <= smallOutput:
		o.ordered = smallOutputs.Get().(*[smallOutput]byte)[:0]
		return
	case len(b)+n <= largeOutput:
		o.ordered = largeOutputs.Get().(*[largeOutput]byte)[:0]
	default:
		o.ordered = make([]byte, 0, 2*(len(b)+n))
	}
	o.ordered = append(o.ordered, b...)
	freeOutput(b)
}

// kick sees to it that what is queued gets written. The session's mutex is held.
func (o *output) kick() {
	if !o.writing && !o.broken && len(o.urgent)+len(o.ordered) > 0 {
		o.writing = true
		go o.run()
	}
}

// flush writes until nothing is queued. It is a goroutine of its own, because
// those who queue must not wait for the peer: the session's reader above all,
// as two ends whose readers wait for each other would never wake up.
func (o *output) flush() {
	mu := &o.s.mu
	for {
		// Whoever can run and has something to say says it first: one write
		// for many messages.
		runtime.Gosched()
		mu.Lock()
		urgent, ordered := o.urgent, o.ordered
		o.urgent, o.ordered, o.control = nil, nil, 0
		if len(urgent)+len(ordered) == 0 || o.broken {
			o.writing = false
			o.stopped.Broadcast()
			mu.Unlock()
			return
		}
		o.turns.grant(o.s)
		mu.Unlock()

		err := o.write(urgent, ordered)
		freeOutput(urgent)
		freeOutput(ordered)
		if err != nil {
			mu.Lock()
			o.broken = true
			mu.Unlock()
			o.s.broken(err)
		}
	}
}

func (o *output) write(urgent, ordered []byte) error {
	if len(urgent) > 0 && len(ordered) <= cap(urgent)-len(urgent) {
		urgent = append(urgent, ordered...)
		ordered = nil
	}
	for _, b := range [...][]byte{urgent, ordered} {
		if len(b) > 0 {
			if _, err := o.s.c.Write(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// wait returns when the writer rests.
func (o *output) wait() {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	for o.writing {
		o.stopped.Wait()
	}
}

// full reports whether those who have more to say must wait.
func (o *output) full() bool { return len(o.ordered) >= maxOutput }

// urge returns the urgent bytes with room for n more.
func (o *output) urge(n int) []byte {
	if b := o.urgent; cap(b)-len(b) >= n {
		return b
	} else if cap(b) > 0 {
		return b // append grows it
	}
	return smallOutputs.Get().(*[smallOutput]byte)[:0]
}

// The frames of RFC 9113 section 6. They are written here and not by the
// framer, which would copy each of them through a buffer of its own.

func appendHeader(b []byte, length int, t xhttp2.FrameType, flags xhttp2.Flags, id uint32) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), byte(t), byte(flags))
	return binary.BigEndian.AppendUint32(b, id)
}

func appendWindowUpdate(b []byte, id, n uint32) []byte {
	b = appendHeader(b, 4, xhttp2.FrameWindowUpdate, 0, id)
	return binary.BigEndian.AppendUint32(b, n)
}

func (o *output) windowUpdate(id, n uint32) { o.urgent = appendWindowUpdate(o.urge(13), id, n) }

func (o *output) ping(ack bool, data [8]byte) {
	var flags xhttp2.Flags
	if ack {
		flags = xhttp2.FlagPingAck
		o.control += 17
	}
	b := appendHeader(o.urge(17), 8, xhttp2.FramePing, flags, 0)
	o.urgent = append(b, data[:]...)
}

func (o *output) goAway(last uint32, code xhttp2.ErrCode, text string) {
	b := appendHeader(o.urge(17+len(text)), 8+len(text), xhttp2.FrameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	o.urgent = append(b, text...)
}

func (o *output) settings(list []xhttp2.Setting) {
	o.frames(9 + 6*len(list))
	b := appendHeader(o.ordered, 6*len(list), xhttp2.FrameSettings, 0, 0)
	for _, s := range list {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	o.ordered = b
}

func (o *output) settingsAck() {
	o.control += 9
	o.frames(9)
	o.ordered = appendHeader(o.ordered, 0, xhttp2.FrameSettings, xhttp2.FlagSettingsAck, 0)
}

func (o *output) reset(id uint32, code xhttp2.ErrCode) {
	o.control += 13
	o.frames(13)
	b := appendHeader(o.ordered, 4, xhttp2.FrameRSTStream, 0, id)
	o.ordered = binary.BigEndian.AppendUint32(b, uint32(code))
}

func (o *output) data(id uint32, p []byte, end bool) {
	var flags xhttp2.Flags
	if end {
		flags = xhttp2.FlagDataEndStream
	}
	o.frames(9 + len(p))
	b := appendHeader(o.ordered, len(p), xhttp2.FrameData, flags, id)
	o.ordered = append(b, p...)
}

// headers queues a header block in as many frames as it takes.
func (o *output) headers(id uint32, block []byte, end bool) {
	t, flags := xhttp2.FrameHeaders, xhttp2.Flags(0)
	if end {
		flags = xhttp2.FlagHeadersEndStream
	}
	o.frames(len(block) + 9*(1+len(block)/maxFrame))
	for {
		part := block[:min(len(block), maxFrame)]
		if block = block[len(part):]; len(block) == 0 {
			flags |= xhttp2.FlagHeadersEndHeaders
		}
		o.ordered = appendHeader(o.ordered, len(part), t, flags, id)
		o.ordered = append(o.ordered, part...)
		if len(block) == 0 {
			return
		}
		t, flags = xhttp2.FrameContinuation, 0
	}
}

// turns are the streams that wait to say something, in the order in which
// they began to. The session's mutex guards them.
type turns struct {
	// heads wait for room; bodies for room and the connection's window.
	heads, bodies []*exchange
}

// grant lets as many go on as there is room for.
func (t *turns) grant(s *session) {
	room := maxOutput - len(s.output.ordered)
	for room > 0 && len(t.heads) > 0 {
		t.heads = pop(t.heads)
		room -= 1 << 10
	}
	for window := s.flow.send; room > 0 && window > 0 && len(t.bodies) > 0; {
		t.bodies = pop(t.bodies)
		room -= maxFrame
		window -= maxFrame
	}
}

// pop lets the first of the list go on.
func pop(list []*exchange) []*exchange {
	x := list[0]
	x.queued, x.granted = false, true
	x.signalSend()
	copy(list, list[1:])
	list[len(list)-1] = nil
	return list[:len(list)-1]
}

// leave takes x off the lists.
func (t *turns) leave(x *exchange) {
	if !x.queued {
		return
	}
	x.queued = false
	for _, list := range [...]*[]*exchange{&t.heads, &t.bodies} {
		for i, y := range *list {
			if y == x {
				*list = append((*list)[:i], (*list)[i+1:]...)
				return
			}
		}
	}
}

// clear has all of them look why they wait no longer.
func (t *turns) clear() {
	for _, list := range [...][]*exchange{t.heads, t.bodies} {
		for i, x := range list {
			x.queued = false
			x.signalSend()
			list[i] = nil
		}
	}
	t.heads, t.bodies = t.heads[:0], t.bodies[:0]
}
