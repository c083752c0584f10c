package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"time"

	goredis "github.com/go-redis/redis/v8"

	"github.com/ottavo-runtime/ottavo/components/internal/redisnode"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Metadata is the store's configuration, under the names that Dapr and Layotto
// use. A duration is a Go duration, or, as there, a bare number of milliseconds;
// a negative one turns the thing off.
type Metadata struct {
	// Host is host:port, or several with commas in between (the nodes of a
	// cluster, the sentinels), or the path of a unix socket. Without a port it
	// is Port, and without that 6379.
	Host string `json:"redisHost"`
	Port int    `json:"redisPort" min:"0" max:"65535"`
	// Username is for Redis' access lists; Password goes with or without it.
	Username string `json:"redisUsername"`
	Password string `json:"redisPassword"`
	// DB is the number of the database, for a single node or behind sentinels.
	DB int `json:"redisDB" min:"0"`
	// Type is node or cluster.
	Type string `json:"redisType" enum:"node|cluster|"`
	// Failover says that Host lists sentinels, which know the master.
	Failover           bool   `json:"failover"`
	SentinelMasterName string `json:"sentinelMasterName"`
	SentinelUsername   string `json:"sentinelUsername"`
	SentinelPassword   string `json:"sentinelPassword"`

	// EnableTLS encrypts the connection and verifies the server's certificate:
	// against CACert (PEM) when given, else against the system's authorities.
	EnableTLS bool   `json:"enableTLS"`
	CACert    string `json:"caCert"`
	// ClientCert and ClientKey (PEM) are shown to a server that asks for them.
	ClientCert string `json:"clientCert"`
	ClientKey  string `json:"clientKey"`
	// InsecureSkipTLSVerify accepts any certificate: for tests only.
	InsecureSkipTLSVerify bool `json:"insecureSkipTLSVerify"`

	// RedisMaxRetries is how often a call is sent again; -1 never, 0 is the
	// default. MaxRetries is used when it is not given.
	RedisMaxRetries int `json:"redisMaxRetries" min:"-1"`
	MaxRetries      int `json:"maxRetries" min:"-1"`
	// RedisMinRetryInterval and RedisMaxRetryInterval bound the pause between
	// tries, which doubles. MaxRetryBackoff, a bare number of which counts
	// nanoseconds, is used when RedisMaxRetryInterval is not given.
	RedisMinRetryInterval time.Duration `json:"redisMinRetryInterval" unit:"ms"`
	RedisMaxRetryInterval time.Duration `json:"redisMaxRetryInterval" unit:"ms"`
	MaxRetryBackoff       time.Duration `json:"maxRetryBackoff" unit:"ns"`

	DialTimeout  time.Duration `json:"dialTimeout" unit:"ms"`
	ReadTimeout  time.Duration `json:"readTimeout" unit:"ms"`
	WriteTimeout time.Duration `json:"writeTimeout" unit:"ms"`
	// PoolSize is how many connections there are at most, to each node.
	PoolSize int `json:"poolSize" min:"0"`
	// PoolTimeout is how long a call waits for its turn at most.
	PoolTimeout        time.Duration `json:"poolTimeout" unit:"ms"`
	MinIdleConns       int           `json:"minIdleConns" min:"0"`
	MaxConnAge         time.Duration `json:"maxConnAge" unit:"ms"`
	IdleTimeout        time.Duration `json:"idleTimeout" unit:"ms"`
	IdleCheckFrequency time.Duration `json:"idleCheckFrequency" unit:"ms"`

	// TTLInSeconds is the time to live of items written without one; 0 or -1:
	// they live for ever. An operation that carries the metadata
	// `ttlInSeconds: -1` is exempt.
	TTLInSeconds int `json:"ttlInSeconds" min:"-1"`

	QueryIndexes string `json:"queryIndexes" unbuilt:"warn: the query API is not there"`
	redisnode.Login

	// KeyPrefix belongs to the caller, which puts the prefixes on; it is listed
	// here so that it counts as known.
	KeyPrefix string `json:"keyPrefix"`
}

