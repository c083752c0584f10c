package builtin_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/internal/testserver/etcd"
	"github.com/ottavo-runtime/ottavo/runtime/config"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	s3v1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/s3"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// servers are what the samples of configs/layotto expect beside them: what stands
// in the file, and who puts a real one in its place.
var servers = []struct {
	text  string
	start func(t *testing.T) string
}{
	{"localhost:6380", redisServer},
	{"127.0.0.1:6380", redisWithPassword},
	{"redis.default.svc.cluster.local:6379", redisServer},
	{"redis:6379", redisServer},
	{"http://etcd:2379", etcdServer},
	{"etcd:2379", etcdServer},
	{"localhost:2379", etcdServer},
	{"127.0.0.1:2379", etcdServer},
	{"127.0.0.1:2181", zookeeper},
	{"localhost:2181", zookeeper},
	{"localhost:27017", mongo},
	{"127.0.0.1:3306", mariaDB},
	{`"userName": "root"`, func(*testing.T) string { return `"userName": "ottavo"` }},
	{`"password": "123456"`, func(*testing.T) string { return fmt.Sprintf(`"password": %q`, testserver.SQLPassword) }}, // as testserver has it
	{"http://localhost:8088", webServer},
	{"127.0.0.1:8889", echoServer},
	{"127.0.0.1:20001", echoServer},
	{"127.0.0.1:34904", free},
	{"0.0.0.0:34904", free},
	{"127.0.0.1:34999", free},
	{"0.0.0.0:34999", free},
	{"0.0.0.0:12221", free},
	{"../../configs/layotto/secret", func(*testing.T) string { return secrets }},
	{"/tmp/client-proxy.sock", func(t *testing.T) string { return filepath.Join(t.TempDir(), "api.sock") }},
}

const secrets = "../../configs/layotto/secret"

func free(*testing.T) string          { return "127.0.0.1:0" }
func redisServer(t *testing.T) string { return testserver.Redis(t).Addr }
func redisWithPassword(t *testing.T) string {
	return testserver.Redis(t, testserver.RedisPassword("redis123")).Addr
}
func zookeeper(t *testing.T) string  { return testserver.ZooKeeper(t).Addr }
func mongo(t *testing.T) string      { return testserver.Mongo(t).Addr }
func etcdServer(t *testing.T) string { return etcd.Start(t).Addr }

// mariaDB starts a server with the database that the sample names.
func mariaDB(t *testing.T) string {
	addr := testserver.MariaDB(t).Addr
	db, err := sql.Open("mysql", "ottavo:"+testserver.SQLPassword+"@tcp("+addr+")/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE layotto"); err != nil {
		t.Fatal(err)
	}
	return addr
}

func webServer(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "binding") }))
	t.Cleanup(s.Close)
	return s.URL
}

// echoServer answers with what was sent, and where to.
func echoServer(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what came is the answer
		_, _ = fmt.Fprintf(w, "%s %s %s %s", r.URL.Path, r.Header.Get("x-services"), r.Header.Get("x-method"), body)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// cannotRun are samples whose servers cannot be had here, or that need what this
// version does not have. They load all the same: TestConfigs.
var cannotRun = map[string]string{
	"config_consul.json":                "there is no Consul server to be had",
	"config_apollo.json":                "there is no Apollo server to be had; the backend is tested against a stand-in",
	"config_nacos.json":                 "there is no Nacos server to be had; the backend is tested against a stand-in",
	"docker_nacos.json":                 "there is no Nacos server to be had; the backend is tested against a stand-in",
	"config_file.json":                  "there is no MinIO server to be had; the backend is tested against a stand-in",
	"docker_minio.json":                 "there is no MinIO server to be had; the backend is tested against a stand-in",
	"config_file_qiniu_oss.json":        "it needs an account with the vendor; the backend is tested against a stand-in",
	"config_file_tencentcloud_oss.json": "it needs an account with the vendor; the backend is tested against a stand-in",
	"config_oss.json":                   "it needs an account with the vendor; the backend is tested against a stand-in",
	"config_cryption.json":              "it needs an account with the vendor; the backend is tested against a stand-in",
	"config_email_aliyun.json":          "it needs an account with the vendor; the backend is tested against a stand-in",
	"config_sms_tencentcloud.json":      "it needs an account with the vendor; the backend is tested against a stand-in",
	"config_hello_component.json":       "it needs a pluggable component beside it; demo/pluggable runs one",
	"demo_faas.json":                    "it needs WASM, which this version cannot run",
}

// TestLayottoSamples runs every sample whose servers can be had, and calls every
// component in it.
func TestLayottoSamples(t *testing.T) {
	files, err := filepath.Glob("../../configs/layotto/*.json")
	if err != nil || len(files) < 32 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			if why, ok := cannotRun[name]; ok {
				t.Skip(why)
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := string(data)
			for _, s := range servers {
				if strings.Contains(text, s.text) {
					text = strings.ReplaceAll(text, s.text, s.start(t))
				}
			}
			rt := runtimetest.Start(t, text)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			callAll(t, ctx, rt.Client(t), rt.Config.Runtime.Components)
		})
	}
}

