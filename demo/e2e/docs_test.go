package e2e_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
)

// defaultConfig is configs/default.yaml without its ports, with the service of
// its demo at that address.
func defaultConfig(t *testing.T, service string) string {
	t.Helper()
	return ottavotest.DefaultConfig(t, "127.0.0.1:8889", service, "actuator: {listen: 127.0.0.1:0}", `actuator: {listen: "ACTUATOR"}`)
}

// The calls that README.md has for copying work, with configs/default.yaml.
func TestReadme(t *testing.T) {
	hello := httptestServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s, %s", r.URL.Path, r.FormValue("name")) // an error shows at the caller
	})
	p := ottavotest.Start(t, defaultConfig(t, hello))
	var calls, answers []string
	for _, block := range ottavotest.CodeBlocks(t, "README.md", "```sh") {
		for line := range strings.Lines(block) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "bin/ottavo "); ok {
				calls = append(calls, rest)
			}
		}
	}
	if len(calls) != 4 {
		t.Fatalf("README.md has the calls %q, want 4", calls)
	}
	for _, call := range calls {
		cmd := exec.CommandContext(timeout(t), "sh", "-c", `exec "$0" `+call+` --address "$1"`, ottavotest.Binary(t), p.Addr("runtime"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", call, err, out)
		}
		answers = append(answers, string(out))
	}
	want := ottavotest.CodeBlocks(t, "README.md", "```json")
	if len(want) != 1 || answers[2] != want[0] {
		t.Errorf("%s answers\n%swant, as in README.md\n%s", calls[2], answers[2], want)
	}
	for i, text := range map[int]string{0: "greeting, eva", 3: "/hello, eva"} {
		if !strings.Contains(answers[i], text) {
			t.Errorf("%s answers\n%swant %q", calls[i], answers[i], text)
		}
	}
}

// docs/api.md lists the methods that are built; all others are there and say
// that they are not.
func TestWhatIsBuilt(t *testing.T) {
	page := ottavotest.ReadFile(t, "docs/api.md")
	_, section, _ := strings.Cut(page, "## What is built")
	section, _, _ = strings.Cut(section, "\n## ")
	documented := make(map[string]bool)
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			for _, m := range regexp.MustCompile("`([A-Z][a-zA-Z]+)`").FindAllStringSubmatch(cells[2], -1) {
				documented[m[1]] = true
			}
		}
	}
	if len(documented) < 5 {
		t.Fatalf("docs/api.md lists %v: the test does not see the table", documented)
	}

	p := ottavotest.Start(t, defaultConfig(t, closedPort(t)))
	conn, err := grpc.NewClient(p.Addr("runtime"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing hangs on it
	methods := 0
	// The definition is there because the client that the other tests use has it.
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		// AppCallback is the application's side.
		if file.Package() != "spec.proto.runtime.v1" {
			return true
		}
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			if service.Name() == "AppCallback" {
				continue
			}
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				methods++
				name := string(method.Name())
				err := callEmpty(t, conn, fmt.Sprintf("/%s/%s", service.FullName(), name))
				unbuilt := status.Code(err) == codes.Unimplemented
				if built := documented[name] && service.Name() == "Runtime"; built == unbuilt {
					t.Errorf("%s answers %v; in docs/api.md it is built: %t", method.FullName(), err, built)
				}
				if unbuilt && !strings.Contains(err.Error(), name) {
					t.Errorf("%s: %v, want an error that names the method", method.FullName(), err)
				}
			}
		}
		return true
	})
	if methods < 27 {
		t.Errorf("%d methods were called, want 26 of Runtime and one of Lifecycle", methods)
	}
}

// callEmpty calls a method of any kind with one empty message.
func callEmpty(t *testing.T, conn *grpc.ClientConn, method string) error {
	t.Helper()
	stream, err := conn.NewStream(timeout(t), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(&emptypb.Empty{}) // what went wrong shows in RecvMsg
	_ = stream.CloseSend()
	return stream.RecvMsg(&emptypb.Empty{})
}

// Every file in configs is valid, and says so by itself.
func TestConfigs(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(ottavotest.Root(t), "configs", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join(ottavotest.Root(t), "configs", "default.yaml"))
	files = slices.DeleteFunc(files, func(name string) bool { return !slices.Contains([]string{".json", ".yaml"}, filepath.Ext(name)) })
	if len(files) < 3 {
		t.Fatalf("there are only %q", files)
	}
	for _, file := range files {
		if out, errs, err := ottavotest.Run(t, "validate", "-c", file); err != nil {
			t.Errorf("%s: %v\n%s%s", file, err, out, errs)
		}
	}
}
