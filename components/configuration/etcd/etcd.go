package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this store in a configuration.
const Type = "etcd"

const (
	defaultGroup = "default"
	defaultLabel = "default"

	defaultTimeout = 10 * time.Second
	// keepAlive is how often a silent connection is tried.
	keepAlive = 5 * time.Second
)

// Metadata is the store's configuration, beside `address` and `timeout`. Layotto
// has no keys here.
type Metadata struct {
	// Username and Password are for an etcd that asks for them.
	Username string `json:"username"`
	Password string `json:"password"`
	// TLSCA is a file with the authority (PEM) that the server's certificate is
	// verified against, TLSCert and TLSCertKey are files with what is shown to the
	// server. Any of them, or an address with https://, turns TLS on.
	TLSCA      string `json:"tlsCa"`
	TLSCert    string `json:"tlsCert"`
	TLSCertKey string `json:"tlsCertKey"`
}

// Store keeps items in etcd. Use New. It implements configuration.Store and
// components.Checker.
type Store struct {
	client  *clientv3.Client
	where   string
	timeout time.Duration
	log     *slog.Logger
	board   *configuration.Board
	feeds   *configuration.Feeds[string] // by application
	closed  atomic.Bool
}

// New connects to etcd. It fails when that does not answer in time, or does not
// accept the credentials.
func New(ctx context.Context, env components.Env, cfg components.Config) (configuration.Store, error) {
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	addresses, err1 := configuration.Addresses(cfg)
	timeout, err2 := configuration.Timeout(cfg, defaultTimeout)
	secure, err3 := m.tls(cfg.SettingsPath(), addresses)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	s := &Store{where: strings.Join(addresses, ","), timeout: timeout, log: env.Log, board: configuration.NewBoard()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.feeds = configuration.NewFeeds(ctx, s.follow)
	var err error
	s.client, err = clientv3.New(clientv3.Config{
		Endpoints: addresses, Username: m.Username, Password: m.Password, TLS: secure,
		DialTimeout: timeout, DialKeepAliveTime: keepAlive, DialKeepAliveTimeout: timeout, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: minPause, Multiplier: 2, Jitter: 0.2, MaxDelay: maxPause}, MinConnectTimeout: timeout,
		})},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot connect: %w", s.explain(ctx, err))
	}
	if err := s.Check(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot connect: %w", err), s.Close())
	}
	return s, nil
}

