package etcd

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Metadata is the settings. The zero value has every default except Endpoints.
type Metadata struct {
	Endpoints     string        `json:"endpoints" doc:"Addresses of the cluster's members, host:port, with commas between them."`
	KeyPrefixPath string        `json:"keyPrefixPath" doc:"What is put before the / in front of every key."`
	Username      string        `json:"username" doc:"Who to log in as."`
	Password      string        `json:"password" doc:"The password of username."`
	TLSEnable     bool          `json:"tlsEnable" doc:"Speak TLS; then ca is needed, cert and key where the server asks for them."`
	CA            string        `json:"ca" doc:"The authority that signed the server's certificate, in PEM."`
	Cert          string        `json:"cert" doc:"A certificate for the server to know us by, in PEM."`
	Key           string        `json:"key" doc:"The key of cert, in PEM."`
	MaxTxnOps     int           `json:"maxTxnOps" doc:"How many operations the server takes in one transaction (its --max-txn-ops); 0 is 128."`
	Timeout       time.Duration `json:"timeout" doc:"How long one operation may take, also when the caller would wait longer; 0 is 5s."`
}

// settings are checked Metadata.
type settings struct {
	client    clientv3.Config
	prefix    string // before every key
	maxOps    int
	timeout   time.Duration
	addresses string
}

const (
	defaultTimeout = 5 * time.Second
	defaultMaxOps  = 128
	keepAlive      = 10 * time.Second
)

func check(m Metadata, path string) (*settings, error) {
	var problems decode.Problems
	fail := func(key, message, remedy string) {
		problems = append(problems, decode.Problem{Path: decode.Join(path, key), Message: message, Remedy: remedy})
	}
	s := &settings{prefix: m.KeyPrefixPath + "/", maxOps: cmp.Or(m.MaxTxnOps, defaultMaxOps), timeout: cmp.Or(m.Timeout, defaultTimeout), addresses: m.Endpoints}
	endpoints := strings.FieldsFunc(m.Endpoints, func(r rune) bool { return r == ',' || r == ';' || r == ' ' })
	if len(endpoints) == 0 {
		fail("endpoints", "there is none", "write host:port, with commas between several")
	}
	if s.maxOps < 0 {
		fail("maxTxnOps", "it is negative", "write what the server's --max-txn-ops is, or leave it out")
	}
	if s.timeout < 0 {
		fail("timeout", "it is negative", "write a duration like 5s")
	}
	if (m.Username == "") != (m.Password == "") {
		fail("username", "username and password go together", "write both or none")
	}
	s.client = clientv3.Config{
		Endpoints: endpoints, Username: m.Username, Password: m.Password, DialTimeout: s.timeout,
		DialKeepAliveTime: keepAlive, DialKeepAliveTimeout: s.timeout, Logger: zap.NewNop(),
	}
	if m.TLSEnable {
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if m.CA != "" {
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM([]byte(m.CA)) {
				fail("ca", "it holds no certificate", "write the authority's certificate in PEM")
			}
		}
		if m.Cert != "" || m.Key != "" {
			pair, err := tls.X509KeyPair([]byte(m.Cert), []byte(m.Key))
			if err != nil {
				fail("cert", "cert and key are no pair: "+err.Error(), "write both in PEM")
			}
			config.Certificates = []tls.Certificate{pair}
		}
		s.client.TLS = config
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return s, nil
}
