package testserver

import (
	"net"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// Mongo starts a server that speaks MongoDB's protocol, keeps everything in
// memory and has no transactions (mongo-java-server; there is no MongoDB in Debian),
// and stops it when the test ends. It asks for no password. Its data are gone after
// Stop. The test is skipped when its jars are not there.
func Mongo(t testing.TB) *Process {
	t.Helper()
	path := jars(t, "mongo")
	java := needCommand(t, "java", "install a Java runtime")
	main := filepath.Join(here(), "testdata", "jars", "mongo", "Main.java")
	p := &Process{
		t: t, name: "mongo-java-server",
		command: func(port int) *exec.Cmd {
			return exec.Command(java, "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", path, main, strconv.Itoa(port))
		},
		ready: func(addr string) error {
			c, err := net.DialTimeout("tcp", addr, time.Second)
			if err == nil {
				_ = c.Close()
			}
			return err
		},
	}
	p.launch()
	return p
}

// jars returns the class path of what testdata/jars/NAME/pom.xml names, which
// tools/test/jars.sh has fetched. The test is skipped when it has not.
func jars(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(here(), "..", "..", ".cache", "jars", name)
	found, err := filepath.Glob(filepath.Join(dir, "*.jar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Skipf("SKIP: the jars of %s are not there: run tools/test/jars.sh (with Maven and a JDK)", name)
	}
	return filepath.Join(dir, "*")
}

// here is this package's folder.
func here() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}
