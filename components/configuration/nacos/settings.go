package nacos

import (
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/internal/webapi"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this store in a configuration.
const Type = "nacos"

const (
	defaultGroup   = "default"
	defaultTimeout = 10 * time.Second
	// contextPath is what is put behind an address that has no path.
	contextPath = "/nacos"
)

// Metadata is the store's configuration, beside `address` and `timeout`, under the
// names that Layotto uses.
type Metadata struct {
	// NamespaceID is the namespace in Nacos; "" is the public one.
	NamespaceID string `json:"namespace_id"`
	// Username and Password are for a Nacos that asks for them.
	Username string `json:"username"`
	Password string `json:"password"`
	// AccessKey and SecretKey sign requests, as Alibaba Cloud wants them.
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
	// EndPoint is where the list of servers is, host or host:port; it stands in
	// the place of `address`.
	EndPoint string `json:"end_point"`
	// CacheDir is a folder in which contents are kept, from which Get of keys is
	// answered while Nacos cannot be reached; "" keeps none.
	CacheDir string `json:"cache_dir"`
	// ListInterval is how often a watch without keys reads the list.
	ListInterval time.Duration `json:"list_interval" unit:"s" min:"10ms"`

	// LogLevel is what the store writes into the log, at least; "" is everything
	// that the log takes.
	LogLevel string `json:"log_level" enum:"|debug|info|warn|error"`

	RegionID string `json:"region_id" unbuilt:"warn: contents that Alibaba Cloud's key service encrypted are not decrypted"`
	LogDir   string `json:"log_dir" unbuilt:"warn: the store writes into the log of this process"`
}

// Defaults returns the settings that count where none are given.
func Defaults() Metadata { return Metadata{ListInterval: 5 * time.Second} }

// settings is a checked Metadata.
type settings struct {
	Metadata
	servers []string
	listURL string // where the list of servers is; "" without end_point
	timeout time.Duration
}

func check(cfg components.Config) (*settings, error) {
	s := &settings{Metadata: Defaults()}
	if err := cfg.Decode(&s.Metadata); err != nil {
		return nil, err
	}
	var problems decode.Problems
	wrong := func(path, message, remedy string) {
		problems = append(problems, decode.Problem{Path: path, Message: message, Remedy: remedy})
	}
	var err error
	if s.timeout, err = configuration.Timeout(cfg, defaultTimeout); err != nil {
		return nil, err
	}
	if s.EndPoint != "" {
		if s.listURL, err = endpoint(s.EndPoint); err != nil {
			wrong(cfg.SettingsPath()+".end_point", err.Error(), `for example "acm.example.com:8080"`)
		}
	} else {
		addresses, err := configuration.Addresses(cfg)
		if err != nil {
			return nil, err
		}
		for i, a := range addresses {
			server, err := serverOf(a)
			if err != nil {
				wrong(decode.At(decode.Join(cfg.Path, "address"), i), err.Error(), `for example "127.0.0.1:8848"`)
			}
			s.servers = append(s.servers, server)
		}
	}
	for _, pair := range [][4]string{{"username", s.Username, "password", s.Password}, {"access_key", s.AccessKey, "secret_key", s.SecretKey}} {
		switch {
		case pair[1] != "" && pair[3] == "":
			wrong(cfg.SettingsPath()+"."+pair[2], "is missing, while there is "+pair[0], "set both or none")
		case pair[1] == "" && pair[3] != "":
			wrong(cfg.SettingsPath()+"."+pair[0], "is missing, while there is "+pair[2], "set both or none")
		}
	}
	return s, problems.Err()
}

// serverOf is where the API of a server begins.
func serverOf(address string) (string, error) {
	base, err := webapi.Base(address)
	if err == nil && !hasPath(base) {
		base += contextPath
	}
	return base, err
}