// Defaults, where they are not go-redis' own.
const (
	defaultPort       = "6379"
	defaultRetries    = 3
	defaultMinBackoff = 8 * time.Millisecond
	defaultMaxBackoff = 512 * time.Millisecond
	defaultDial       = 5 * time.Second
	defaultRead       = 3 * time.Second
)

// settings is a checked Metadata.
type settings struct {
	Metadata
	addrs       []string
	where       string // for messages
	lanes       int
	retries     int
	minPause    time.Duration
	maxPause    time.Duration
	dial        time.Duration
	poolTimeout time.Duration
	defaultTTL  time.Duration
	tls         *tls.Config // nil: no TLS
}

// check completes m; path is where it stands in the configuration.
func check(m Metadata, path string) (*settings, error) {
	var problems decode.Problems
	wrong := func(key, message, remedy string) {
		problems = append(problems, decode.Problem{Path: path + "." + key, Message: message, Remedy: remedy})
	}
	s := &settings{
		Metadata: m,
		retries:  positive(m.RedisMaxRetries, m.MaxRetries, defaultRetries),
		minPause: positive(m.RedisMinRetryInterval, defaultMinBackoff),
		maxPause: positive(m.RedisMaxRetryInterval, m.MaxRetryBackoff, defaultMaxBackoff),
		dial:     positive(m.DialTimeout, defaultDial),
		lanes:    positive(m.PoolSize, max(8, 4*runtime.GOMAXPROCS(0))),
	}
	s.maxPause = max(s.minPause, s.maxPause)
	s.poolTimeout = positive(m.PoolTimeout, positive(m.ReadTimeout, defaultRead)+time.Second)
	if m.TTLInSeconds > 0 {
		s.defaultTTL = time.Duration(m.TTLInSeconds) * time.Second
	}
	var err error
	if s.addrs, err = addresses(m.Host, m.Port); err != nil {
		wrong("redisHost", err.Error(), `for example "localhost:6379"`)
	}
	s.where = strings.Join(s.addrs, ",")
	problems = append(problems, m.CheckLogin(path)...)
	switch {
	case m.Failover && m.SentinelMasterName == "":
		wrong("sentinelMasterName", "is needed with failover", "the name that the sentinels' `sentinel monitor` gives to the master")
	case m.Failover && m.Type == "cluster":
		wrong("failover", "sentinels and redisType cluster exclude each other", "a cluster replaces its masters by itself")
	case m.Type == "cluster" && m.DB != 0:
		wrong("redisDB", "a cluster has no database "+strconv.Itoa(m.DB), "leave it out")
	case !m.Failover && m.Type != "cluster" && len(s.addrs) > 1:
		wrong("redisHost", fmt.Sprintf("%d addresses for one node", len(s.addrs)), "set redisType to cluster, or failover to true when these are sentinels")
	}
	if m.EnableTLS {
		if s.tls, err = tlsConfig(m); err != nil {
			wrong("enableTLS", err.Error(), "")
		}
	} else if m.CACert != "" || m.ClientCert != "" || m.ClientKey != "" || m.InsecureSkipTLSVerify {
		wrong("enableTLS", "is false, but there are settings for TLS", "set it to true, or leave caCert, clientCert, clientKey and insecureSkipTLSVerify out")
	}
	return s, problems.Err()
}

// positive returns the first value that was given; a negative one becomes 0.
func positive[T int | time.Duration](values ...T) T {
	for _, v := range values {
		if v != 0 {
			return max(v, 0)
		}
	}
	return 0
}

