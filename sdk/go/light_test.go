package ottavo_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A program that imports this package compiles gRPC, protobuf and what those two
// need, and nothing else of anybody's. The tests of the package need hardly more,
// as `go mod tidy` of that program fetches it, too.
func TestLight(t *testing.T) {
	allowed := []string{
		"google.golang.org/grpc", "google.golang.org/protobuf", "google.golang.org/genproto/googleapis/rpc",
		"golang.org/x/net", "golang.org/x/sys", "golang.org/x/text",
	}
	for _, c := range []struct {
		name    string
		args    []string
		allowed []string
	}{
		{"the package", nil, allowed},
		{"its tests", []string{"-test"}, append(slices.Clip(allowed), "go.uber.org/goleak")},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{
				"list", "-deps", "-f",
				"{{if .Module}}{{if .Module.Main}}{{.ImportPath}}{{else}}{{.Module.Path}}{{end}}{{end}}",
			}, c.args...)
			out, err := exec.CommandContext(timeout(t), "go", append(args, ".")...).Output()
			if err != nil {
				t.Skipf("SKIP: go list: %v", err)
			}
			const own = "github.com/ottavo-runtime/ottavo/"
			modules := make(map[string]bool)
			for line := range strings.Lines(string(out)) {
				name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
				switch {
				case name == "", strings.HasPrefix(name, own+"spec/proto/"), strings.HasPrefix(name, own+"sdk/go"):
				case slices.Contains(c.allowed, name):
					modules[name] = true
				default:
					t.Errorf("it brings %s along", name)
				}
			}
			if len(modules) != len(c.allowed) {
				t.Errorf("it brings %v along, want %q", modules, c.allowed)
			}
		})
	}
}
