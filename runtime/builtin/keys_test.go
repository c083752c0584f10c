package builtin_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"
	"gopkg.in/yaml.v3"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// A published is what contrib publishes of a component.
type published struct {
	Type     string `yaml:"type"`
	Name     string `yaml:"name"`
	Version  string `yaml:"version"`
	Metadata []publishedKey
	Profiles []struct {
		Metadata []publishedKey
	} `yaml:"authenticationProfiles"`
	BuiltIn []struct {
		Name     string
		Metadata []publishedKey
	} `yaml:"builtinAuthenticationProfiles"`
}

type publishedKey struct {
	Name      string
	Type      string
	Sensitive bool
	Aliases   []string
	Default   any
}

// keys are all of them, those of logins too.
func (p published) keys() []publishedKey {
	all := slices.Clone(p.Metadata)
	for _, profile := range p.Profiles {
		all = append(all, profile.Metadata...)
	}
	for _, profile := range p.BuiltIn {
		all = append(all, profile.Metadata...)
		for _, name := range logins[profile.Name] {
			all = append(all, publishedKey{Name: name})
		}
	}
	return all
}

// logins are the keys of what contrib's files name only.
var logins = map[string][]string{
	"aws":     {"region", "accessKey", "secretKey", "sessionToken", "assumeRoleArn", "trustAnchorArn", "trustProfileArn"},
	"azuread": {"azureTenantId", "azureClientId", "azureClientSecret", "azureCertificate", "azureCertificateFile", "azureCertificatePassword", "azureEnvironment"},
	"gcp": {
		"type", "project_id", "private_key_id", "private_key", "client_email", "client_id", "auth_uri", "token_uri",
		"auth_provider_x509_cert_url", "client_x509_cert_url",
	},
}

