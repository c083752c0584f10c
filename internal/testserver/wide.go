package testserver

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// wideJava returns the command that runs a class of the Java program that
// testdata/wide/NAME/pom.xml names: its arguments follow. The test is skipped outside
// of `make test-wide`, and when the program is not there.
func wideJava(t testing.TB, name string, flags ...string) []string {
	t.Helper()
	if os.Getenv(WideVariable) == "" {
		t.Skipf("SKIP: %s is for make test-wide", name)
	}
	path := jars(t, name)
	java := needCommand(t, "java", "install a Java runtime of version 17 or later")
	// Compiled lazily and with one collector's thread it starts sooner.
	return slices.Concat([]string{java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"}, flags, []string{"-cp", path})
}

// run makes a command of what wideJava has returned.
func run(java []string, args ...string) *exec.Cmd {
	args = slices.Concat(java[1:], args)
	return exec.Command(java[0], args...)
}

// accepts is Process.ready of a server that listens when it is ready.
func accepts(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

// write writes a file of a server's configuration and returns its name.
func write(t testing.TB, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// quiet is a configuration of logback that keeps errors only.
const quiet = `<configuration><appender name="err" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%msg%n</pattern></encoder></appender><root level="ERROR"><appender-ref ref="err"/></root></configuration>`

// Cassandra starts a node of Cassandra that is its own cluster, lets everybody in and
// keeps its data over Stop and Start, and stops it when the test ends.
func Cassandra(t testing.TB) *Process {
	t.Helper()
	dir := t.TempDir()
	flags := []string{
		"-Xmx512m", "-Djava.io.tmpdir=" + dir, "-Dcassandra-foreground=yes", "-Dcassandra.storagedir=" + filepath.Join(dir, "data"),
		"-Dcassandra.config=file://" + filepath.Join(dir, "cassandra.yaml"),
		"-Dlogback.configurationFile=" + write(t, filepath.Join(dir, "logback.xml"), quiet),
		// Nobody else is to be waited for.
		"-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.ring_delay_ms=0", "-Dcassandra.superuser_setup_delay_ms=0",
		"-Djdk.attach.allowAttachSelf=true",
	}
	for _, open := range []string{
		"java.base/java.io", "java.base/java.lang", "java.base/java.lang.module", "java.base/java.lang.reflect", "java.base/java.math",
		"java.base/java.net", "java.base/java.nio", "java.base/java.util", "java.base/java.util.concurrent", "java.base/java.util.concurrent.atomic",
		"java.base/jdk.internal.loader", "java.base/jdk.internal.math", "java.base/jdk.internal.module", "java.base/jdk.internal.ref",
		"java.base/jdk.internal.reflect", "java.base/jdk.internal.util.jar", "java.base/sun.nio.ch", "java.rmi/sun.rmi.transport.tcp",
		"jdk.management/com.sun.management.internal", "jdk.compiler/com.sun.tools.javac.file",
	} {
		flags = append(flags, "--add-opens="+open+"=ALL-UNNAMED")
	}
	for _, export := range []string{
		"java.base/jdk.internal.misc", "java.base/jdk.internal.ref", "java.base/sun.nio.ch", "java.management.rmi/com.sun.jmx.remote.internal.rmi",
		"java.rmi/sun.rmi.registry", "java.rmi/sun.rmi.server", "java.rmi/sun.rmi.transport.tcp", "java.sql/java.sql", "jdk.unsupported/sun.misc",
	} {
		flags = append(flags, "--add-exports="+export+"=ALL-UNNAMED")
	}
	java := wideJava(t, "cassandra", flags...)
	storage := Port(t)
	p := &Process{t: t, name: "Cassandra", ready: accepts, command: func(port int) *exec.Cmd {
		write(t, filepath.Join(dir, "cassandra.yaml"), fmt.Sprintf(`cluster_name: test
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
commitlog_sync: periodic
commitlog_sync_period: 1s
commitlog_segment_size: 4MiB
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "127.0.0.1:%[1]d"
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: %[1]d
ssl_storage_port: %[1]d
native_transport_port: %[2]d
endpoint_snitch: SimpleSnitch
start_native_transport: true
`, storage, port))
		return run(java, "org.apache.cassandra.service.CassandraDaemon")
	}}
	p.launch()
	return p
}

// Hazelcast starts a member of Hazelcast that is its own cluster, in memory, and
// stops it when the test ends.
func Hazelcast(t testing.TB) *Process {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "hazelcast.xml")
	java := wideJava(t, "hazelcast", "-Xmx256m", "-Dhazelcast.config="+conf)
	p := &Process{t: t, name: "Hazelcast", ready: accepts, command: func(port int) *exec.Cmd {
		write(t, conf, fmt.Sprintf(`<hazelcast xmlns="http://www.hazelcast.com/schema/config">
<properties><property name="hazelcast.phone.home.enabled">false</property></properties>
<network><public-address>127.0.0.1:%[1]d</public-address><port auto-increment="false">%[1]d</port>
<interfaces enabled="true"><interface>127.0.0.1</interface></interfaces>
<join><multicast enabled="false"/><tcp-ip enabled="false"/></join></network></hazelcast>`, port))
		return run(java, "com.hazelcast.core.server.StartServer")
	}}
	p.launch()
	return p
}

// Artemis starts a broker of AMQP 1.0, in memory, which lets everybody in and makes
// topics ("topic://name") and queues ("queue://name") when they are first asked for,
// and stops it when the test ends.
func Artemis(t testing.TB) *Process {
	t.Helper()
	return javaMain(t, "artemis", "-Xmx256m")
}

// Zeebe starts Zeebe's engine, in memory, with its gateway, and stops it when the test
// ends.
func Zeebe(t testing.TB) *Process {
	t.Helper()
	return javaMain(t, "zeebe", "-Xmx256m", "--add-opens=java.base/java.nio=ALL-UNNAMED", "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED")
}

// Dubbo starts a provider of Dubbo, in Java, and stops it when the test ends. It has
// the service DubboService, whose method hello puts a greeting before a text.
func Dubbo(t testing.TB) *Process {
	t.Helper()
	return javaMain(t, "dubbo", "-Xmx256m", "-Duser.home="+t.TempDir(),
		"--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.math=ALL-UNNAMED")
}

// DubboService is the interface that Dubbo's provider has.
const DubboService = "Main$Greeter"

// javaMain starts testdata/wide/NAME/Main.java, which has a port as its argument.
func javaMain(t testing.TB, name string, flags ...string) *Process {
	t.Helper()
	java := wideJava(t, name, flags...)
	main := filepath.Join(here(), "testdata", "wide", name, "Main.java")
	dir := t.TempDir()
	p := &Process{t: t, name: name, ready: accepts, command: func(port int) *exec.Cmd {
		cmd := run(java, main, strconv.Itoa(port))
		cmd.Dir = dir
		return cmd
	}}
	p.launch()
	return p
}

// Coherence starts a member of Coherence that is its own cluster, in memory, with a
// server for clients of its gRPC, and stops it when the test ends.
func Coherence(t testing.TB) *Process {
	t.Helper()
	java := wideJava(t, "coherence", "-Xmx256m", "-Djava.net.preferIPv4Stack=true", "-Dcoherence.wka=127.0.0.1", "-Dcoherence.localhost=127.0.0.1",
		"-Dcoherence.ttl=0", "-Dcoherence.log.level=1", "-Dcoherence.clusterport="+strconv.Itoa(Port(t)), "-Dcoherence.health.http.port=0")
	p := &Process{t: t, name: "Coherence", ready: accepts, command: func(port int) *exec.Cmd {
		// Properties come before the class path, which ends with its value.
		with := slices.Insert(slices.Clone(java), 1, "-Dcoherence.grpc.server.port="+strconv.Itoa(port))
		return run(with, "com.tangosol.net.Coherence")
	}}
	p.launch()
	return p
}
