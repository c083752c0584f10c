package e2e_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
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
	"github.com/ottavo-runtime/ottavo/internal/testserver"
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

// docs/api.md lists the whole API, and every method of it answers.
func TestWhatIsBuilt(t *testing.T) {
	page := ottavotest.ReadFile(t, "docs/api.md")
	_, section, _ := strings.Cut(page, "## What is built")
	section, _, _ = strings.Cut(section, "\n## ")

	p := ottavotest.Start(t, defaultConfig(t, testserver.Addr(t)))
	conn, err := grpc.NewClient(p.Addr("runtime"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing hangs on it
	methods := 0
	// The definitions are there because the client that the other tests use has them.
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		name := string(file.Package())
		if name != "spec.proto.runtime.v1" && !strings.HasPrefix(name, "spec.proto.extension.v1") {
			return true
		}
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			if service.Name() == "AppCallback" { // the application's side
				continue
			}
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				methods++
				listed := "`" + string(method.Name()) + "`"
				if service.Name() == "ObjectStorageService" {
					listed = "`ObjectStorageService`, all 26"
				}
				if !strings.Contains(section, listed) {
					t.Errorf("%s is not in docs/api.md", method.FullName())
				}
				err := callEmpty(t, conn, fmt.Sprintf("/%s/%s", service.FullName(), method.Name()))
				if err == nil || status.Code(err) == codes.Unimplemented {
					t.Errorf("%s answers %v to an empty message, want what is wrong with it", method.FullName(), err)
				}
			}
		}
		return true
	})
	if methods != 26+1+26+2+1+2+1+1 {
		t.Errorf("%d methods were called, want those of Runtime, Lifecycle, ObjectStorageService, CryptionService, DelayQueue, "+
			"EmailService, PhoneCallService and SmsService", methods)
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

// Every file in configs is valid, and says so by itself, except for the one that
// needs a component in a process of its own (demo/pluggable runs it).
func TestConfigs(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(ottavotest.Root(t), "configs", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join(ottavotest.Root(t), "configs", "default.yaml"))
	files = slices.DeleteFunc(files, func(name string) bool {
		return !slices.Contains([]string{".json", ".yaml"}, filepath.Ext(name)) || filepath.Base(name) == "config_hello_component.json"
	})
	if len(files) < 3 {
		t.Fatalf("there are only %q", files)
	}
	for _, file := range files {
		if out, errs, err := ottavotest.Run(t, "validate", "-c", file); err != nil {
			t.Errorf("%s: %v\n%s%s", file, err, out, errs)
		}
	}
}
