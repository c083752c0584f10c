package dubbo

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// values returns values that github.com/apache/dubbo-go-hessian2 v1.12.5 has written.
func values(t testing.TB) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile("testdata/values.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for line := range strings.Lines(string(data)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		if all[name], err = hex.DecodeString(digits); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if len(all) < 40 {
		t.Fatalf("%d values", len(all))
	}
	return all
}

// checkSkip steps over b, whose end it must find, and over no part of it.
func checkSkip(t *testing.T, name string, b []byte) {
	t.Helper()
	s := scanner{b: append(bytes.Clone(b), "more"...)}
	if !s.skip(0) || s.i != len(b) {
		t.Errorf("%s: %d of %d bytes of %x", name, s.i, len(b), b)
	}
	for n := range len(b) {
		if s := (scanner{b: b[:n:n]}); s.skip(0) {
			t.Errorf("%s: %x, %d bytes, is taken for whole", name, b, n)
			return
		}
	}
}

func TestSkipReal(t *testing.T) {
	for name, b := range values(t) {
		checkSkip(t, name, b)
	}
}

// Every encoding there is.
func TestSkip(t *testing.T) {
	for name, c := range map[string]string{
		"string": "\x02hi", "string of 3 bytes each": "\x02\xe6\xb8\xa0\xe9\x81\x93", "halves": "\x02\xed\xa0\xbd\xed\xb8\x80", "of 4 bytes": "\x02\xf0\x9f\x98\x80",
		"medium string": "\x31\x00" + strings.Repeat("x", 256), "long string": "S\x00\x02hi",
		"pieces": "R\x00\x01aR\x00\x02bc\x02de", "pieces, medium end": "R\x00\x01a\x30\x02de", "pieces, long end": "R\x00\x01aS\x00\x00",
		"binary": "\x23abc", "medium binary": "\x35\x00" + strings.Repeat("x", 256), "long binary": "B\x00\x03abc",
		"binary in pieces": "A\x00\x01aA\x00\x01bB\x00\x01c", "short end": "A\x00\x01a\x21b", "medium end": "A\x00\x01a\x34\x01b",
		"long 3": "\x38\x00\x00", "long 1": "\xd8", "long 1 last": "\xef", "long 2": "\xf0\x00", "long 2 last": "\xff\xff", "long 5": "\x59\x00\x00\x00\x01", "long 9": "L12345678",
		"int 1": "\x80", "int 1 last": "\xbf", "int 2": "\xc0\x00", "int 2 last": "\xcf\xff", "int 3": "\xd0\x00\x00", "int 3 last": "\xd7\xff\xff", "int 5": "I\x00\x00\x00\x01",
		"double": "D12345678", "double 0": "\x5b", "double 1": "\x5c", "double 2": "\x5d\x01", "double 3": "\x5e\x01\x02", "double 5": "\x5f\x00\x00\x00\x01",
		"null": "N", "true": "T", "false": "F", "date": "J12345678", "minutes": "K1234", "reference": "Q\x91",
		"map": "H\x01a\x91\x01bNZ", "empty map": "HZ", "typed map": "M\x01tNTZ", "known type": "M\x90Z",
		"list": "W\x91\x92Z", "typed list": "U\x01tNZ", "typed fixed": "V\x01t\x92NT", "fixed": "X\x92NT", "typed few": "\x72\x01tNT", "few": "\x7aNT", "none": "\x78",
		"object":               "C\x01c\x92\x01a\x01b\x60\x91N",
		"object by number":     "C\x01c\x91\x01aO\x90N",
		"two classes":          "C\x01c\x90C\x01d\x91\x01x\x61\x60",
		"class inside":         "\x79C\x01c\x91\x01a\x60C\x01d\x90\x61",
		"nested lists":         strings.Repeat("\x79", maxDepth) + "N",
		"class of no fields":   "C\x01c\x90\x60",
		"class name in pieces": "CR\x00\x01a\x01b\x90\x60",
	} {
		checkSkip(t, name, []byte(c))
	}
	var many []byte // classes
	for range 3 * someClasses {
		many = append(many, "C\x01c\x91\x01f"...)
	}
	checkSkip(t, "many classes", append(many, 'O', 0xc8, 3*someClasses-1, 'N'))
}

func TestSkipRefuses(t *testing.T) {
	for name, c := range map[string]string{
		"nothing": "", "end alone": "Z", "unknown": "E", "not used": "\x40", "no class": "\x60", "no such class": "C\x01c\x90\x61",
		"negative": "X\x80", "negative class": "O\x80", "length of another kind": "XN", "huge list": "X\x49\x7f\xff\xff\xff", "huge class": "C\x01c\x49\x7f\xff\xff\xff",
		"pieces end in an int": "R\x00\x01a\x91", "binary ends in a string": "A\x00\x01a\x01b",
		"half a character": "\x01\xf0\x9f\x98\x80", "continuation": "\x01\x80", "no UTF-8": "\x01\xff",
		"too deep": strings.Repeat("\x79", maxDepth+1) + "N", "never closed": strings.Repeat("W", 1<<20), "field names in pieces": "C\x01c\x91R\x00\x01a\x00\x60N",
	} {
		if s := (scanner{b: []byte(c)}); s.skip(0) {
			t.Errorf("%s is taken for a value", name)
		}
	}
}

