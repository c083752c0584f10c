package s3

import (
	"context"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/s3"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type names of these stores.
const (
	TypeAWS    = "aws.oss"
	TypeCeph   = "ceph"
	TypeMinIO  = "minio"
	TypeAliyun = "aliyun.oss"
	TypeHuawei = "huaweicloud.oss"
)

// Metadata is the configuration, under the names that Layotto uses.
type Metadata struct {
	Basic Basic `json:"basic_config"`
	// ConnectTimeout bounds connecting; ReadWriteTimeout how long the server may
	// take to begin an answer, and to go on with one. A bare number counts seconds.
	ConnectTimeout   time.Duration `json:"connectTimeoutSec" unit:"s" min:"0s"`
	ReadWriteTimeout time.Duration `json:"readWriteTimeout" unit:"s" min:"0s"`
	// ForcePathStyle puts the bucket into the path rather than into the host's
	// name, as servers want that are not the vendor's own.
	ForcePathStyle bool `json:"forcePathStyle"`
}

// Basic is where the server is and who we are there.
type Basic struct {
	// Endpoint is the server: https://host:port; without a scheme it is https, or
	// http for an IP address. Only aws.oss has a default, Amazon's own of Region.
	Endpoint        string `json:"endpoint"`
	AccessKeyID     string `json:"accessKeyID"`
	AccessKeySecret string `json:"accessKeySecret"`
	// Region is for signatures; default us-east-1.
	Region string `json:"region"`
}

// open makes the store. Nothing is connected to yet: that the server is down, or
// does not know us, is told by health.
func open(cfg components.Config, dialect s3.Dialect, pathStyle bool) (*store, error) {
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	o := s3.Options{
		Dialect: dialect, Endpoint: m.Basic.Endpoint, Region: m.Basic.Region, AccessKeyID: m.Basic.AccessKeyID,
		AccessKeySecret: m.Basic.AccessKeySecret, PathStyle: pathStyle || m.ForcePathStyle,
		ConnectTimeout: m.ConnectTimeout, ResponseTimeout: m.ReadWriteTimeout, IdleTimeout: m.ReadWriteTimeout,
	}
	c, err := s3.New(o)
	if err != nil {
		return nil, decode.Problems{{Path: decode.Join(cfg.SettingsPath(), "basic_config"), Message: err.Error(), Remedy: "write endpoint, accessKeyID, accessKeySecret and region"}}
	}
	return &store{c: c}, nil
}

// amazonStore is S3: everything but appending.
type amazonStore struct {
	*store
	tagger
}

// aliyunStore is OSS: everything.
type aliyunStore struct {
	*store
	tagger
	appender
}

// huaweiStore is OBS: no tags.
type huaweiStore struct {
	*store
	appender
}

// NewAWS makes a store of Amazon S3, or of a server that is like it.
func NewAWS(_ context.Context, _ components.Env, cfg components.Config) (objectstore.Store, error) {
	s, err := open(cfg, s3.Amazon(), false)
	if err != nil {
		return nil, err
	}
	return amazonStore{s, tagger{s}}, nil
}

// NewCompatible makes a store of a server that is like S3, with the bucket in the path.
func NewCompatible(_ context.Context, _ components.Env, cfg components.Config) (objectstore.Store, error) {
	s, err := open(cfg, s3.Amazon(), true)
	if err != nil {
		return nil, err
	}
	return amazonStore{s, tagger{s}}, nil
}

// NewAliyun makes a store of Aliyun OSS.
func NewAliyun(_ context.Context, _ components.Env, cfg components.Config) (objectstore.Store, error) {
	s, err := open(cfg, s3.Aliyun(), false)
	if err != nil {
		return nil, err
	}
	return aliyunStore{s, tagger{s}, appender{s}}, nil
}

// NewHuawei makes a store of Huawei OBS.
func NewHuawei(_ context.Context, _ components.Env, cfg components.Config) (objectstore.Store, error) {
	s, err := open(cfg, s3.Huawei(), false)
	if err != nil {
		return nil, err
	}
	return huaweiStore{s, appender{s}}, nil
}
