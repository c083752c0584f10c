package footprint

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// resident returns a figure of /proc/self/status in KiB.
func resident(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), name+":")
	if !ok {
		t.Skipf("SKIP: this kernel does not tell %s", name)
	}
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestTrim: pages of the file go, memory of the process stays as it was.
func TestTrim(t *testing.T) {
	kept := slices.Repeat([]byte("kept"), 1<<18)
	before := resident(t, "RssFile")
	for range 3 {
		if err := Trim(); err != nil {
			t.Fatal(err)
		}
	}
	after := resident(t, "RssFile")
	if after >= before {
		t.Errorf("%d KiB of files were resident, now %d KiB", before, after)
	}
	if strings.Count(string(kept), "kept") != 1<<18 {
		t.Error("memory has changed")
	}
	t.Logf("%d KiB before, %d KiB after", before, after)
}

func TestOwnPages(t *testing.T) {
	const smaps = `00400000-02440000 r-xp 00000000 00:2f 12 /opt/my ottavo
Rss:               16384 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
02440000-046f1000 r--p 02040000 00:2f 12 /opt/my ottavo
Anonymous:             0 kB
046f1000-046f2000 r--p 042f1000 00:2f 12 /opt/my ottavo
Anonymous:             4 kB
046f2000-04700000 rw-p 042f2000 00:2f 12 /opt/my ottavo
Anonymous:            40 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:           400 kB
7f0000000000-7f0000001000 r-xp 00000000 00:2f 13 /lib/libc.so.6
Anonymous:             0 kB
7fff00000000-7fff00001000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
`
	got, err := ownPages(strings.NewReader(smaps), "/opt/my ottavo")
	if want := []area{{0x400000, 0x2440000}, {0x2440000, 0x46f1000}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%x, %v, want %x", got, err, want)
	}
	if _, err := ownPages(strings.NewReader("zz-1 r-xp 0 0:0 1 /x\n"), "/x"); err == nil {
		t.Error("nonsense is no error")
	}
}

// FuzzOwnPages: no text makes it panic, and what it finds is of the file.
func FuzzOwnPages(f *testing.F) {
	f.Add("00400000-02440000 r-xp 00000000 00:2f 12 /x\nAnonymous: 0 kB\n")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = ownPages(strings.NewReader(text), "/x") })
}
