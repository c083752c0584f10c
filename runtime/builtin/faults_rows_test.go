package builtin_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	goredis "github.com/go-redis/redis/v8"
	"github.com/jackc/pgx/v5"
	natsgo "github.com/nats-io/nats.go"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/internal/testserver/etcd"
	"github.com/ottavo-runtime/ottavo/internal/testserver/mqtt"
	"github.com/ottavo-runtime/ottavo/internal/testserver/nats"
)

// Reasons that many components share.
const (
	noConnection  = "it connects with its first call: a server that is away is told of by health"
	noPassword    = "the server of the tests asks for no password"
	noLimit       = "it has no limit that a test could set"
	noDisk        = "the server's disk would have to be full: its driver passes on what it says"
	tellsByAnswer = "what it calls has its own notion of that, and says it in the answer"
)

// linked is a server in this process, which cannot be paused, behind a link that can.
type linked struct {
	server interface {
		Start()
		Stop()
	}
	link *testserver.Link
}

func (l linked) Start()  { l.server.Start(); l.link.Mend() }
func (l linked) Stop()   { l.link.Refuse(); l.server.Stop() }
func (l linked) Pause()  { l.link.Hold() }
func (l linked) Resume() { l.link.Mend() }

// nothing is a server that stays.
type nothing struct{}

func (nothing) Start() {}
func (nothing) Stop()  {}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// userOf is the user that goes with a password: none without.
func userOf(password, user string) string {
	if password == "" {
		return ""
	}
	return user
}

func etcdConfig(timeout string) func(addr, password string) string {
	return func(addr, password string) string {
		return fmt.Sprintf("metadata: {endpoints: %q, username: %q, password: %q, %s: 2s}", addr, userOf(password, "root"), password, timeout)
	}
}

