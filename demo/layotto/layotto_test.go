package layotto_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// startForeign starts the real program, which looks for its application at the
// port that is returned.
func startForeign(t *testing.T) (p *ottavotest.Process, port, callbackPort string) {
	t.Helper()
	callbackPort = strconv.Itoa(testserver.Port(t))
	p = ottavotest.StartForeign(t, ottavotest.NoCallbacks, "grpc_callback_port: "+callbackPort)
	_, port, err := net.SplitHostPort(p.Addr("runtime"))
	if err != nil {
		t.Fatal(err)
	}
	return p, port, callbackPort
}

func wantPrinted(t *testing.T, got, client string) {
	t.Helper()
	if want := ottavotest.OneBlock(t, "demo/layotto/README.md", "```"+client); got != want {
		t.Errorf("%s printed\n%swant, as in README.md\n%s", client, got, want)
	}
}

// Layotto's client for Node, from npm.
func TestNode(t *testing.T) {
	ottavotest.NeedsCommands(t, "node", "bash")
	ottavotest.NeedsCache(t, "layotto-js-sdk", "demo/layotto/js-sdk/package-lock.json")
	p, port, callbackPort := startForeign(t)
	modules := filepath.Join(ottavotest.Root(t), ".cache/layotto-js-sdk/node_modules")
	got := p.Script(fmt.Sprintf("exec node --no-deprecation demo/layotto/js-sdk/main.js %s %s", port, callbackPort), "OTTAVO_NODE_MODULES="+modules)
	wantPrinted(t, got, "js-sdk")
}

// Layotto's client for Java, from Maven Central.
func TestJava(t *testing.T) {
	ottavotest.NeedsCommands(t, "java", "javac", "bash")
	ottavotest.NeedsCache(t, "jars/java-sdk", "demo/layotto/java-sdk/pom.xml")
	p, port, callbackPort := startForeign(t)
	got := p.Script(fmt.Sprintf(`exec java -cp ".cache/jars/java-sdk/*" demo/layotto/java-sdk/Main.java %s %s`, port, callbackPort))
	wantPrinted(t, got, "java-sdk")
}
