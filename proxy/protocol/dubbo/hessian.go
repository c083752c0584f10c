package dubbo

import "encoding/binary"

const (
	// maxDepth is how deep values may be nested to be stepped over.
	maxDepth = 512
	// someClasses is how many definitions of classes cost no memory.
	someClasses = 32
)

// scanner steps over values in Hessian 2 and makes nothing of them. Methods
// that return false have met bytes that are none; the scanner is of no use then.
// Each value takes a byte at least, so the time is linear in the bytes.
type scanner struct {
	b []byte
	i int
	// Definitions of classes: how many fields each has.
	classes int
	some    [someClasses]int
	more    []int
}

// text is a string: b[at:end] are its characters, b[raw:end] all of it. A null
// has no characters.
type text struct {
	raw, at, end int
	null         bool
}

// string reads a string that is in one piece, or a null.
func (s *scanner) string() (t text, ok bool) {
	t.raw = s.i
	if s.i >= len(s.b) {
		return t, false
	}
	if s.b[s.i] == 'N' {
		s.i++
		t.at, t.end, t.null = s.i, s.i, true
		return t, true
	}
	n, last := s.piece()
	if !last {
		return t, false
	}
	t.at = s.i
	ok = s.units(n)
	t.end = s.i
	return t, ok
}

// piece reads the head of a string's next piece: its length, -1 if there is
// none, and whether it is the last.
func (s *scanner) piece() (n int, last bool) {
	if s.i >= len(s.b) {
		return -1, false
	}
	c := s.b[s.i]
	s.i++
	switch {
	case c < 0x20:
		return int(c), true
	case c >= 0x30 && c < 0x34 && s.i < len(s.b):
		s.i++
		return int(c-0x30)<<8 | int(s.b[s.i-1]), true
	case (c == 'S' || c == 'R') && len(s.b)-s.i >= 2:
		s.i += 2
		return int(binary.BigEndian.Uint16(s.b[s.i-2:])), c == 'S'
	}
	return -1, false
}

// units steps over n UTF-16 units of a string. Java writes each of them by
// itself, others write characters, some of which are two units.
func (s *scanner) units(n int) bool {
	b, i := s.b, s.i
	if n > len(b)-i || n < 0 {
		return false
	}
	for n >= 8 && len(b)-i >= 8 && binary.LittleEndian.Uint64(b[i:])&0x8080808080808080 == 0 {
		i, n = i+8, n-8
	}
	for ; n > 0; n-- {
		if i >= len(b) {
			return false
		}
		switch c := b[i]; {
		case c < 0x80:
			i++
		case c < 0xc0:
			return false
		case c < 0xe0:
			i += 2
		case c < 0xf0:
			i += 3
		case n == 1 || c >= 0xf8:
			return false
		default:
			i += 4
			n--
		}
	}
	s.i = i
	return i <= len(b)
}

// bytes steps over n bytes.
func (s *scanner) bytes(n int) bool {
	if n > len(s.b)-s.i {
		return false
	}
	s.i += n
	return true
}

// size reads the length of a piece of binary data and steps over it.
func (s *scanner) size() bool {
	if len(s.b)-s.i < 2 {
		return false
	}
	s.i += 2
	return s.bytes(int(binary.BigEndian.Uint16(s.b[s.i-2:])))
}

// int reads an integer that is not negative.
func (s *scanner) int() (int, bool) {
	if s.i >= len(s.b) {
		return 0, false
	}
	b := s.b[s.i:]
	n, v := 0, 0
	switch c := b[0]; {
	case c >= 0x80 && c <= 0xbf:
		n, v = 1, int(c)-0x90
	case c >= 0xc0 && c <= 0xcf && len(b) >= 2:
		n, v = 2, (int(c)-0xc8)<<8|int(b[1])
	case c >= 0xd0 && c <= 0xd7 && len(b) >= 3:
		n, v = 3, (int(c)-0xd4)<<16|int(b[1])<<8|int(b[2])
	case c == 'I' && len(b) >= 5:
		n, v = 5, int(int32(binary.BigEndian.Uint32(b[1:])))
	}
	s.i += n
	return v, n > 0 && v >= 0
}

// kind steps over the name of a type, or the number of one that came before.
func (s *scanner) kind() bool {
	if s.i >= len(s.b) {
		return false
	}
	switch c := s.b[s.i]; {
	case c < 0x20, c >= 0x30 && c < 0x34, c == 'S', c == 'R':
		return s.skip(maxDepth)
	}
	_, ok := s.int()
	return ok
}