// addresses splits the key redisHost.
func addresses(hosts string, port int) ([]string, error) {
	defPort := defaultPort
	if port != 0 {
		defPort = strconv.Itoa(port)
	}
	var addrs []string
	for host := range strings.SplitSeq(hosts, ",") {
		host = strings.TrimSpace(host)
		switch h, p, err := net.SplitHostPort(host); {
		case host == "":
		case strings.HasPrefix(host, "/"), err == nil && h != "" && isPort(p):
			addrs = append(addrs, host)
		case err != nil && strings.Contains(err.Error(), "missing port"):
			addrs = append(addrs, net.JoinHostPort(strings.Trim(host, "[]"), defPort))
		case err != nil && net.ParseIP(host) != nil: // IPv6 without brackets
			addrs = append(addrs, net.JoinHostPort(host, defPort))
		default:
			return nil, fmt.Errorf("%q is not host:port", host)
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("is missing")
	}
	return addrs, nil
}

func isPort(p string) bool {
	n, err := strconv.ParseUint(p, 10, 16)
	return err == nil && n > 0
}

func tlsConfig(m Metadata) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: m.InsecureSkipTLSVerify} //nolint:gosec // asked for by name
	if m.CACert != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(m.CACert)) {
			return nil, fmt.Errorf("caCert holds no certificate in PEM form")
		}
	}
	if m.ClientCert != "" || m.ClientKey != "" {
		pair, err := tls.X509KeyPair([]byte(m.ClientCert), []byte(m.ClientKey))
		if err != nil {
			return nil, fmt.Errorf("clientCert and clientKey: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// pool is a client for one server, the master behind sentinels, or a cluster.
type pool interface {
	Pipeline() goredis.Pipeliner
	Close() error
}

// connect makes the client; it dials nothing yet. The client itself never sends
// a command twice: only the lanes know which they may.
func (s *settings) connect(dial func(ctx context.Context, network, addr string) (net.Conn, error)) pool {
	switch {
	case s.Type == "cluster":
		nodes := &redisnode.Topology{Seeds: s.addrs, Options: goredis.Options{
			Dialer: dial, Username: s.Username, Password: s.Password, MaxRetries: -1, PoolSize: 1,
			ReadTimeout: limit(s.ReadTimeout), WriteTimeout: limit(s.WriteTimeout),
		}}
		return goredis.NewClusterClient(&goredis.ClusterOptions{
			Addrs: s.addrs, ClusterSlots: nodes.Slots, NewClient: redisnode.NewNode, Dialer: dial, Username: s.Username, Password: s.Password,
			MaxRetries: -1, MinRetryBackoff: off(s.minPause), MaxRetryBackoff: off(s.maxPause),
			ReadTimeout: limit(s.ReadTimeout), WriteTimeout: limit(s.WriteTimeout),
			PoolSize: s.lanes, PoolTimeout: s.poolTimeout, MinIdleConns: s.MinIdleConns,
			MaxConnAge: s.MaxConnAge, IdleTimeout: s.IdleTimeout, IdleCheckFrequency: s.IdleCheckFrequency,
		})
	case s.Failover:
		return goredis.NewFailoverClient(&goredis.FailoverOptions{
			MasterName: s.SentinelMasterName, SentinelAddrs: s.addrs,
			SentinelUsername: s.SentinelUsername, SentinelPassword: s.SentinelPassword,
			Dialer: dial, Username: s.Username, Password: s.Password, DB: s.DB, MaxRetries: -1,
			ReadTimeout: limit(s.ReadTimeout), WriteTimeout: limit(s.WriteTimeout),
			PoolSize: s.lanes, PoolTimeout: s.poolTimeout, MinIdleConns: s.MinIdleConns,
			MaxConnAge: s.MaxConnAge, IdleTimeout: s.IdleTimeout, IdleCheckFrequency: s.IdleCheckFrequency,
		})
	default:
		return goredis.NewClient(&goredis.Options{
			Addr: s.addrs[0], Dialer: dial, Username: s.Username, Password: s.Password, DB: s.DB, MaxRetries: -1,
			ReadTimeout: limit(s.ReadTimeout), WriteTimeout: limit(s.WriteTimeout),
			PoolSize: s.lanes, PoolTimeout: s.poolTimeout, MinIdleConns: s.MinIdleConns,
			MaxConnAge: s.MaxConnAge, IdleTimeout: s.IdleTimeout, IdleCheckFrequency: s.IdleCheckFrequency,
		})
	}
}

// limit turns any negative timeout into go-redis' word for none.
func limit(d time.Duration) time.Duration { return max(d, -1) }

// off turns 0, "none" for us, into go-redis' word for it.
func off(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}
