package s3

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/internal/s3"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type names of these stores.
const (
	TypeMinIO   = "minio"
	TypeAWS     = "aws.s3"
	TypeAliyun  = "aliyun.oss"
	TypeTencent = "tencent.oss"
)

// Metadata is the configuration: one account, or a list of them.
type Metadata struct {
	Account
	// Clients are several accounts.
	Clients []Account `json:"clients"`
}

// Account is a server, and who we are there.
type Account struct {
	// Endpoint is the server: https://host:port; without a scheme it is https, or
	// http for an IP address and for minio without SSL. aws.s3 has Amazon's own of
	// the region as a default. For tencent.oss it may be that of one bucket.
	Endpoint        string `json:"endpoint"`
	AccessKeyID     string `json:"accessKeyID"`
	AccessKeySecret string `json:"accessKeySecret"`
	// Region is for signatures; default us-east-1.
	Region string `json:"region"`
	// SSL says that minio's Endpoint without a scheme is https.
	SSL bool `json:"SSL"`
	// Timeout bounds the wait for the server; a bare number counts milliseconds.
	// Default 60s.
	Timeout time.Duration `json:"timeout" unit:"ms" min:"0s"`
}

// maker makes the options of a client for an account.
type maker func(a Account) s3.Options

// open makes the store. Nothing is connected to yet: that a server is down, or
// does not know us, is told by health.
func open(cfg components.Config, options maker) (file.Store, error) {
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	accounts := m.Clients
	if m.Account != (Account{}) || len(accounts) == 0 {
		accounts = append([]Account{m.Account}, accounts...)
	}
	st := &store{}
	for i, a := range accounts {
		o := options(a)
		o.Endpoint, o.AccessKeyID, o.AccessKeySecret, o.Region = a.Endpoint, a.AccessKeyID, a.AccessKeySecret, a.Region
		o.ResponseTimeout, o.IdleTimeout = a.Timeout, a.Timeout
		c, err := s3.New(o)
		if err == nil {
			for _, other := range st.accounts {
				if other.endpoint == a.Endpoint {
					err = fmt.Errorf("the endpoint %q is there twice: calls could not say which one they are for", a.Endpoint)
				}
			}
		}
		if err != nil {
			at := cfg.SettingsPath()
			if len(m.Clients) > 0 {
				at = decode.At(at, i)
			}
			return nil, decode.Problems{{Path: at, Message: err.Error(), Remedy: "write endpoint, accessKeyID and accessKeySecret"}}
		}
		st.accounts = append(st.accounts, account{endpoint: a.Endpoint, c: c, keyOnly: o.BucketHost})
	}
	return st, nil
}

// NewMinIO makes a store in MinIO, or in another server like S3.
func NewMinIO(_ context.Context, _ components.Env, cfg components.Config) (file.Store, error) {
	return open(cfg, func(a Account) s3.Options { return s3.Options{Dialect: s3.Amazon(), PathStyle: true, Plain: !a.SSL} })
}

// NewAWS makes a store in Amazon S3, or in a server like it at the endpoint.
func NewAWS(_ context.Context, _ components.Env, cfg components.Config) (file.Store, error) {
	return open(cfg, func(Account) s3.Options { return s3.Options{Dialect: s3.Amazon()} })
}

// NewAliyun makes a store in Aliyun OSS.
func NewAliyun(_ context.Context, _ components.Env, cfg components.Config) (file.Store, error) {
	return open(cfg, func(Account) s3.Options { return s3.Options{Dialect: s3.Aliyun()} })
}

// NewTencent makes a store in Tencent COS. An endpoint of COS itself,
// cos.<region>.myqcloud.com, has all buckets; any other is that of one.
func NewTencent(_ context.Context, _ components.Env, cfg components.Config) (file.Store, error) {
	return open(cfg, func(a Account) s3.Options {
		host := a.Endpoint
		if u, err := url.Parse(a.Endpoint); err == nil && u.Host != "" {
			host = u.Host
		}
		return s3.Options{Dialect: s3.Tencent(), BucketHost: !strings.HasPrefix(host, "cos.")}
	})
}
