package etcdnode

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Metadata are the settings.
type Metadata struct {
	// Endpoints are host:port or URLs, with semicolons or commas in between.
	Endpoints string `json:"endpoints"`
	Username  string `json:"username"`
	Password  string `json:"password"`
	// DialTimeout is how long the first connection may take, and a call that has
	// no limit of its own; a bare number counts seconds.
	DialTimeout time.Duration `json:"dialTimeout" unit:"s" default:"5s"`
	// KeyPrefixPath is put before every key, as a folder.
	KeyPrefixPath string `json:"keyPrefixPath" default:"/layotto/"`
	// TLSCert, TLSCertKey and TLSCa are files in PEM form: our certificate with its
	// key, and the authority of the server's.
	TLSCert    string `json:"tlsCert"`
	TLSCertKey string `json:"tlsCertKey"`
	TLSCa      string `json:"tlsCa"`
}

// Client is a client of etcd. It is safe for concurrent use.
type Client struct {
	*clientv3.Client
	prefix string
	where  string
	limit  time.Duration
	closed context.Context
	end    context.CancelFunc
}

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the client of etcd is closed")

// Open connects. It fails, within DialTimeout or when ctx ends, if etcd does not
// answer. path is where m stands in the configuration.
func Open(ctx context.Context, m Metadata, path string) (*Client, error) {
	endpoints := strings.FieldsFunc(m.Endpoints, func(r rune) bool { return r == ';' || r == ',' || r == ' ' })
	if len(endpoints) == 0 {
		return nil, decode.Problems{{Path: decode.Join(path, "endpoints"), Message: "is missing", Remedy: `for example "localhost:2379;other:2379"`}}
	}
	secure, err := m.tls()
	if err != nil {
		return nil, decode.Problems{{Path: decode.Join(path, "tlsCert"), Message: err.Error(), Remedy: "tlsCert, tlsCertKey and tlsCa are names of files in PEM form"}}
	}
	if m.DialTimeout <= 0 {
		m.DialTimeout = 5 * time.Second
	}
	c := &Client{prefix: folder(m.KeyPrefixPath), where: "etcd " + strings.Join(endpoints, ","), limit: m.DialTimeout}
	c.closed, c.end = context.WithCancel(context.WithoutCancel(ctx))
	first, cancel := context.WithTimeout(ctx, m.DialTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { // with a password, New waits for etcd
		var err error
		c.Client, err = clientv3.New(clientv3.Config{
			Endpoints: endpoints, Username: m.Username, Password: m.Password, TLS: secure, DialTimeout: m.DialTimeout,
			Context: c.closed, Logger: zap.NewNop(), DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second,
		})
		done <- err
	}()
	select {
	case err = <-done:
	case <-first.Done():
		c.end()
		if err = <-done; err == nil {
			err = errors.Join(first.Err(), c.Client.Close())
			c.Client = nil
		}
		if errors.Is(err, context.Canceled) { // because of end
			err = first.Err()
		}
	}
	if err != nil {
		c.end()
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %s (dialTimeout): %w", m.DialTimeout, err)
		}
		return nil, fmt.Errorf("%s: cannot connect: %w", c.where, err)
	}
	if err := c.Check(first); err != nil {
		if first.Err() != nil {
			err = fmt.Errorf("%s: no answer within %s (dialTimeout): %w", c.where, m.DialTimeout, err)
		}
		return nil, errors.Join(fmt.Errorf("cannot connect: %w", err), c.Close())
	}
	return c, nil
}

func (m Metadata) tls() (*tls.Config, error) {
	if m.TLSCert == "" && m.TLSCertKey == "" && m.TLSCa == "" {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if m.TLSCert != "" || m.TLSCertKey != "" {
		pair, err := tls.LoadX509KeyPair(m.TLSCert, m.TLSCertKey)
		if err != nil {
			return nil, err
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	if m.TLSCa != "" {
		pem, err := os.ReadFile(m.TLSCa)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", m.TLSCa)
		}
	}
	return conf, nil
}

// folder returns path with a slash at both ends.
func folder(path string) string {
	path = strings.Trim(path, "/")
	if path == "" {
		return "/"
	}
	return "/" + path + "/"
}

// Key returns the name under which key is stored.
func (c *Client) Key(key string) string { return c.prefix + key }

// Call makes a call, which has the time that ctx has, or DialTimeout. The error is
// ctx's when it has ended, ErrClosed after Close, and else names etcd.
func (c *Client) Call(ctx context.Context, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.closed.Err() != nil {
		return ErrClosed
	}
	limited, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	err := call(limited)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case c.closed.Err() != nil:
		return ErrClosed
	case limited.Err() != nil && c.ActiveConnection().GetState() != connectivity.Ready:
		return components.Away(fmt.Errorf("%s: no connection within %s (dialTimeout): %w", c.where, c.limit, err))
	case limited.Err() != nil:
		return components.Late(fmt.Errorf("%s: no answer within %s (dialTimeout): %w", c.where, c.limit, err))
	case away(err):
		return components.Away(fmt.Errorf("%s: %w", c.where, err))
	case errors.Is(err, rpctypes.ErrTimeout), errors.Is(err, rpctypes.ErrTimeoutDueToLeaderFail), errors.Is(err, rpctypes.ErrTimeoutDueToConnectionLost):
		return components.Late(fmt.Errorf("%s: %w", c.where, err))
	case errors.Is(err, rpctypes.ErrAuthFailed), status.Code(err) == codes.Unauthenticated, errors.Is(err, rpctypes.ErrPermissionDenied):
		return fmt.Errorf("%s: check username and password, and what the user may do: %w", c.where, err)
	}
	return fmt.Errorf("%s: %w", c.where, err)
}

// away tells that there is nobody to answer: no server, or none with a leader.
func away(err error) bool {
	return errors.Is(err, rpctypes.ErrNoLeader) || errors.Is(err, rpctypes.ErrNotLeader) || errors.Is(err, rpctypes.ErrStopped) ||
		status.Code(err) == codes.Unavailable && !errors.Is(err, rpctypes.ErrTimeout) &&
			!errors.Is(err, rpctypes.ErrTimeoutDueToLeaderFail) && !errors.Is(err, rpctypes.ErrTimeoutDueToConnectionLost)
}

// Check asks for a key that need not be there.
func (c *Client) Check(ctx context.Context) error {
	err := c.Call(ctx, func(ctx context.Context) error {
		_, err := c.Get(ctx, c.prefix, clientv3.WithKeysOnly())
		return err
	})
	if errors.Is(err, rpctypes.ErrPermissionDenied) {
		return nil // it answers; which keys the user may see is another matter
	}
	return err
}

// Close closes all connections; calls under way fail. It is safe twice.
func (c *Client) Close() error {
	c.end()
	if err := c.Client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
