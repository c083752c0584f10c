package apollo

import (
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/internal/webapi"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this store in a configuration.
const Type = "apollo"

const (
	defaultGroup   = "application"
	defaultTimeout = 10 * time.Second
	// tagsNamespace is where the tags of items are.
	tagsNamespace = "sidecar_config_tags"
	// separator stands between a key and its label, and in the keys of tags.
	separator = "@$"
)

// Metadata is the store's configuration, beside `address` (the configuration
// service) and `timeout`, under the names that Layotto uses.
type Metadata struct {
	// AppID is the application in Apollo.
	AppID string `json:"app_id"`
	// Cluster is the cluster in Apollo; Env the environment, for writing.
	Cluster string `json:"cluster"`
	Env     string `json:"env"`
	// Namespaces are those that "all groups" means.
	Namespaces []string `json:"namespace_name" split:","`
	// Backup keeps what was read in files, for when Apollo cannot be reached;
	// BackupPath is their folder, by default apollo in the data folder.
	Backup     bool   `json:"is_backup_config"`
	BackupPath string `json:"backup_config_path"`
	// Secret signs what is read.
	Secret string `json:"secret"`
	// OpenAPIAddress, OpenAPIToken and OpenAPIUser are for writing. Without the
	// address the store can be read only.
	OpenAPIAddress string `json:"open_api_address"`
	OpenAPIToken   string `json:"open_api_token"`
	OpenAPIUser    string `json:"open_api_user"`
}

// Defaults returns the settings that count where none are given.
func Defaults() Metadata {
	return Metadata{Cluster: "default", Env: "DEV", Namespaces: []string{defaultGroup}, Backup: true}
}

// settings is a checked Metadata.
type settings struct {
	Metadata
	services []string // addresses with scheme, without a slash at the end
	timeout  time.Duration
}

func check(cfg components.Config) (*settings, error) {
	s := &settings{Metadata: Defaults()}
	if err := cfg.Decode(&s.Metadata); err != nil {
		return nil, err
	}
	var err error
	if s.services, err = configuration.Addresses(cfg); err != nil {
		return nil, err
	}
	if s.timeout, err = configuration.Timeout(cfg, defaultTimeout); err != nil {
		return nil, err
	}
	var problems decode.Problems
	wrong := func(path, message, remedy string) {
		problems = append(problems, decode.Problem{Path: path, Message: message, Remedy: remedy})
	}
	for i, a := range s.services {
		if s.services[i], err = webapi.Base(a); err != nil {
			wrong(decode.At(decode.Join(cfg.Path, "address"), i), err.Error(), `for example "http://127.0.0.1:8080"`)
		}
	}
	if s.AppID == "" {
		wrong(cfg.SettingsPath()+".app_id", "is missing", "the application's id in Apollo")
	}
	if s.OpenAPIAddress != "" {
		if s.OpenAPIAddress, err = webapi.Base(s.OpenAPIAddress); err != nil {
			wrong(cfg.SettingsPath()+".open_api_address", err.Error(), `for example "http://127.0.0.1:8070"`)
		}
		if s.OpenAPIToken == "" {
			wrong(cfg.SettingsPath()+".open_api_token", "is missing, while there is an open_api_address", "a token that Apollo's portal gave out")
		}
		if s.OpenAPIUser == "" {
			wrong(cfg.SettingsPath()+".open_api_user", "is missing, while there is an open_api_address", "a user that Apollo's portal knows; it is written down as the author of changes")
		}
	}
	if len(s.Namespaces) == 0 {
		s.Namespaces = []string{defaultGroup}
	}
	return s, problems.Err()
}
