package redisnode

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Connection are the settings of a connection, whatever it leads to. A duration
// is a Go duration, or a bare number of milliseconds.
type Connection struct {
	// Username is for Redis' access lists; Password goes with or without it.
	Username string `json:"redisUsername"`
	Password string `json:"redisPassword"`
	// DB is the number of the database; Database is Layotto's name for it.
	DB       int `json:"redisDB" min:"0"`
	Database int `json:"db" min:"0"`

	// EnableTLS encrypts the connection and verifies the server's certificate:
	// against CACert (PEM) when given, else against the system's authorities.
	EnableTLS bool   `json:"enableTLS"`
	CACert    string `json:"caCert"`
	// ClientCert and ClientKey (PEM) are shown to a server that asks for them.
	ClientCert string `json:"clientCert"`
	ClientKey  string `json:"clientKey"`
	// InsecureSkipTLSVerify accepts any certificate: for tests only.
	InsecureSkipTLSVerify bool `json:"insecureSkipTLSVerify"`

	// MaxRetries is how often a call is sent again that did harm nowhere; -1
	// never, 0 is 3. MaxRetryBackoff is the longest pause before that; a bare
	// number of it counts nanoseconds. RedisMaxRetries and RedisMaxRetryInterval
	// are Dapr's names.
	MaxRetries            int           `json:"maxRetries" min:"-1"`
	RedisMaxRetries       int           `json:"redisMaxRetries" min:"-1"`
	MaxRetryBackoff       time.Duration `json:"maxRetryBackoff" unit:"ns"`
	RedisMaxRetryInterval time.Duration `json:"redisMaxRetryInterval" unit:"ms"`
	// RedisMinRetryInterval is the first pause; it doubles.
	RedisMinRetryInterval time.Duration `json:"redisMinRetryInterval" unit:"ms" default:"8ms"`

	DialTimeout  time.Duration `json:"dialTimeout" unit:"ms" default:"5s"`
	ReadTimeout  time.Duration `json:"readTimeout" unit:"ms" default:"3s"`
	WriteTimeout time.Duration `json:"writeTimeout" unit:"ms" default:"3s"`
	// PoolSize is how many connections there are at most; 0 is 10 for each processor.
	PoolSize int `json:"poolSize" min:"0"`
	// PoolTimeout is how long a call waits for one of them; 0 is a second more than
	// ReadTimeout. The rest says how many are kept ready, and when they are closed; 0
	// is what go-redis does.
	PoolTimeout        time.Duration `json:"poolTimeout" unit:"ms"`
	MinIdleConns       int           `json:"minIdleConns" min:"0"`
	MaxConnAge         time.Duration `json:"maxConnAge" unit:"ms"`
	IdleTimeout        time.Duration `json:"idleTimeout" unit:"ms"`
	IdleCheckFrequency time.Duration `json:"idleCheckFrequency" unit:"ms"`

	Login
}

// Login are the ways to sign in that there is nothing behind: false is what happens.
type Login struct {
	UseEntraID bool `json:"useEntraID"`
	UseAzureAD bool `json:"useAzureAD"` // an old name of it
	UseOIDC    bool `json:"useOIDC"`
}

// CheckLogin returns what is wrong with l; path is where it stands.
func (l Login) CheckLogin(path string) (problems decode.Problems) {
	for _, way := range []struct {
		key string
		set bool
	}{{"useEntraID", l.UseEntraID}, {"useAzureAD", l.UseAzureAD}, {"useOIDC", l.UseOIDC}} {
		if way.set {
			problems = append(problems, decode.Problem{
				Path: decode.Join(path, way.key), Message: "there is no login with tokens of a cloud, neither in ottavo nor in ottavo-full",
				Remedy: "give redisUsername and redisPassword (Azure: let the cache accept access keys)",
			})
		}
	}
	return problems
}

// AzureLogin are the keys that Dapr reads with useEntraID. Nothing is behind them,
// which is an error of useEntraID; without it they have no effect in Dapr, either.
type AzureLogin struct {
	AzureTenantID            string `json:"azureTenantId" unbuilt:"warn: use redisUsername and redisPassword"`
	AzureClientID            string `json:"azureClientId" unbuilt:"warn: use redisUsername and redisPassword"`
	AzureClientSecret        string `json:"azureClientSecret" unbuilt:"warn: use redisUsername and redisPassword"`
	AzureCertificate         string `json:"azureCertificate" unbuilt:"warn: use redisUsername and redisPassword"`
	AzureCertificateFile     string `json:"azureCertificateFile" unbuilt:"warn: use redisUsername and redisPassword"`
	AzureCertificatePassword string `json:"azureCertificatePassword" unbuilt:"warn: use redisUsername and redisPassword"`
	AzureEnvironment         string `json:"azureEnvironment" unbuilt:"warn: use redisUsername and redisPassword"`
}