// tls returns what to connect with; nil without TLS.
func (m Metadata) tls(path string, addresses []string) (*tls.Config, error) {
	if m.TLSCA == "" && m.TLSCert == "" && m.TLSCertKey == "" {
		for _, a := range addresses {
			if strings.HasPrefix(a, "https://") {
				return &tls.Config{MinVersion: tls.VersionTLS12}, nil
			}
		}
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	wrong := func(key string, err error) (*tls.Config, error) {
		return nil, decode.Problems{{Path: path + "." + key, Message: err.Error(), Remedy: "a file in PEM that this process can read"}}
	}
	if m.TLSCA != "" {
		pem, err := os.ReadFile(m.TLSCA)
		if err != nil {
			return wrong("tlsCa", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return wrong("tlsCa", errors.New("there is no certificate in "+m.TLSCA))
		}
	}
	if m.TLSCert != "" || m.TLSCertKey != "" {
		pair, err := tls.LoadX509KeyPair(m.TLSCert, m.TLSCertKey)
		if err != nil {
			return wrong("tlsCert", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Check implements components.Checker: etcd answers a read.
func (s *Store) Check(ctx context.Context) error {
	_, err := do(ctx, s, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return s.client.Get(ctx, "/", clientv3.WithCountOnly())
	})
	if errors.Is(err, rpctypes.ErrPermissionDenied) {
		return nil // it answers, and knows us
	}
	return configuration.Silence(ctx, err, "etcd at "+s.where)
}

// do makes one call of etcd, in the store's time.
func do[T any](ctx context.Context, s *Store, call func(context.Context) (T, error)) (T, error) {
	var none T
	if s.closed.Load() {
		return none, configuration.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	answer, err := call(bounded)
	if err == nil {
		return answer, nil
	}
	if s.closed.Load() {
		return none, configuration.ErrClosed
	}
	return none, s.explain(ctx, err)
}

// explain says what an error of the client means. It never holds a password.
func (s *Store) explain(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	switch {
	case errors.Is(err, rpctypes.ErrAuthFailed), errors.Is(err, rpctypes.ErrUserEmpty), errors.Is(err, rpctypes.ErrPermissionDenied),
		errors.Is(err, rpctypes.ErrInvalidAuthToken), errors.Is(err, rpctypes.ErrAuthNotEnabled):
		return fmt.Errorf("%w: etcd at %s: %w: check username, password and the user's roles", configuration.ErrDenied, s.where, err)
	case errors.Is(err, context.DeadlineExceeded), status.Code(err) == codes.DeadlineExceeded:
		late := fmt.Errorf("%w: etcd at %s does not answer within %s: check address, and whether it runs", configuration.ErrUnavailable, s.where, s.timeout)
		// Without a client: it was to log in, which is done when it is made.
		if s.client != nil && s.client.ActiveConnection().GetState() != connectivity.Ready {
			return late // nobody is there
		}
		return components.Late(late)
	case status.Code(err) == codes.Unavailable:
		return fmt.Errorf("%w: etcd at %s: %w", configuration.ErrUnavailable, s.where, err)
	}
	return fmt.Errorf("etcd at %s: %w", s.where, err)
}

// maxOps is how many operations one transaction may have: etcd's default is 128.
const maxOps = 100

// Get implements configuration.Store.
func (s *Store) Get(ctx context.Context, scope configuration.Scope, keys []string) ([]configuration.Item, error) {
	scope = scope.Or(defaultGroup, defaultLabel)
	if err := checkApp(scope.AppID); err != nil {
		return nil, err
	}
	rows := newRows(scope.AppID)
	sel := configuration.Select(scope, keys)
	exact := scope.Group != configuration.Any && scope.Label != configuration.Any
	var ops []clientv3.Op
	switch {
	case exact && len(keys) > 0 && !sel.Has(configuration.ID{AppID: scope.AppID, Group: scope.Group, Label: scope.Label, Key: configuration.Any}):
		for _, key := range keys {
			row := rowOf(configuration.ID{AppID: scope.AppID, Group: scope.Group, Label: scope.Label, Key: key})
			ops = append(ops, clientv3.OpGet(row), clientv3.OpGet(row+"/", clientv3.WithPrefix()))
		}
	case exact:
		ops = []clientv3.Op{clientv3.OpGet(rowOf(configuration.ID{AppID: scope.AppID, Group: scope.Group, Label: scope.Label}), clientv3.WithPrefix())}
	default:
		ops = []clientv3.Op{clientv3.OpGet(appRow(scope.AppID), clientv3.WithPrefix())}
	}
	for begin := 0; begin < len(ops); begin += maxOps {
		answer, err := s.transact(ctx, ops[begin:min(begin+maxOps, len(ops))])
		if err != nil {
			return nil, err
		}
		for _, r := range answer.Responses {
			for _, kv := range r.GetResponseRange().GetKvs() {
				rows.put(string(kv.Key), string(kv.Value))
			}
		}
	}
	return rows.items(sel), nil
}

func (s *Store) transact(ctx context.Context, ops []clientv3.Op) (*clientv3.TxnResponse, error) {
	return do(ctx, s, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return s.client.Txn(ctx).Then(ops...).Commit()
	})
}

// Save implements configuration.Store. An item is saved with all its tags or not
// at all; the items before the first failure are stored.
func (s *Store) Save(ctx context.Context, appID string, items []configuration.Item, _ map[string]string) error {
	if err := checkApp(appID); err != nil {
		return err
	}
	latest := make(map[string]int, len(items)) // of items saved twice the last one counts
	for i := range items {
		if err := items[i].Check(); err != nil {
			return err
		}
		if n := 2 + 2*len(items[i].Tags); n > maxOps {
			return fmt.Errorf("%w: item %q has %d tags, more than %d: use fewer", configuration.ErrInvalid, items[i].Key, len(items[i].Tags), (maxOps-2)/2)
		}
		latest[rowOf(placeOf(appID, items[i]))] = i
	}
	var batch []clientv3.Op
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		_, err := s.transact(ctx, batch)
		batch = nil
		return err
	}
	for i, item := range items {
		row := rowOf(placeOf(appID, item))
		if latest[row] != i {
			continue
		}
		ops := saveOps(row, item)
		if len(batch)+len(ops) > maxOps {
			if err := flush(); err != nil {
				return err
			}
		}
		batch = append(batch, ops...)
	}
	return flush()
}

func placeOf(appID string, item configuration.Item) configuration.ID {
	item = item.Or(defaultGroup, defaultLabel)
	return configuration.ID{AppID: appID, Group: item.Group, Label: item.Label, Key: item.Key}
}

// Delete implements configuration.Store.
func (s *Store) Delete(ctx context.Context, scope configuration.Scope, keys []string) error {
	if err := errors.Join(checkApp(scope.AppID), scope.CheckDelete(keys)); err != nil {
		return err
	}
	done := make(map[string]bool, len(keys))
	var ops []clientv3.Op
	for _, key := range keys {
		row := rowOf(placeOf(scope.AppID, configuration.Item{Key: key, Group: scope.Group, Label: scope.Label}))
		if !done[row] {
			done[row] = true
			ops = append(ops, clientv3.OpDelete(row), clientv3.OpDelete(row+"/", clientv3.WithPrefix()))
		}
	}
	for begin := 0; begin < len(ops); begin += maxOps {
		if _, err := s.transact(ctx, ops[begin:min(begin+maxOps, len(ops))]); err != nil {
			return err
		}
	}
	return nil
}

// Defaults implements configuration.Store.
func (s *Store) Defaults() (group, label string) { return defaultGroup, defaultLabel }

// Close implements configuration.Store.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.board.Close()
	s.feeds.Close()
	if err := s.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