func TestInt(t *testing.T) {
	for text, want := range map[string]int{"\x90": 0, "\xbf": 47, "\xc8\x30": 48, "\xcf\xff": 2047, "\xd4\x08\x00": 2048, "\xd7\xff\xff": 262143, "I\x7f\xff\xff\xff": 1<<31 - 1} {
		s := scanner{b: []byte(text)}
		if n, ok := s.int(); n != want || !ok || s.i != len(text) {
			t.Errorf("%x is %d, %v", text, n, ok)
		}
	}
	for _, text := range []string{"", "\x8f", "\xc0\x00", "\xd0\x00\x00", "I\xff\xff\xff\xff", "\xc8", "\xd4\x00", "I\x00", "N", "\x01a"} {
		s := scanner{b: []byte(text)}
		if n, ok := s.int(); ok {
			t.Errorf("%x is %d", text, n)
		}
	}
}

// What is written is what the other implementation writes, or reads the same.
func TestAppendString(t *testing.T) {
	all := values(t)
	for name, text := range map[string]string{
		"str0": "", "str31": strings.Repeat("x", 31), "str32": strings.Repeat("x", 32), "str1023": strings.Repeat("é", 1023),
		"str1024": strings.Repeat("y", 1024), "chinese": "渠道", "emoji": "a😀b",
	} {
		if got := appendString([]byte("."), text); !bytes.Equal(got[1:], all[name]) {
			t.Errorf("%s: %x, want %x", name, got[1:], all[name])
		}
	}
	for name, c := range map[string]struct{ text, want string }{
		"half a character stays": {"a\xed\xa0\xbdb", "\x03a\xed\xa0\xbdb"},
		"what is no UTF-8":       {"a\xffb", "\x03a\xef\xbf\xbdb"},
		"one piece":              {strings.Repeat("x", maxPiece), "S\x80\x00" + strings.Repeat("x", maxPiece)},
		"two":                    {strings.Repeat("x", maxPiece+1), "R\x80\x00" + strings.Repeat("x", maxPiece) + "\x01x"},
		"a pair is not torn":     {strings.Repeat("x", maxPiece-1) + "😀y", "R\x7f\xff" + strings.Repeat("x", maxPiece-1) + "\x03\xed\xa0\xbd\xed\xb8\x80y"},
	} {
		got := appendString(nil, c.text)
		if string(got) != c.want {
			t.Errorf("%s: %.40x…, want %.40x…", name, got, c.want)
		}
		checkString(t, name, got)
	}
	checkString(t, "long", appendString(nil, strings.Repeat("渠😀", 50000)))
}

// checkString is a quick checkSkip.
func checkString(t *testing.T, name string, b []byte) {
	t.Helper()
	if s := (scanner{b: b}); !s.skip(0) || s.i != len(b) {
		t.Errorf("%s: %d of %d bytes are the string", name, s.i, len(b))
	}
}

func TestArguments(t *testing.T) {
	for types, want := range map[string]int{
		"": 0, "I": 1, "II": 2, "ZBCDFIJSV": 9, "Ljava/lang/String;": 1, "[I": 1, "[[Ljava/lang/String;J": 2,
		"Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;": 3, "LVIS;D": 2,
	} {
		s := scanner{b: bytes.Repeat([]byte{'N'}, 20)}
		if !s.arguments([]byte(types)) || s.i != want {
			t.Errorf("%q has %d arguments, want %d", types, s.i, want)
		}
	}
	for _, types := range []string{"X", "Ljava", "I;", "I I", "NN"} {
		if s := (scanner{b: bytes.Repeat([]byte{'N'}, 20)}); s.arguments([]byte(types)) {
			t.Errorf("%q is taken for types", types)
		}
	}
	if s := (scanner{b: []byte("N")}); s.arguments([]byte("II")) {
		t.Error("one argument is taken for two")
	}
}

func FuzzSkip(f *testing.F) {
	for _, b := range values(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := scanner{b: b}
		if s.skip(0) {
			if s.i < 1 || s.i > len(b) {
				t.Fatalf("%d of %d bytes", s.i, len(b))
			}
			// What is behind a value does not matter, and less is none.
			if again := (scanner{b: b[:s.i:s.i]}); !again.skip(0) || again.i != s.i {
				t.Fatalf("%x is a value of %d bytes only with something behind it", b, s.i)
			}
			if less := (scanner{b: b[: s.i-1 : s.i-1]}); less.skip(0) {
				t.Fatalf("%x without its end is a value", b[:s.i])
			}
		}
		text := appendString(nil, string(b))
		if s := (scanner{b: text}); !s.skip(0) || s.i != len(text) {
			t.Fatalf("%q is written as %x", b, text)
		}
	})
}
