package testserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// zooKeeperJar is where Debian's package zookeeper has it; its manifest names
// all that it needs beside.
const zooKeeperJar = "/usr/share/java/zookeeper.jar"

// ZooKeeper starts a single ZooKeeper and stops it when the test ends. It keeps
// its data over Stop and Start. Sessions live at least 200 ms, at most 30 s. The test is
// skipped when there is none on this machine.
func ZooKeeper(t testing.TB) *Process {
	t.Helper()
	if _, err := os.Stat(zooKeeperJar); err != nil {
		t.Skip("SKIP: ZooKeeper not found: apt-get install zookeeper")
	}
	java := needCommand(t, "java", "install a Java runtime")
	dir := t.TempDir()
	p := &Process{
		t: t, name: "ZooKeeper",
		command: func(port int) *exec.Cmd {
			conf := filepath.Join(dir, "zoo.cfg")
			text := fmt.Sprintf("dataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\ntickTime=100\nmaxSessionTimeout=30000\n"+
				"admin.enableServer=false\n4lw.commands.whitelist=ruok,srvr\nmaxClientCnxns=0\nforceSync=no\n", dir, port)
			if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return exec.Command(java, "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dzookeeper.jmx.log4j.disable=true",
				"-cp", zooKeeperJar, "org.apache.zookeeper.server.ZooKeeperServerMain", conf)
		},
		ready: func(addr string) error {
			// "ruok" is answered before the data is there; srvr then still says so.
			out, err := talk(addr, "srvr")
			if err == nil && len(out) < 100 {
				err = fmt.Errorf("it says %q", out)
			}
			return err
		},
	}
	p.launch()
	return p
}
