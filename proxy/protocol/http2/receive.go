package http2

import (
	"errors"
	"io"
	"sync"
)

// Bodies wait in pieces of three sizes, so that small messages do not hold
// large pieces.
const (
	smallPiece  = 1 << 10
	mediumPiece = 4 << 10
	largePiece  = maxFrame
)

// piece holds part of a body: buf[r:w] is what was received and not yet read.
type piece struct {
	next *piece
	buf  []byte
	r, w int
}

func pieces(size int) sync.Pool {
	return sync.Pool{New: func() any { return &piece{buf: make([]byte, size)} }}
}

var smallPieces, mediumPieces, largePieces = pieces(smallPiece), pieces(mediumPiece), pieces(largePiece)

func newPiece(need int) *piece {
	switch {
	case need <= smallPiece:
		return smallPieces.Get().(*piece)
	case need <= mediumPiece:
		return mediumPieces.Get().(*piece)
	}
	return largePieces.Get().(*piece)
}

func (p *piece) free() {
	p.next, p.r, p.w = nil, 0, 0
	switch len(p.buf) {
	case smallPiece:
		smallPieces.Put(p)
	case mediumPiece:
		mediumPieces.Put(p)
	default:
		largePieces.Put(p)
	}
}

// receiver is the body of a message between the session's reader, who fills
// it, and the one goroutine that reads it. Flow control bounds what it holds.
type receiver struct {
	mu         sync.Mutex
	head, tail *piece
	held       int
	// filling: the session's reader is writing behind tail.w.
	filling bool
	// err is what Read returns when nothing is held; io.EOF at the end.
	err error
	// closed: nobody reads any more; what arrives is dropped.
	closed bool
	// begun: the head of the message is known (a client waits for it).
	begun bool
	// wake holds a token when something may have changed.
	wake chan struct{}
}

func newReceiver() receiver { return receiver{wake: make(chan struct{}, 1)} }

func (b *receiver) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// room returns where up to n further bytes may be put; nil when nobody reads
// any more. commit must follow.
func (b *receiver) room(n int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	if b.tail == nil || b.tail.w == len(b.tail.buf) {
		p := newPiece(n)
		if b.tail == nil {
			b.head = p
		} else {
			b.tail.next = p
		}
		b.tail = p
	}
	b.filling = true
	free := b.tail.buf[b.tail.w:]
	return free[:min(n, len(free))]
}

// commit adds the n bytes that were put into room. It reports false when
// nobody reads any more; the bytes are dropped then.
func (b *receiver) commit(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.filling = false
	if b.closed {
		b.drop()
		return false
	}
	b.tail.w += n
	b.held += n
	b.signal()
	return true
}

// finish sets what Read returns when all that is held was read. The first call counts.
func (b *receiver) finish(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	b.signal()
}

// begin says that the head of the message is known, and that it is all if end.
// Both at once: who sees the head is to see that nothing follows it.
func (b *receiver) begin(end bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun = true
	if end && b.err == nil {
		b.err = io.EOF
	}
	b.signal()
}

// take moves bytes to p without waiting; wait is true when there is nothing
// to be had yet.
func (b *receiver) take(p []byte) (n int, err error, wait bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, errAbandons, false
	}
	for n < len(p) && b.held > 0 {
		h := b.head
		m := copy(p[n:], h.buf[h.r:h.w])
		n += m
		h.r += m
		b.held -= m
		if h.r == h.w && (h != b.tail || !b.filling) {
			b.head = h.next
			if b.head == nil {
				b.tail = nil
			}
			h.free()
		} else if h.r == h.w {
			break // the reader is about to add to it
		}
	}
	if b.held == 0 && b.err != nil && !b.filling {
		if n > 0 && !errors.Is(b.err, io.EOF) {
			return n, nil, false
		}
		return n, b.err, false
	}
	return n, nil, n == 0 && len(p) > 0
}

// close drops what is held and returns how much that was. It is safe twice.
func (b *receiver) close() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0
	}
	n := b.held
	b.closed = true
	if !b.filling {
		b.drop()
	}
	b.held = 0
	b.signal()
	return n
}

// drop frees all pieces. mu is held.
func (b *receiver) drop() {
	for b.head != nil {
		p := b.head
		b.head = p.next
		p.free()
	}
	b.tail, b.held = nil, 0
}

// ready reports whether the body can be read to its end without waiting.
func (b *receiver) ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed || errors.Is(b.err, io.EOF)
}

// buffered reports whether a read returns at once.
func (b *receiver) buffered() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held > 0 || b.err != nil || b.closed
}

// status returns whether the head is known, and the error that ended the message.
func (b *receiver) status() (begun bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.begun, b.err
}

// reset prepares for the next message.
func (b *receiver) reset() {
	select {
	case <-b.wake:
	default:
	}
	b.drop()
	*b = receiver{wake: b.wake}
}
