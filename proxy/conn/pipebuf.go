package conn

import "sync"

// The sizes a ring can have, in bytes.
const (
	smallRing  = 4 << 10 // one message with its head
	mediumRing = 16 << 10
	maxRing    = 64 << 10
)

// Rings that are not in use; they hold *[size]byte.
var (
	smallRings  = sync.Pool{New: func() any { return new([smallRing]byte) }}
	mediumRings = sync.Pool{New: func() any { return new([mediumRing]byte) }}
	maxRings    = sync.Pool{New: func() any { return new([maxRing]byte) }}
)

// borrowRing returns the smallest ring that holds need bytes, or the largest.
func borrowRing(need int) []byte {
	switch {
	case need <= smallRing:
		return smallRings.Get().(*[smallRing]byte)[:]
	case need <= mediumRing:
		return mediumRings.Get().(*[mediumRing]byte)[:]
	}
	return maxRings.Get().(*[maxRing]byte)[:]
}

func returnRing(ring []byte) {
	switch len(ring) {
	case smallRing:
		smallRings.Put((*[smallRing]byte)(ring))
	case mediumRing:
		mediumRings.Put((*[mediumRing]byte)(ring))
	case maxRing:
		maxRings.Put((*[maxRing]byte)(ring))
	}
}

// put copies as much of b into the ring as there is room for, growing it up to
// maxRing, and returns how much that was. b is not empty.
func (h *half) put(b []byte) int {
	if need := h.count + len(b); need > len(h.ring) && len(h.ring) < maxRing {
		h.grow(need)
	}
	b = b[:min(len(b), len(h.ring)-h.count)]
	end := (h.start + h.count) & (len(h.ring) - 1)
	n := copy(h.ring[end:], b)
	copy(h.ring, b[n:])
	h.count += len(b)
	return len(b)
}

// grow replaces the ring by one for need bytes, with the same content.
func (h *half) grow(need int) {
	ring := borrowRing(need)
	if h.count > 0 {
		n := copy(ring[:h.count], h.ring[h.start:])
		copy(ring[n:h.count], h.ring)
	}
	h.release()
	h.ring, h.start = ring, 0
}

// take moves bytes from the ring to b and returns how many. The emptied ring
// is given back.
func (h *half) take(b []byte) int {
	b = b[:min(len(b), h.count)]
	n := copy(b, h.ring[h.start:])
	copy(b[n:], h.ring)
	h.start = (h.start + len(b)) & (len(h.ring) - 1)
	h.count -= len(b)
	if h.count == 0 {
		h.start = 0
		h.release()
	}
	return len(b)
}

func (h *half) release() {
	if h.ring != nil {
		returnRing(h.ring)
		h.ring = nil
	}
}