// Metadata are the settings for one server, or for a cluster where OpenAny is used.
type Metadata struct {
	// Host is host:port, or several with commas in between when they are sentinels or
	// nodes of a cluster. Without a port it is Port, and without that 6379.
	Host string `json:"redisHost"`
	Port int    `json:"redisPort" min:"0" max:"65535"`
	// Type is node or cluster.
	Type string `json:"redisType" enum:"node|cluster|"`
	// Failover says that Host lists sentinels, which know the master.
	Failover           bool   `json:"failover"`
	SentinelMasterName string `json:"sentinelMasterName"`
	SentinelUsername   string `json:"sentinelUsername"`
	SentinelPassword   string `json:"sentinelPassword"`
	Connection
}

const (
	defaultPort     = "6379"
	defaultRetries  = 3
	defaultMaxPause = 512 * time.Millisecond
)

// Addresses splits a list of host:port at its commas; the port is 6379 unless it
// is given. The error is nil or says what is wrong with hosts.
func Addresses(hosts string) ([]string, error) { return addresses(hosts, 0) }

// addresses is Addresses with another port for hosts without one; 0: none. A host with
// a port that differs from it is an error.
func addresses(hosts string, port int) ([]string, error) {
	other := strconv.Itoa(port)
	if port == 0 {
		other = defaultPort
	}
	var addrs []string
	for host := range strings.SplitSeq(hosts, ",") {
		if host = strings.TrimSpace(host); host == "" {
			continue
		}
		name, given, err := net.SplitHostPort(host)
		switch {
		case err == nil && name != "" && given != "" && port != 0 && given != other:
			return nil, fmt.Errorf("%q has another port than redisPort, %s", host, other)
		case err == nil && name != "" && given != "":
			addrs = append(addrs, host)
		case err != nil && strings.Contains(err.Error(), "missing port"):
			addrs = append(addrs, net.JoinHostPort(strings.Trim(host, "[]"), other))
		default:
			return nil, fmt.Errorf("%q is not host:port", host)
		}
	}
	if len(addrs) == 0 {
		return nil, errors.New("is missing")
	}
	return addrs, nil
}

// clusterRemedy is what to do instead of a cluster.
const clusterRemedy = "give one server, or sentinels (failover); for locks on several independent servers there is the type redis_cluster"

// check returns the addresses, or what is wrong with m; path is where it stands.
func (m Metadata) check(path string, clusters bool) ([]string, error) {
	problems := m.CheckLogin(path)
	wrong := func(key, message, remedy string) {
		problems = append(problems, decode.Problem{Path: decode.Join(path, key), Message: message, Remedy: remedy})
	}
	addrs, err := addresses(m.Host, m.Port)
	if err != nil {
		wrong("redisHost", err.Error(), `for example "localhost:6379"`)
	}
	switch {
	case m.Type == "cluster" && !clusters:
		wrong("redisType", "locks and sequencers do not work on a Redis cluster", clusterRemedy)
	case m.Type == "cluster" && m.Failover:
		wrong("failover", "sentinels and redisType cluster exclude each other", "a cluster replaces its masters by itself")
	case m.Type == "cluster" && m.database() != 0:
		wrong("redisDB", "a cluster has no database but 0", "leave it out")
	case m.Failover && m.SentinelMasterName == "":
		wrong("sentinelMasterName", "is needed with failover", "the name that the sentinels' `sentinel monitor` gives to the master")
	case !m.Failover && m.Type != "cluster" && len(addrs) > 1:
		wrong("redisHost", fmt.Sprintf("%d addresses for one server", len(addrs)), "give one; or set failover when these are sentinels")
	}
	return addrs, problems.Err()
}

// tls returns the configuration for it, nil without. path is where c stands.
func (c Connection) tls(path string) (*tls.Config, error) {
	wrong := func(message, remedy string) error {
		return decode.Problems{{Path: decode.Join(path, "enableTLS"), Message: message, Remedy: remedy}}
	}
	if !c.EnableTLS {
		if c.CACert != "" || c.ClientCert != "" || c.ClientKey != "" || c.InsecureSkipTLSVerify {
			return nil, wrong("is false, but there are settings for TLS", "set it to true, or leave caCert, clientCert, clientKey and insecureSkipTLSVerify out")
		}
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.InsecureSkipTLSVerify} //nolint:gosec // asked for by name
	if c.CACert != "" {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM([]byte(c.CACert)) {
			return nil, wrong("caCert holds no certificate in PEM form", "")
		}
	}
	if c.ClientCert != "" || c.ClientKey != "" {
		pair, err := tls.X509KeyPair([]byte(c.ClientCert), []byte(c.ClientKey))
		if err != nil {
			return nil, wrong("clientCert and clientKey: "+err.Error(), "")
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// retries returns how often to try again, and the shortest and the longest pause
// before that.
func (c Connection) retries() (n int, minPause, maxPause time.Duration) {
	n, minPause, maxPause = defaultRetries, max(c.RedisMinRetryInterval, time.Millisecond), defaultMaxPause
	for _, v := range []int{c.MaxRetries, c.RedisMaxRetries} {
		if v != 0 {
			n = max(v, 0)
		}
	}
	for _, v := range []time.Duration{c.MaxRetryBackoff, c.RedisMaxRetryInterval} {
		if v > 0 {
			maxPause = v
		}
	}
	return n, minPause, max(maxPause, minPause)
}

// database returns the number that was given under either name.
func (c Connection) database() int { return max(c.DB, c.Database) }
