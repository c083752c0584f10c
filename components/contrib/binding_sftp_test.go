package contrib_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	contribsftp "github.com/dapr/components-contrib/bindings/sftp"
	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/binding/bindingtest"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestSFTPBinding(t *testing.T) {
	matrix.Backend(t, "binding", "sftp")
	addr := sftpServer(t, "app", "secret")
	root := t.TempDir()
	bindingtest.RunOutput(t, bindingtest.Output{
		New: func(t *testing.T) binding.Binding {
			return newBinding(t, contrib.Binding(contribsftp.NewSftp), map[string]any{
				"address": addr, "username": "app", "password": "secret", "rootPath": root, "insecureIgnoreHostKey": "true",
			})
		},
		Request: binding.Request{Operation: "create", Data: []byte("x"), Metadata: map[string]string{"fileName": "a.txt"}},
		Want:    "a.txt",
		Wrong:   &binding.Request{Operation: "get", Metadata: map[string]string{"fileName": "none.txt"}},
	})
	if data, err := os.ReadFile(filepath.Join(root, "a.txt")); err != nil || string(data) != "x" {
		t.Errorf("the file holds %q, %v", data, err)
	}
}

// sftpServer serves the files of this machine to one user, until the test ends.
func sftpServer(t *testing.T, user, password string) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &ssh.ServerConfig{PasswordCallback: func(c ssh.ConnMetadata, given []byte) (*ssh.Permissions, error) {
		if c.User() != user || string(given) != password {
			return nil, errors.New("denied")
		}
		return nil, nil
	}}
	cfg.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() { // the bindings have closed their connections
		_ = l.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serveSFTP(c, cfg) })
		}
	})
	return l.Addr().String()
}

func serveSFTP(c net.Conn, cfg *ssh.ServerConfig) {
	defer c.Close() //nolint:errcheck // nothing follows
	_, channels, requests, err := ssh.NewServerConn(c, cfg)
	if err != nil {
		return
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	serving.Go(func() { ssh.DiscardRequests(requests) })
	for asked := range channels {
		channel, requests, err := asked.Accept()
		if err != nil {
			return
		}
		serving.Go(func() {
			for r := range requests {
				_ = r.Reply(r.Type == "subsystem" && bytes.HasSuffix(r.Payload, []byte("sftp")), nil)
			}
		})
		server, err := sftp.NewServer(channel)
		if err != nil {
			return
		}
		serving.Go(func() {
			_ = server.Serve() // until the client goes
			_ = channel.Close()
		})
	}
}
