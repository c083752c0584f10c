package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
)

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks returns what is in a page's fenced blocks of a language.
func blocks(page, language string) (list []string) {
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		list = append(list, m[1])
	}
	return list
}

// The Go code of protocols.md is the toy protocol, all of it, in its order.
func TestToyProtocol(t *testing.T) {
	const file = "proxy/protocol/frame/toy_test.go"
	left := read(t, file)
	for _, block := range blocks(read(t, "docs/protocols.md"), "go") {
		first, _, _ := strings.Cut(block, "\n")
		switch at := strings.Index(left, block); {
		case at < 0:
			t.Fatalf("the block that begins with\n%s\nis not in %s, or not behind those before it", first, file)
		case strings.TrimSpace(left[:at]) != "":
			t.Fatalf("before the block that begins with\n%s\nthe page leaves out:\n%s", first, left[:at])
		default:
			left = left[at+len(block):]
		}
	}
	if strings.TrimSpace(left) != "" {
		t.Errorf("the page leaves out:\n%s", left)
	}
}

// What protocols.md adds to the list of what ships fits there.
func TestProtocolRegistration(t *testing.T) {
	list := read(t, "runtime/builtin/builtin.go")
	found := blocks(read(t, "docs/protocols.md"), "diff")
	if len(found) != 1 {
		t.Fatalf("%d blocks, want 1", len(found))
	}
	around := 0
	for line := range strings.Lines(found[0]) {
		if strings.HasPrefix(line, "+") {
			continue
		}
		if around++; !strings.Contains(list, strings.TrimPrefix(line, " ")) {
			t.Errorf("runtime/builtin/builtin.go has no line\n%s", line)
		}
	}
	if around == 0 {
		t.Error("nothing says where the line belongs")
	}
}

// The table of protocols.md has a column for each protocol of frames that ships.
func TestProtocolTable(t *testing.T) {
	var want []string
	for _, p := range builtin.Tables().Protocols {
		if name := p.Name(); name != "Http1" && name != "Http2" {
			want = append(want, name)
		}
	}
	_, section, _ := strings.Cut(read(t, "docs/protocols.md"), "\n## The protocols there are\n\n")
	head, _, _ := strings.Cut(section, "\n")
	var got []string
	for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(head, -1) {
		got = append(got, m[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the table has columns for %q, want %q", got, want)
	}
}

// The defaults of options that protocols.md tells are the code's.
func TestProtocolDefaults(t *testing.T) {
	page, d := read(t, "docs/protocols.md"), frame.DefaultOptions()
	for name, value := range map[string]any{
		"MaxInFlight": d.MaxInFlight, "PingPong": d.PingPong,
		"HeartbeatInterval": d.HeartbeatInterval, "HeartbeatTimeout": d.HeartbeatTimeout, "HeartbeatFailures": d.HeartbeatFailures,
	} {
		if row := fmt.Sprintf("| `%s` | %v |", name, value); !strings.Contains(page, row) {
			t.Errorf("there is no row %s", row)
		}
	}
}
