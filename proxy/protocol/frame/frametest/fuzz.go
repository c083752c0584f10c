package frametest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
)

// Fuzz gives a codec bytes of all kinds: it does not panic, takes no more than
// there is, and what it accepts can be sent on, with another id and built anew.
func Fuzz(f *testing.F, codec frame.Codec, s Samples) {
	f.Helper()
	for _, b := range append(s.all(), s.Garbage...) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = slices.Clip(b)
		codec.Match(b)
		n, err := codec.Size(b)
		if err != nil || n == 0 || n > len(b) {
			return
		}
		if n < 0 {
			t.Fatalf("size %d", n)
		}
		b = b[:n:n]
		original := slices.Clone(b)
		m, err := frame.Parse(codec, b)
		if !bytes.Equal(b, original) {
			t.Fatal("reading has changed the frame")
		}
		if err != nil {
			return
		}
		if m.Start < 0 || m.Start > m.End || m.End > len(b) {
			t.Fatalf("the payload of %d bytes is [%d:%d]", len(b), m.Start, m.End)
		}
		if m.Type == frame.GoAway {
			return
		}
		if m.ID <= codec.MaxID() {
			codec.SetID(b, m.ID)
			if !bytes.Equal(b, original) {
				t.Fatalf("%x with its own id is %x", original, b)
			}
		}
		if m.Type != frame.Request && m.Type != frame.OneWay && m.Type != frame.Response {
			return
		}
		built := *m
		built.Frame, built.Body, built.Origin = nil, m.Payload(), m
		again, err := codec.Append(nil, &built)
		if err != nil {
			return // such as one that would be too large
		}
		got, err := frame.Parse(codec, again)
		if err != nil || got.Type != m.Type || got.ID != m.ID || got.Code != m.Code || !bytes.Equal(got.Payload(), m.Payload()) {
			t.Fatalf("%x is rebuilt as %x: %v", original, again, err)
		}
	})
}