// publishedAll reads the files in contrib's module, where it is on this machine.
var publishedAll = sync.OnceValues(func() (map[string]published, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/dapr/components-contrib").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		return nil, fmt.Errorf("where is contrib? %w", err)
	}
	all := make(map[string]published)
	for section := range contribKinds {
		err := filepath.WalkDir(filepath.Join(dir, contribKinds[section]), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "metadata.yaml" {
				return err
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			var p published
			if err := yaml.Unmarshal(bytes.ReplaceAll(text, []byte("\t"), []byte(" ")), &p); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			typ := p.Name
			if p.Version != "" && p.Version != "v1" {
				typ += "/" + p.Version
			}
			all[section+"/"+typ] = p
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
})

// contribKinds are the folders of contrib, by the section of the configuration.
var contribKinds = map[string]string{
	config.States: "state", config.Bindings: "bindings", config.PubSubs: "pubsub", config.SecretStores: "secretstores", config.ConfigStores: "configuration",
}

// publishedNames are types that contrib publishes under another name.
var publishedNames = map[string]string{
	"state/consul": "state/hashicorp.consul", "state/postgres": "state/postgresql", "state/sqlite3": "state/sqlite",
	"bindings/azure.servicebusqueues": "bindings/azure.servicebus.queues",
	"bindings/mqtt":                   "bindings/mqtt3", "bindings/postgresql": "bindings/postgres",
	"pub_subs/mqtt": "pub_subs/mqtt3", "pub_subs/snssqs": "pub_subs/aws.snssqs", "pub_subs/azure.servicebus": "pub_subs/azure.servicebus.topics",
	"pub_subs/redis.cluster": "pub_subs/redis", "pub_subs/natsstreaming": "pub_subs/jetstream",
	"secret_store/aws.secretmanager": "secret_store/aws.secretsmanager", "secret_store/local.env": "secret_store/local.env",
	"config_store/postgres": "config_store/postgresql",
}

// withoutEffect are keys that contrib publishes as settings of a component, but reads
// from the metadata of calls only: to say that they have no effect is right.
var withoutEffect = map[string][]string{
	"bindings/alicloud.oss":                {"accessKeySecret", "objectKey"},
	"bindings/alicloud.tablestore":         {"accessKeySecret"},
	"bindings/alicloud.sls":                {"logstore", "project", "source", "topic"},
	"bindings/aws.kinesis":                 {"partitionKey"},
	"bindings/dubbo":                       {"group", "interfaceName", "methodName", "providerHostname", "providerPort", "version"},
	"bindings/influx":                      {"measurement"},
	"bindings/localstorage":                {"fileName"},
	"bindings/rabbitmq":                    {"contentType"},
	"bindings/rethinkdb.statechange":       {"archive"},
	"bindings/sftp":                        {"fileName"},
	"secret_store/alicloud.parameterstore": {"path", "version_id"},
	"secret_store/huaweicloud.csms":        {"version_id"},
	"secret_store/tencentcloud.ssm":        {"VersionID"},
	"state/ravendb":                        {"connectionString"},
	"pub_subs/pulsar":                      {"<topic-name>.avroschema", "<topic-name>.jsonschema", "<topic-name>.rawschema"},
}

// contribTypes are the types of this build that tell their keys.
func contribTypes(t *testing.T) map[string]config.Type {
	t.Helper()
	types := make(map[string]config.Type)
	for _, kind := range builtin.Tables().ConfigOptions().Kinds {
		for _, typ := range kind.Types {
			if typ.Keys != nil {
				types[kind.Section+"/"+typ.Name] = typ
			}
		}
	}
	if len(types) < 25 {
		t.Fatalf("%d types", len(types))
	}
	return types
}

// TestKeysOfContrib: every setting that contrib publishes of a component is one that
// the loader knows, so that a file for Dapr gets no wrong warning; and asking for the
// keys begins nothing.
func TestKeysOfContrib(t *testing.T) {
	before := goleak.IgnoreCurrent()
	all, err := publishedAll()
	if err != nil {
		t.Fatal(err)
	}
	options := builtin.Tables().ConfigOptions()
	for name, typ := range contribTypes(t) {
		source := name
		if other, ok := publishedNames[name]; ok {
			source = other
		}
		p, ok := all[source]
		if !ok {
			t.Errorf("%s: contrib publishes nothing of it: publishedNames?", name)
			continue
		}
		section, _, _ := strings.Cut(name, "/")
		settings := map[string]any{}
		for _, key := range p.keys() {
			for _, n := range append([]string{key.Name}, key.Aliases...) {
				if !slices.Contains(withoutEffect[name], n) {
					settings[n] = "x"
				}
			}
		}
		for _, n := range withoutEffect[name] {
			if len(decode.UnknownKeys(map[string]any{n: "x"}, typ.Keys(), "")) == 0 && !strings.HasPrefix(n, "<") {
				t.Errorf("%s: %q is known, so withoutEffect need not name it", name, n)
			}
		}
		if warnings := warningsOf(t, options, section, typ.Name, settings); len(warnings) > 0 {
			t.Errorf("%s:\n%v", name, warnings)
		}
		// Other names than those are told of.
		if warnings := warningsOf(t, options, section, typ.Name, map[string]any{"zzGarbage": "hidden value"}); len(warnings) != 1 ||
			!strings.Contains(warnings.Error(), "zzGarbage: unknown key; it has no effect") || strings.Contains(warnings.Error(), "hidden") {
			t.Errorf("%s: %v", name, warnings)
		}
	}
	goleak.VerifyNone(t, before)
}

// TestSchemaOfContrib: the schema takes what contrib publishes, as it is written there.
func TestSchemaOfContrib(t *testing.T) {
	all, err := publishedAll()
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema(builtin.Tables().ConfigOptions())))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for name := range contribTypes(t) {
		source := name
		if other, ok := publishedNames[name]; ok {
			source = other
		}
		section, typ, _ := strings.Cut(name, "/")
		settings := map[string]any{}
		file := map[string]any{"runtime": map[string]any{section: map[string]any{"c": map[string]any{"type": typ, "metadata": settings}}}}
		for _, key := range all[source].keys() {
			if !slices.Contains(withoutEffect[name], key.Name) {
				settings[key.Name] = "5"
			}
		}
		if err := schema.Validate(file); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		settings["zzGarbage"] = "5"
		if err := schema.Validate(file); err == nil {
			t.Errorf("%s: the schema takes everything", name)
		}
	}
}

// warningsOf loads a component.
func warningsOf(t *testing.T, options config.Options, section, typ string, settings map[string]any) decode.Problems {
	t.Helper()
	file := map[string]any{"runtime": map[string]any{section: map[string]any{"c": map[string]any{"type": typ, "metadata": settings}}}}
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	_, warnings, err := config.Parse("f.yaml", text, options)
	if err != nil {
		t.Errorf("%s/%s: %v", section, typ, err)
	}
	return warnings
}

// TestSensitiveKeys: what contrib calls sensitive is kept out of messages.
func TestSensitiveKeys(t *testing.T) {
	all, err := publishedAll()
	if err != nil {
		t.Fatal(err)
	}
	// Addresses: the password in one is found, the address itself may be shown.
	addresses := []string{"host", "url"}
	// These name an account, are for everybody to see, or are keys in PEM, which are
	// found by their text.
	open := []string{"cfAccountID", "clientCert", "key"}
	for name, p := range all {
		for _, key := range p.keys() {
			if key.Sensitive && !decode.Secret(key.Name) && !slices.Contains(addresses, key.Name) && !slices.Contains(open, key.Name) {
				t.Errorf("%s: %s is shown", name, key.Name)
			}
		}
	}
}
