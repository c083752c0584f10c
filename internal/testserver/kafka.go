package testserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// WideVariable is the variable of the environment that lets tests start servers
// which are only for `make test-wide`: they are big, slow to start, and fetched by
// that target alone.
const WideVariable = "OTTAVO_WIDE"

// KafkaUser is the only user of a broker's guarded address.
const KafkaUser = "app"

// A KafkaServer is a broker of Kafka that is its own controller. Its Addr asks for no
// password.
type KafkaServer struct {
	*Process
	// Guarded is its second host:port, which asks KafkaUser for the password, by SASL's
	// PLAIN. It stays the same over Stop and Start.
	Guarded string
	// Password counts from the next Start on.
	Password string

	dir        string
	tool       []string // java and what it needs to run a class of Kafka's
	guarded    int      // the port of Guarded
	controller int
}

// Kafka starts a broker of Kafka with the password for its guarded address, and stops it
// when the test ends. Topics are made, with one partition, when they are first asked for;
// the broker keeps its data over Stop, which is a kill -9, and Start. The test is
// skipped outside of `make test-wide`, and when the broker's jars are not there.
func Kafka(t testing.TB, password string) *KafkaServer {
	t.Helper()
	if os.Getenv(WideVariable) == "" {
		t.Skip("SKIP: a real Kafka is for make test-wide")
	}
	path := jars(t, "kafka")
	s := &KafkaServer{
		Password: password, dir: t.TempDir(),
		// Compiled lazily and with one collector's thread it starts in four seconds.
		tool: []string{
			needCommand(t, "java", "install a Java runtime of version 17 or later"), "-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
			"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", path,
		},
	}
	s.guarded, s.controller = Port(t), Port(t)
	s.Guarded = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.guarded))
	s.Process = &Process{t: t, name: "Kafka", ready: kafkaReady, command: s.command}
	s.launch()
	return s
}

// command writes the configuration for a port, formats the folder of the data when
// that was not done, and returns what starts the broker.
func (s *KafkaServer) command(port int) *exec.Cmd {
	conf := filepath.Join(s.dir, "server.properties")
	if err := os.WriteFile(conf, []byte(s.properties(port)), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.data(), "meta.properties")); err != nil {
		args := append(s.tool[1:len(s.tool):len(s.tool)], "kafka.tools.StorageTool", "format", "--cluster-id", "b3R0YXZvLXRlc3RzLS0tLQ", "--config", conf)
		if out, err := exec.CommandContext(s.t.Context(), s.tool[0], args...).CombinedOutput(); err != nil {
			s.t.Fatalf("testserver: formatting the folder of Kafka: %v\n%s", err, out)
		}
	}
	return exec.Command(s.tool[0], append(s.tool[1:len(s.tool):len(s.tool)], "kafka.Kafka", conf)...)
}

func (s *KafkaServer) data() string { return filepath.Join(s.dir, "data") }

// properties is the broker's configuration. Its times are short, so that a broker that
// was killed is let back soon.
func (s *KafkaServer) properties(port int) string {
	return fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[3]d
listeners=OPEN://127.0.0.1:%[1]d,GUARDED://127.0.0.1:%[2]d,CONTROLLER://127.0.0.1:%[3]d
advertised.listeners=OPEN://127.0.0.1:%[1]d,GUARDED://127.0.0.1:%[2]d
listener.security.protocol.map=OPEN:PLAINTEXT,GUARDED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=OPEN
sasl.enabled.mechanisms=PLAIN
listener.name.guarded.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_%[4]s=%[5]q;
log.dirs=%[6]s
num.partitions=1
auto.create.topics.enable=true
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=300
controller.quorum.election.backoff.max.ms=300
`, port, s.guarded, s.controller, KafkaUser, s.Password, s.data())
}

// CreateTopic makes a topic with that many partitions.
func (s *KafkaServer) CreateTopic(topic string, partitions int32) {
	s.t.Helper()
	b := []byte{0, 0, 0, 1} // one topic, in version 2 of the message
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(topic))), topic...)
	b = binary.BigEndian.AppendUint32(b, uint32(partitions))
	b = append(b, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0) // one copy; no assignments, no settings
	b = append(b, 0, 0, 0x27, 0x10, 0)          // 10 seconds; not only a check
	answer, err := askKafka(s.Addr, 19, 2, b)
	// What follows the time of throttling and the number of topics is the name and an error.
	if at := 8 + 2 + len(topic); err != nil || len(answer) < at+2 || answer[at] != 0 || answer[at+1] != 0 {
		s.t.Fatalf("testserver: Kafka does not make the topic %q: %v, %x", topic, err, answer)
	}
}

// kafkaReady asks for the brokers of the cluster: a broker is in that list when it is
// allowed to serve.
func kafkaReady(addr string) error {
	answer, err := askKafka(addr, 3, 1, []byte{0, 0, 0, 0}) // about no topic
	if err == nil && (len(answer) < 4 || binary.BigEndian.Uint32(answer) != 1) {
		err = errors.New("it is not let into its cluster yet")
	}
	return err
}

// askKafka sends one request of a kind and version and returns its answer.
func askKafka(addr string, kind, version uint16, body []byte) ([]byte, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close() //nolint:errcheck // nothing follows
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(10+len(body)))
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, version)
	b = append(b, 0, 0, 0, 7, 0xff, 0xff) // the request's id; a client without a name
	if _, err := c.Write(append(b, body...)); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:4])
	if size < 4 || size > 1<<20 || head[7] != 7 {
		return nil, fmt.Errorf("an answer that begins with %x", head)
	}
	answer := make([]byte, size-4)
	_, err = io.ReadFull(c, answer)
	return answer, err
}
