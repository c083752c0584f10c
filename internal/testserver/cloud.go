package testserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// MotoRegion is the only region that tests use.
const MotoRegion = "us-east-1"

// A MotoServer is moto: many services of AWS on one address, in its memory only. It
// asks for no credentials until Guard is called.
type MotoServer struct {
	*Process
	// KeyID and Secret are the credentials that requests of the test itself have.
	KeyID, Secret string
}

// URL is the endpoint of all services.
func (m *MotoServer) URL() string { return "http://" + m.Addr }

// Moto starts moto, which emulates AWS, and stops it when the test ends. The test is
// skipped outside of `make test-wide`, and when moto is not there.
func Moto(t testing.TB) *MotoServer {
	t.Helper()
	python := cached(t, "moto", "moto/bin/python")
	script, err := filepath.Abs(filepath.Join(filepath.Dir(python), "../../../internal/testserver/testdata/wide/moto/serve.py"))
	if err != nil {
		t.Fatal(err)
	}
	m := &MotoServer{KeyID: "test", Secret: "test"}
	m.Process = &Process{
		t: t, name: "moto",
		command: func(port int) *exec.Cmd {
			cmd := exec.Command(python, script, "127.0.0.1", strconv.Itoa(port))
			cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "INITIAL_NO_AUTH_ACTION_COUNT=inf", "MOTO_PORT="+strconv.Itoa(port))
			return cmd
		},
		ready: func(addr string) error { return answers("http://" + addr + "/moto-api/data.json") },
	}
	m.launch()
	return m
}

// Guard makes a user who may do everything, and lets moto ask for credentials from now
// on. The user's are in KeyID and Secret; they are returned, too.
func (m *MotoServer) Guard() (keyID, secret string) {
	m.t.Helper()
	user := url.Values{"UserName": {"app"}}
	m.Query("iam", "CreateUser", user)
	user.Set("PolicyName", "all")
	user.Set("PolicyDocument", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	m.Query("iam", "PutUserPolicy", user)
	answer := m.Query("iam", "CreateAccessKey", url.Values{"UserName": {"app"}})
	m.KeyID, m.Secret = between(answer, "<AccessKeyId>", "<"), between(answer, "<SecretAccessKey>", "<")
	if m.KeyID == "" || m.Secret == "" {
		m.t.Fatalf("testserver: moto made no key: %s", answer)
	}
	m.send("moto-api", "/moto-api/reset-auth", "text/plain", "", []byte("0"))
	return m.KeyID, m.Secret
}

// Call sends a request in JSON to a service, by the target that the service's API
// gives it ("DynamoDB_20120810.CreateTable"), and returns the answer.
func (m *MotoServer) Call(service, target string, body any) map[string]any {
	m.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		m.t.Fatal(err)
	}
	out := m.send(service, "/", "application/x-amz-json-1.0", target, data)
	var answer map[string]any
	if err := json.Unmarshal(out, &answer); err != nil && len(out) > 0 {
		m.t.Fatalf("testserver: moto answers %s with %s", target, out)
	}
	return answer
}

// Query sends a request as a form to a service, and returns the answer, in XML.
func (m *MotoServer) Query(service, action string, form url.Values) string {
	m.t.Helper()
	all := url.Values{"Action": {action}}
	for k, v := range form {
		all[k] = v
	}
	return string(m.send(service, "/", "application/x-www-form-urlencoded", "", []byte(all.Encode())))
}

// CreateBucket makes a bucket of S3.
func (m *MotoServer) CreateBucket(name string) {
	m.t.Helper()
	request(m.t, http.MethodPut, m.URL()+"/"+name, m.header("s3"), nil)
}

// header says which service is meant. Moto takes unsigned requests until Guard.
func (m *MotoServer) header(service string) http.Header {
	return http.Header{"Authorization": {fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/20260101/%s/%s/aws4_request, SignedHeaders=host, Signature=none", m.KeyID, MotoRegion, service)}}
}

func (m *MotoServer) send(service, path, contentType, target string, body []byte) []byte {
	m.t.Helper()
	header := m.header(service)
	header.Set("Content-Type", contentType)
	if target != "" {
		header.Set("X-Amz-Target", target)
	}
	return request(m.t, http.MethodPost, m.URL()+path, header, body)
}

// Azurite's account, which is the same everywhere, and no secret.
const (
	AzuriteAccount = "devstoreaccount1"
	AzuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// An AzuriteServer is one service of Azurite, which emulates Azure's storage.
type AzuriteServer struct{ *Process }

// URL is the endpoint of its account.
func (a *AzuriteServer) URL() string { return "http://" + a.Addr + "/" + AzuriteAccount }

// Azurite starts a service of Azurite ("blob", "queue" or "table"), and stops it when
// the test ends. It keeps its data over Stop and Start. The test is skipped outside of
// `make test-wide`, and when Azurite is not there.
func Azurite(t testing.TB, service string) *AzuriteServer {
	t.Helper()
	script := cached(t, "azurite", "azurite/node_modules/azurite/dist/src/"+service+"/main.js")
	node := needCommand(t, "node", "install Node.js 20 or later")
	dir := t.TempDir()
	p := &Process{
		t: t, name: "Azurite's " + service,
		command: func(port int) *exec.Cmd {
			return exec.Command(node, script, "--location", dir, "--"+service+"Host", "127.0.0.1", "--"+service+"Port", strconv.Itoa(port),
				"--loose", "--skipApiVersionCheck", "--disableTelemetry", "--silent")
		},
		ready: func(addr string) error { return answers("http://" + addr + "/") },
	}
	p.launch()
	return &AzuriteServer{p}
}

// cached returns a file that `make test-wide` has put below .cache.
func cached(t testing.TB, name, file string) string {
	t.Helper()
	if os.Getenv(WideVariable) == "" {
		t.Skipf("SKIP: %s is for make test-wide", name)
	}
	folder, err := filepath.Abs(".")
	for err == nil {
		path := filepath.Join(folder, ".cache", file)
		if _, statErr := os.Stat(path); statErr == nil {
			return path
		}
		if folder == filepath.Dir(folder) {
			break
		}
		folder = filepath.Dir(folder)
	}
	t.Skipf("SKIP: .cache/%s is not there: make test-wide fetches it", file)
	return ""
}

// answers returns nil when there is an HTTP server, whatever it says.
func answers(url string) error {
	c := http.Client{Timeout: time.Second}
	resp, err := c.Get(url)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// request sends one that has to succeed, and returns the answer's body.
func request(t testing.TB, method, url string, header http.Header, body []byte) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it is read
	out, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("testserver: %s %s: %s: %v\n%s", method, url, resp.Status, err, out)
	}
	return out
}

// between returns what stands after one text and before the next other one.
func between(s, after, before string) string {
	_, rest, _ := bytes.Cut([]byte(s), []byte(after))
	found, _, _ := bytes.Cut(rest, []byte(before))
	return string(found)
}

// Google starts an emulator of a service of Google Cloud: "pubsub", "storage" or
// "datastore" (see testdata/wide/google), and stops it when the test ends. It keeps its data
// in memory. The test is skipped outside of `make test-wide`.
func Google(t testing.TB, service string) *Process {
	t.Helper()
	command := cached(t, "google", "google/google")
	p := &Process{
		t: t, name: "Google's " + service,
		command: func(port int) *exec.Cmd { return exec.Command(command, service, "127.0.0.1:"+strconv.Itoa(port)) },
		ready: func(addr string) error {
			c, err := net.DialTimeout("tcp", addr, time.Second)
			if err != nil {
				return err
			}
			return c.Close()
		},
	}
	p.launch()
	return p
}
