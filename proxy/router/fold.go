package router

import "github.com/ottavo-runtime/ottavo/proxy/stream"

// foldMap is a map whose keys ignore ASCII case. Unlike a map of lower-case
// keys it is asked without making a lower-case copy first.
type foldMap[V any] map[uint64][]foldEntry[V]

type foldEntry[V any] struct {
	key   string
	value V
}

// get returns the value of key; the zero value if there is none.
func (m foldMap[V]) get(key string) V {
	for _, e := range m[foldHash(key)] {
		if stream.EqualName(e.key, key) {
			return e.value
		}
	}
	var none V
	return none
}

// at returns where the value of key is kept, making room for it if need be.
// The pointer is good until the next call.
func (m foldMap[V]) at(key string) *V {
	h := foldHash(key)
	for i := range m[h] {
		if stream.EqualName(m[h][i].key, key) {
			return &m[h][i].value
		}
	}
	m[h] = append(m[h], foldEntry[V]{key: key})
	return &m[h][len(m[h])-1].value
}

// foldHash is FNV-1a over the lower-case bytes of s. All keys come from the
// configuration, so nobody outside can make them collide.
func foldHash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(lowerByte(s[i]))) * 1099511628211
	}
	return h
}

// lower returns s with its ASCII letters in lower case.
func lower(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lowerByte(b[i])
	}
	return string(b)
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
