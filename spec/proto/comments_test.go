package proto_test

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// declaration matches the first line of everything that needs a comment.
var declaration = regexp.MustCompile(`^\s*(package|service|rpc|message|enum)\s+([\w.]+)`)

// TestComments checks that every package, service, method, message and enum has
// a comment right above it. The compiled descriptors say which declarations
// there must be, so that the scanner cannot overlook one.
func TestComments(t *testing.T) {
	files := 0
	for file := range apiFiles() {
		files++
		t.Run(strings.TrimPrefix(file.Path(), "spec/proto/"), func(t *testing.T) {
			declared := scan(t, filepath.Join("..", "..", filepath.FromSlash(file.Path())))
			for _, d := range declared {
				if !d.commented {
					t.Errorf("%s:%d: %s has no comment above it", file.Path(), d.line, d.what)
				}
			}
			var got []string
			for _, d := range declared {
				got = append(got, d.what)
			}
			slices.Sort(got)
			if want := declarations(file); !slices.Equal(got, want) {
				t.Errorf("the source has the declarations\n%s\nbut compiled in are\n%s",
					strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
	if sources := sourceFiles(t); len(sources) != files {
		t.Errorf("%d files are compiled in, but there are %d sources:\n%s", files, len(sources), strings.Join(sources, "\n"))
	}
}

// sourceFiles returns the paths of all .proto files below this folder.
func sourceFiles(t *testing.T) []string {
	t.Helper()
	var sources []string
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".proto" {
			sources = append(sources, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// declared is one declaration in a source file.
type declared struct {
	what      string // "message FileMeta"
	line      int
	commented bool
}

// scan finds the declarations in a .proto file.
func scan(t *testing.T, path string) []declared {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var found []declared
	above := ""
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if m := declaration.FindStringSubmatch(line); m != nil {
			comment, isComment := strings.CutPrefix(strings.TrimSpace(above), "//")
			found = append(found, declared{
				what:      m[1] + " " + m[2],
				line:      n,
				commented: isComment && strings.Trim(comment, " -") != "",
			})
		}
		above = line
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// declarations lists what a compiled file declares, sorted.
func declarations(file protoreflect.FileDescriptor) []string {
	all := []string{fmt.Sprintf("package %s", file.Package())}
	for service := range each(file.Services()) {
		all = append(all, fmt.Sprintf("service %s", service.Name()))
		for method := range each(service.Methods()) {
			all = append(all, fmt.Sprintf("rpc %s", method.Name()))
		}
	}
	var messages func(protoreflect.MessageDescriptors)
	enums := func(list protoreflect.EnumDescriptors) {
		for enum := range each(list) {
			all = append(all, fmt.Sprintf("enum %s", enum.Name()))
		}
	}
	messages = func(list protoreflect.MessageDescriptors) {
		for message := range each(list) {
			if message.IsMapEntry() {
				continue
			}
			all = append(all, fmt.Sprintf("message %s", message.Name()))
			enums(message.Enums())
			messages(message.Messages())
		}
	}
	enums(file.Enums())
	messages(file.Messages())
	slices.Sort(all)
	return all
}