// class reads the definition of a class, after its 'C'.
func (s *scanner) class() bool {
	if !s.kind() {
		return false
	}
	n, ok := s.int()
	if !ok {
		return false
	}
	for range n {
		if _, ok := s.string(); !ok {
			return false
		}
	}
	if s.classes < someClasses {
		s.some[s.classes] = n
	} else {
		s.more = append(s.more, n)
	}
	s.classes++
	return true
}

// object steps over the fields of an object of class n.
func (s *scanner) object(n, depth int) bool {
	switch {
	case n >= s.classes:
		return false
	case n < someClasses:
		n = s.some[n]
	default:
		n = s.more[n-someClasses]
	}
	return s.values(n, depth)
}

// values steps over n values.
func (s *scanner) values(n, depth int) bool {
	for range n {
		if !s.skip(depth + 1) {
			return false
		}
	}
	return true
}

// until steps over values up to the end of a list or map.
func (s *scanner) until(depth int) bool {
	for s.i < len(s.b) {
		if s.b[s.i] == 'Z' {
			s.i++
			return true
		}
		if !s.skip(depth + 1) {
			return false
		}
	}
	return false
}

// skip steps over one value that is nested in so many others.
func (s *scanner) skip(depth int) bool {
	if depth > maxDepth {
		return false
	}
	for s.i < len(s.b) && s.b[s.i] == 'C' {
		if s.i++; !s.class() {
			return false
		}
	}
	if s.i >= len(s.b) {
		return false
	}
	c := s.b[s.i]
	s.i++
	switch {
	case c < 0x20: // string
		return s.units(int(c))
	case c < 0x30: // binary
		return s.bytes(int(c - 0x20))
	case c < 0x34: // string
		s.i--
		n, _ := s.piece()
		return s.units(n)
	case c < 0x38: // binary
		if s.i >= len(s.b) {
			return false
		}
		s.i++
		return s.bytes(int(c-0x34)<<8 | int(s.b[s.i-1]))
	case c < 0x40: // long
		return s.bytes(2)
	case c >= 0xf0, c >= 0xc0 && c < 0xd0: // long, int
		return s.bytes(1)
	case c >= 0xd8, c >= 0x80 && c < 0xc0: // long, int
		return true
	case c >= 0xd0: // int
		return s.bytes(2)
	case c >= 0x78: // list
		return s.values(int(c-0x78), depth)
	case c >= 0x70: // list with a type
		return s.kind() && s.values(int(c-0x70), depth)
	case c >= 0x60:
		return s.object(int(c-0x60), depth)
	}
	switch c {
	case 'N', 'T', 'F', 0x5b, 0x5c: // null, booleans, doubles 0 and 1
		return true
	case 0x5d: // double
		return s.bytes(1)
	case 0x5e: // double
		return s.bytes(2)
	case 'I', 'K', 0x59, 0x5f: // int, date in minutes, long, double
		return s.bytes(4)
	case 'L', 'D', 'J': // long, double, date
		return s.bytes(8)
	case 'R', 'S':
		s.i--
		return s.pieces()
	case 'A', 'B':
		s.i--
		return s.binary()
	case 'H': // map
		return s.until(depth)
	case 'M', 'U': // map, list
		return s.kind() && s.until(depth)
	case 'W': // list
		return s.until(depth)
	case 'V': // list with a type and a length
		if !s.kind() {
			return false
		}
		n, ok := s.int()
		return ok && s.values(n, depth)
	case 'X': // list with a length
		n, ok := s.int()
		return ok && s.values(n, depth)
	case 'O':
		n, ok := s.int()
		return ok && s.object(n, depth)
	case 'Q': // something that came before
		_, ok := s.int()
		return ok
	}
	return false
}

// pieces steps over a string in pieces.
func (s *scanner) pieces() bool {
	for {
		n, last := s.piece()
		if !s.units(n) {
			return false
		}
		if last {
			return true
		}
	}
}

// binary steps over binary data in pieces.
func (s *scanner) binary() bool {
	for s.i < len(s.b) {
		c := s.b[s.i]
		switch s.i++; {
		case c == 'A':
			if !s.size() {
				return false
			}
		case c == 'B':
			return s.size()
		case c >= 0x20 && c < 0x30, c >= 0x34 && c < 0x38:
			s.i--
			return s.skip(maxDepth)
		default:
			return false
		}
	}
	return false
}