// callAll calls every component of a configuration once in earnest.
func callAll(t *testing.T, ctx context.Context, cc *grpc.ClientConn, components map[string][]config.Component) {
	t.Helper()
	client := runtimev1.NewRuntimeClient(cc)
	check := func(what string, ok bool, err error) {
		t.Helper()
		if err != nil || !ok {
			t.Errorf("%s: ok %v, %v", what, ok, err)
		}
	}
	each := func(section string, call func(name string)) {
		for _, c := range components[section] {
			call(c.Name)
		}
	}
	each(config.Hellos, func(name string) {
		resp, err := client.SayHello(ctx, &runtimev1.SayHelloRequest{ServiceName: name, Name: "eva"})
		check("SayHello", resp.GetHello() == "greeting, eva", err)
	})
	each(config.States, func(name string) {
		_, err := client.SaveState(ctx, &runtimev1.SaveStateRequest{StoreName: name, States: []*runtimev1.StateItem{{Key: "k", Value: []byte("v")}}})
		check("SaveState "+name, true, err)
		resp, err := client.GetState(ctx, &runtimev1.GetStateRequest{StoreName: name, Key: "k"})
		check("GetState "+name, string(resp.GetData()) == "v", err)
	})
	each(config.Locks, func(name string) {
		got, err := client.TryLock(ctx, &runtimev1.TryLockRequest{StoreName: name, ResourceId: "r", LockOwner: "me", Expire: 600})
		check("TryLock "+name, got.GetSuccess(), err)
		again, err := client.TryLock(ctx, &runtimev1.TryLockRequest{StoreName: name, ResourceId: "r", LockOwner: "other", Expire: 600})
		check("second TryLock "+name, !again.GetSuccess(), err)
		left, err := client.Unlock(ctx, &runtimev1.UnlockRequest{StoreName: name, ResourceId: "r", LockOwner: "me"})
		check("Unlock "+name, left.GetStatus() == runtimev1.UnlockResponse_SUCCESS, err)
	})
	each(config.Sequencers, func(name string) {
		strong := &runtimev1.SequencerOptions{Increment: runtimev1.SequencerOptions_STRONG}
		first, err := client.GetNextId(ctx, &runtimev1.GetNextIdRequest{StoreName: name, Key: "k", Options: strong})
		check("GetNextId "+name, true, err)
		second, err := client.GetNextId(ctx, &runtimev1.GetNextIdRequest{StoreName: name, Key: "k", Options: strong})
		check("second GetNextId "+name, second.GetNextId() > first.GetNextId(), err)
	})
	each(config.PubSubs, func(name string) {
		_, err := client.PublishEvent(ctx, &runtimev1.PublishEventRequest{PubsubName: name, Topic: "hello", Data: []byte("x")})
		check("PublishEvent "+name, true, err)
	})
	each(config.SecretStores, func(name string) {
		resp, err := client.GetBulkSecret(ctx, &runtimev1.GetBulkSecretRequest{StoreName: name})
		check("GetBulkSecret "+name, len(resp.GetData()) > 0, err)
	})
	each(config.ConfigStores, func(name string) {
		_, err := client.SaveConfiguration(ctx, &runtimev1.SaveConfigurationRequest{StoreName: name, AppId: "app1", Items: []*runtimev1.ConfigurationItem{{Key: "k", Content: "v"}}})
		check("SaveConfiguration "+name, true, err)
		resp, err := client.GetConfiguration(ctx, &runtimev1.GetConfigurationRequest{StoreName: name, AppId: "app1", Keys: []string{"k"}})
		check("GetConfiguration "+name, len(resp.GetItems()) == 1 && resp.GetItems()[0].GetContent() == "v", err)
		_, err = client.DeleteConfiguration(ctx, &runtimev1.DeleteConfigurationRequest{StoreName: name, AppId: "app1", Keys: []string{"k"}})
		check("DeleteConfiguration "+name, true, err)
	})
	each(config.Bindings, func(name string) {
		resp, err := client.InvokeBinding(ctx, &runtimev1.InvokeBindingRequest{Name: name, Operation: "get"})
		check("InvokeBinding "+name, string(resp.GetData()) == "binding", err)
	})
	each(config.Files, func(name string) {
		put, err := client.PutFile(ctx)
		check("PutFile "+name, true, err)
		err = put.Send(&runtimev1.PutFileRequest{StoreName: name, Name: "folder/file.txt", Data: []byte("text"), Metadata: map[string]string{"FileMode": "420", "FileFlag": "578"}})
		check("PutFile "+name, true, err)
		_, err = put.CloseAndRecv()
		check("PutFile "+name, true, err)
		get, err := client.GetFile(ctx, &runtimev1.GetFileRequest{StoreName: name, Name: "folder/file.txt"})
		check("GetFile "+name, true, err)
		chunk, err := get.Recv()
		check("GetFile "+name, string(chunk.GetData()) == "text", err)
	})
	each(config.ObjectStores, func(name string) {
		_, err := s3v1.NewObjectStorageServiceClient(cc).ListObjects(ctx, &s3v1.ListObjectsInput{StoreName: name, Bucket: "b"})
		check("ListObjects "+name, true, err)
	})
	each(config.RPCs, func(name string) {
		resp, err := client.InvokeService(ctx, &runtimev1.InvokeServiceRequest{Id: "HelloService:1.0", Message: &runtimev1.CommonInvokeRequest{
			Method: "/hello", ContentType: "application/json", Data: &anypb.Any{Value: []byte(`{"a":1}`)},
		}})
		got := string(resp.GetData().GetValue())
		// The callback dubbo_json_rpc makes a path of the service's name.
		check("InvokeService "+name+": "+got, got == `/hello   {"a":1}` || got == `/HelloService:1.0 HelloService:1.0 /hello {"a":1}`, err)
	})
}