func etcdClient(t *testing.T, addr, password string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, Username: userOf(password, "root"), Password: password, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func redisConfig(more string) func(addr, password string) string {
	return func(addr, password string) string {
		return fmt.Sprintf("metadata: {redisHost: %q, redisPassword: %q%s}", addr, password, more)
	}
}

func metadata(format string) func(addr, password string) string {
	return func(addr, _ string) string { return "metadata: {" + fmt.Sprintf(format, addr) + "}" }
}

// faultRows are servers with the components on them, the slowest to start first.
var faultRows = []faultRow{
	{
		server: "rabbitmq",
		start:  func(t *testing.T) (faultServer, string) { s := testserver.RabbitMQ(t); return s, s.Addr },
		components: []faultComponent{{kind: "pubsub", typ: "rabbitmq", config: func(addr, password string) string {
			if password == "" {
				password = "guest"
			}
			return fmt.Sprintf("metadata: {connectionString: \"amqp://guest:%s@%s\", durable: \"true\", deletedWhenUnused: \"false\", reconnectWaitSeconds: \"1\"}", password, addr)
		}, skip: map[string]string{full: "it stops to read from publishers instead: they run out of time"}}},
		guarded: true, // a second one would take ten seconds to start
		denied:  []string{"username or password not allowed"},
	},
	{
		server: "redis",
		start: func(t *testing.T) (faultServer, string) {
			s := testserver.Redis(t, testserver.RedisArgs("--appendonly", "yes", "--appendfsync", "always", "--notify-keyspace-events", "KEA"))
			return s, s.Addr
		},
		components: []faultComponent{
			{kind: "state", typ: "redis", config: redisConfig(", keyPrefix: name"), cause: "refused"},
			{kind: "pubsub", typ: "redis", config: redisConfig(", processingTimeout: 1s, redeliverInterval: 500ms"), cause: "refused"},
			{kind: "lock", typ: "redis", config: redisConfig(""), cause: "refused"},
			{kind: "sequencer", typ: "redis", config: redisConfig(""), cause: "refused"},
			{kind: "configuration", typ: "redis", config: redisConfig(""), cause: "refused"},
			{kind: "binding", typ: "redis", config: redisConfig(""), cause: "refused"},
		},
		lock: func(t *testing.T, password string) (string, func(t *testing.T)) {
			s := testserver.Redis(t, testserver.RedisPassword(password), testserver.RedisArgs("--notify-keyspace-events", "KEA"))
			return s.Addr, func(t *testing.T) {
				t.Helper()
				c := goredis.NewClient(&goredis.Options{Addr: s.Addr, Password: password})
				defer c.Close() //nolint:errcheck // nothing follows
				if err := c.ConfigSet(t.Context(), "requirepass", "another").Err(); err != nil {
					t.Fatal(err)
				}
				_ = c.ClientKillByFilter(t.Context(), "SKIPME", "no").Err() // it kills this one, too
			}
		},
		denied: []string{"WRONGPASS"},
		fill: func(_ *testing.T, s faultServer, _ string) func() {
			r := s.(*testserver.RedisServer)
			r.Command("CONFIG", "SET", "maxmemory-policy", "noeviction")
			r.Command("CONFIG", "SET", "maxmemory", "1")
			return func() { r.Command("CONFIG", "SET", "maxmemory", "0") }
		},
		noRoom: "maxmemory",
	},
	{
		server: "etcd",
		start: func(t *testing.T) (faultServer, string) {
			s := etcd.Start(t)
			l := testserver.NewLink(t, s.Addr)
			return linked{s, l}, l.Addr
		},
		components: []faultComponent{
			{kind: "state", typ: "etcd", config: etcdConfig("timeout")},
			{kind: "lock", typ: "etcd", config: etcdConfig("dialTimeout")},
			{kind: "sequencer", typ: "etcd", config: etcdConfig("dialTimeout")},
			{kind: "configuration", typ: "etcd", config: func(addr, password string) string {
				return fmt.Sprintf("address: [%q], timeout: \"2\", metadata: {username: %q, password: %q}", addr, userOf(password, "root"), password)
			}},
		},
		lock: func(t *testing.T, password string) (string, func(t *testing.T)) {
			s := etcd.Start(t)
			c := etcdClient(t, s.Addr, "")
			if _, err := c.RoleAdd(t.Context(), "root"); err != nil {
				t.Fatal(err)
			}
			if _, err := c.UserAdd(t.Context(), "root", password); err != nil {
				t.Fatal(err)
			}
			if _, err := c.UserGrantRole(t.Context(), "root", "root"); err != nil {
				t.Fatal(err)
			}
			if _, err := c.AuthEnable(t.Context()); err != nil {
				t.Fatal(err)
			}
			return s.Addr, func(t *testing.T) {
				t.Helper()
				if _, err := etcdClient(t, s.Addr, password).UserChangePassword(t.Context(), "root", "another"); err != nil {
					t.Fatal(err)
				}
			}
		},
		denied: []string{"authentication failed"},
		fill: func(t *testing.T, _ faultServer, addr string) func() {
			alarm := func(action etcdserverpb.AlarmRequest_AlarmAction) {
				req := &etcdserverpb.AlarmRequest{Action: action, Alarm: etcdserverpb.AlarmType_NOSPACE}
				if action == etcdserverpb.AlarmRequest_DEACTIVATE {
					all, err := etcdserverpb.NewMaintenanceClient(etcdClient(t, addr, "").ActiveConnection()).Alarm(t.Context(), &etcdserverpb.AlarmRequest{})
					if err != nil || len(all.Alarms) == 0 {
						t.Fatal(all, err)
					}
					req.MemberID = all.Alarms[0].MemberID
				}
				if _, err := etcdserverpb.NewMaintenanceClient(etcdClient(t, addr, "").ActiveConnection()).Alarm(t.Context(), req); err != nil {
					t.Fatal(err)
				}
			}
			alarm(etcdserverpb.AlarmRequest_ACTIVATE)
			return func() { alarm(etcdserverpb.AlarmRequest_DEACTIVATE) }
		},
		noRoom: "database space exceeded",
	},
	{
		server: "zookeeper",
		start:  func(t *testing.T) (faultServer, string) { s := testserver.ZooKeeper(t); return s, s.Addr },
		components: []faultComponent{
			{kind: "state", typ: "zookeeper", config: metadata("servers: %q"), skip: map[string]string{credentials: noPassword, full: noLimit}},
			{kind: "lock", typ: "zookeeper", config: metadata("zookeeperHosts: %q, sessionTimeout: 2s"), skip: map[string]string{credentials: noPassword, full: noLimit}},
			{kind: "sequencer", typ: "zookeeper", config: metadata("zookeeperHosts: %q, sessionTimeout: 2s"), skip: map[string]string{credentials: noPassword, full: noLimit}},
		},
	},
	{
		server: "mongo",
		start:  func(t *testing.T) (faultServer, string) { s := testserver.Mongo(t); return s, s.Addr },
		components: []faultComponent{
			{kind: "lock", typ: "mongo", config: metadata("mongoHost: %q, operationTimeout: 2s"), skip: map[string]string{credentials: noPassword, full: noLimit}},
			{kind: "sequencer", typ: "mongo", config: metadata("mongoHost: %q, operationTimeout: 2s"), skip: map[string]string{credentials: noPassword, full: noLimit}},
		},
	},
	{
		server: "postgres",
		start: func(t *testing.T) (faultServer, string) { // its processes cannot all be paused
			s := testserver.Postgres(t)
			l := testserver.NewLink(t, s.Addr)
			return linked{s, l}, l.Addr
		},
		components: []faultComponent{
			{kind: "state", typ: "postgresql", config: postgresConfig, skip: map[string]string{full: noDisk}},
		},
		lock: func(t *testing.T, password string) (string, func(t *testing.T)) {
			s := testserver.Postgres(t)
			as := func(t *testing.T, with, to string) {
				t.Helper()
				c, err := pgx.Connect(t.Context(), fmt.Sprintf("postgres://ottavo:%s@%s/postgres?sslmode=disable", with, s.Addr))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close(t.Context()) //nolint:errcheck // nothing follows
				for _, q := range []string{"ALTER USER ottavo PASSWORD '" + to + "'", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ottavo' AND pid <> pg_backend_pid()"} {
					if _, err := c.Exec(t.Context(), q); err != nil {
						t.Fatal(err)
					}
				}
			}
			as(t, testserver.SQLPassword, password)
			return s.Addr, func(t *testing.T) { t.Helper(); as(t, password, "another") }
		},
		denied: []string{"password authentication failed"},
	},
	{
		server: "mariadb",
		start:  func(t *testing.T) (faultServer, string) { s := testserver.MariaDB(t); return s, s.Addr },
		components: []faultComponent{
			{kind: "state", typ: "mysql", config: mysqlConfig, skip: map[string]string{full: noDisk}},
		},
		lock: func(t *testing.T, password string) (string, func(t *testing.T)) {
			s := testserver.MariaDB(t)
			as := func(t *testing.T, with, to string) {
				t.Helper()
				db, err := sql.Open("mysql", fmt.Sprintf("ottavo:%s@tcp(%s)/", with, s.Addr))
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close() //nolint:errcheck // nothing follows
				if _, err := db.ExecContext(t.Context(), "SET PASSWORD = PASSWORD('"+to+"')"); err != nil {
					t.Fatal(err)
				}
				_, _ = db.ExecContext(t.Context(), "KILL USER ottavo") // this one, too
			}
			as(t, testserver.SQLPassword, password)
			return s.Addr, func(t *testing.T) { t.Helper(); as(t, password, "another") }
		},
		denied: []string{"Access denied"},
	},
	{
		server: "memcached",
		start:  func(t *testing.T) (faultServer, string) { s := testserver.Memcached(t); return s, s.Addr },
		components: []faultComponent{{kind: "state", typ: "memcached", config: metadata("hosts: %q"), skip: map[string]string{
			credentials: noPassword, full: "it forgets the oldest items instead",
		}}},
	},
	{
		server: "mqtt",
		start: func(t *testing.T) (faultServer, string) {
			s := mqtt.Start(t, "")
			l := testserver.NewLink(t, s.Addr)
			return linked{nothing{}, l}, l.Addr // it would forget its sessions: only the way to it ends
		},
		components: []faultComponent{{kind: "pubsub", typ: "mqtt3", config: func(addr, password string) string {
			return fmt.Sprintf("metadata: {url: \"tcp://app:%s@%s\"}", password, addr)
		}, skip: map[string]string{full: "the server of the tests has no limit"}}},
		lock: func(t *testing.T, password string) (string, func(t *testing.T)) {
			return mqtt.Start(t, password).Addr, nil
		},
	},
	{
		server: "nats",
		start: func(t *testing.T) (faultServer, string) {
			s := nats.Start(t, "")
			makeStream(t, s.Addr)
			l := testserver.NewLink(t, s.Addr)
			return linked{s, l}, l.Addr
		},
		components: []faultComponent{{kind: "pubsub", typ: "jetstream", config: func(addr, password string) string {
			return fmt.Sprintf("metadata: {natsURL: \"nats://%s\", token: %q, ackWait: 2s}", addr, password)
		}}},
		lock: func(t *testing.T, password string) (string, func(t *testing.T)) {
			s := nats.Start(t, password)
			makeStream(t, s.Addr, natsgo.Token(password))
			return s.Addr, nil
		},
		denied: []string{"uthorization"},
		fill: func(t *testing.T, _ faultServer, addr string) func() {
			limit := func(most int64) {
				nc, err := natsgo.Connect("nats://" + addr)
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				js, err := nc.JetStream()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := js.UpdateStream(&natsgo.StreamConfig{Name: "topic", Subjects: []string{"topic"}, MaxMsgs: most, Discard: natsgo.DiscardNew}); err != nil {
					t.Fatal(err)
				}
			}
			limit(1)
			return func() { limit(-1) }
		},
		noRoom: "maximum messages exceeded",
	},
	{
		server: "web",
		start:  func(t *testing.T) (faultServer, string) { w := newWeb(t, ""); return w, w.addr },
		components: []faultComponent{
			{kind: "secret", typ: "hashicorp.vault", config: func(addr, password string) string {
				return fmt.Sprintf("metadata: {vaultAddr: \"http://%s\", vaultToken: %q}", addr, orElse(password, "any"))
			}, skip: map[string]string{awayAtStart: noConnection, full: "it is only read"}},
			{kind: "binding", typ: "http", config: func(addr, _ string) string { return fmt.Sprintf("metadata: {url: \"http://%s/page\"}", addr) }, skip: map[string]string{
				awayAtStart: noConnection, credentials: tellsByAnswer, full: tellsByAnswer,
			}},
			{kind: "cryption", typ: "aws.kms", config: func(addr, password string) string {
				return fmt.Sprintf("metadata: {endpoint: \"http://%s\", region: us-east-1, accessKeyID: %q, accessKeySecret: s, KeyID: key}", addr, orElse(password, "any"))
			}, skip: map[string]string{awayAtStart: noConnection, full: "it keeps nothing"}},
			{kind: "file", typ: "minio", config: func(addr, password string) string {
				return fmt.Sprintf("metadata: [{endpoint: %q, accessKeyID: %q, accessKeySecret: s}]", addr, orElse(password, "any"))
			}, skip: map[string]string{awayAtStart: noConnection}},
			{kind: "objectstore", typ: "minio", config: func(addr, password string) string {
				return fmt.Sprintf("metadata: {basic_config: {endpoint: \"http://%s\", accessKeyID: %q, accessKeySecret: s}}", addr, orElse(password, "any"))
			}, skip: map[string]string{awayAtStart: noConnection}},
		},
		lock: func(t *testing.T, password string) (string, func(t *testing.T)) {
			w := newWeb(t, password)
			return w.addr, w.change
		},
		fill: func(_ *testing.T, s faultServer, _ string) func() {
			s.(*web).fill(true)
			return func() { s.(*web).fill(false) }
		},
		noRoom: "StorageFull",
	},
}

func postgresConfig(addr, password string) string {
	return fmt.Sprintf("metadata: {connectionString: \"postgres://ottavo:%s@%s/postgres?sslmode=disable\"}", orElse(password, testserver.SQLPassword), addr)
}

func mysqlConfig(addr, password string) string {
	return fmt.Sprintf("metadata: {connectionString: \"ottavo:%s@tcp(%s)/\"}", orElse(password, testserver.SQLPassword), addr)
}

// makeStream makes the stream of the topic.
func makeStream(t *testing.T, addr string, opts ...natsgo.Option) {
	t.Helper()
	nc, err := natsgo.Connect("nats://"+addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AddStream(&natsgo.StreamConfig{Name: "topic", Subjects: []string{"topic"}}); err != nil {
		t.Fatal(err)
	}
}
