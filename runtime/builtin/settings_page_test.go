package builtin_test

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

const (
	beginSettings = "<!-- Settings are listed by: go test -tags full ./runtime/builtin -run TestSettingsPage -update -->\n"
	endSettings   = "<!-- end of settings -->"
)

// TestSettingsPage: docs/components.md lists the settings of every type. Those of
// types that only the full build has are checked in that build only.
func TestSettingsPage(t *testing.T) {
	page, err := os.ReadFile(components)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(page), beginSettings)
	now, tail, ok2 := strings.Cut(rest, endSettings)
	if !ok1 || !ok2 {
		t.Fatalf("%s: the marks around the settings are missing", components)
	}
	all, err := publishedAll()
	if err != nil {
		t.Fatal(err)
	}
	full := map[string]bool{} // in the full build only, by kind and type
	for _, r := range fullRows(t) {
		full[r.name()] = true
	}
	var want strings.Builder
	for _, kind := range builtin.Tables().ConfigOptions().Kinds {
		lines := map[string]string{} // by type
		for _, typ := range kind.Types {
			lines[typ.Name] = settingsLine(t, all, kind.Section, typ)
		}
		for _, typ := range typesOfFull(full, kind.Section) {
			if _, built := lines[typ]; built {
				continue
			}
			line := lineOn(now, kind.Section, typ)
			if line == "" {
				t.Errorf("%s does not list the settings of %s %s: go test -tags full ./runtime/builtin -run TestSettingsPage -update", components, kind.Section, typ)
			}
			lines[typ] = line
		}
		writeSettings(&want, kind, lines)
	}
	want.WriteString("\n### Logins\n\n| at | settings |\n|---|---|\n")
	for _, login := range longLogins {
		fmt.Fprintf(&want, "| %s | `%s` |\n", login.name, strings.Join(login.keys, "`, `"))
	}
	want.WriteString("\n")
	if got := head + beginSettings + want.String() + endSettings + tail; got != string(page) {
		if !*update {
			t.Fatalf("%s does not list the settings as they are: go test -tags full ./runtime/builtin -run TestSettingsPage -update", components)
		}
		if err := os.WriteFile(components, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// kindsOfSections are the kinds whose types the full build has more of.
var kindsOfSections = map[string]string{
	config.States: "state", config.Bindings: "binding", config.PubSubs: "pubsub", config.SecretStores: "secret", config.ConfigStores: "configuration",
}

// typesOfFull are the types of a section that only the full build has.
func typesOfFull(full map[string]bool, section string) []string {
	var types []string
	for name := range full {
		if typ, ok := strings.CutPrefix(name, kindsOfSections[section]+"/"); ok && kindsOfSections[section] != "" {
			types = append(types, typ)
		}
	}
	return types
}

// writeSettings writes the table of a kind. Types with the same settings share a line.
func writeSettings(b *strings.Builder, kind config.Kind, lines map[string]string) {
	fmt.Fprintf(b, "\n### Settings in %s\n\n", kind.Section)
	var common, unbuilt []string
	for _, k := range kind.Keys {
		if k.Unbuilt == "" {
			common = append(common, "`"+k.Name+"`")
		} else {
			unbuilt = append(unbuilt, "`"+k.Name+"`")
		}
	}
	if common != nil {
		fmt.Fprintf(b, "Every type has %s.\n", strings.Join(common, ", "))
	}
	if unbuilt != nil {
		fmt.Fprintf(b, "Of Dapr's, these have nothing behind them here, and are warned of: %s.\n", strings.Join(unbuilt, ", "))
	}
	if kind.Keys != nil {
		b.WriteString("\n")
	}
	types := map[string][]string{} // by line
	for typ, line := range lines {
		types[line] = append(types[line], "`"+typ+"`")
	}
	var rows []string
	for line, names := range types {
		slices.Sort(names)
		rows = append(rows, fmt.Sprintf("| %s | %s |\n", strings.Join(names, ", "), line))
	}
	slices.Sort(rows)
	b.WriteString("| type | settings |\n|---|---|\n" + strings.Join(rows, ""))
}

// lineOn is what the page has of a type; "": nothing.
func lineOn(page, section, typ string) string {
	_, rest, ok := strings.Cut(page, "### Settings in "+section+"\n")
	if !ok {
		return ""
	}
	table, _, _ := strings.Cut(rest, "\n###")
	for line := range strings.SplitSeq(table, "\n") {
		types, settings, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if ok && slices.Contains(strings.Split(types, ", "), "`"+typ+"`") {
			return strings.TrimSuffix(settings, " |")
		}
	}
	return ""
}

// otherDefaults are defaults that are others than contrib publishes: those that we give
// its settings (prepareRabbitMQ and the like), and where its files are mistaken.
var otherDefaults = map[string]map[string]string{
	"pub_subs/rabbitmq":      {"publisherConfirm": "true", "deliveryMode": "2", "requeueInFailure": "true, but false with enableDeadLetter", "durable": "true"},
	"pub_subs/redis.cluster": {"redisType": "cluster"},
	"pub_subs/pulsar":        {"batchingMaxSize": "131072"},
}

// settingsLine lists the settings of a type, with what they are and their defaults.
func settingsLine(t *testing.T, all map[string]published, section string, typ config.Type) string {
	t.Helper()
	var parts []string
	if typ.Keys != nil {
		name := section + "/" + typ.Name
		if other, ok := publishedNames[name]; ok {
			name = other
		}
		defaults := map[string]string{}
		for _, k := range all[name].keys() {
			if text := fmt.Sprint(k.Default); k.Default != nil && text != "" && !k.Sensitive {
				defaults[strings.ToLower(k.Name)] = text
			}
		}
		for key, value := range otherDefaults[section+"/"+typ.Name] {
			defaults[strings.ToLower(key)] = value
		}
		spelled := map[string]string{} // as contrib publishes them
		for _, k := range all[name].keys() {
			spelled[strings.ToLower(k.Name)] = k.Name
		}
		keys, logins := withoutLogins(typ.Keys())
		for _, k := range keys {
			if as := spelled[strings.ToLower(k.Name)]; as != "" {
				k.Name = as
			}
			part := setting(k.Name, string(k.Kind), defaults[strings.ToLower(k.Name)])
			if len(k.Aliases) > 0 {
				part += " (or `" + strings.Join(k.Aliases, "`, `") + "`)"
			}
			parts = append(parts, part)
		}
		parts = append(parts, logins...)
	} else if v := reflect.ValueOf(typ.Metadata); v.Kind() == reflect.Pointer && !v.IsNil() {
		parts = ofStruct(v.Elem(), "", 0)
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// aLogin is a group of keys that many types have; the page lists it once.
type aLogin struct {
	name string
	keys []string
}

var longLogins = []aLogin{
	{"Azure", []string{
		"azureClientId", "spnClientId", "clientId", "azureClientSecret", "spnClientSecret", "clientSecret", "azureTenantId", "spnTenantId", "tenantId", "azureEnvironment", "azureCloud",
		"azureCertificate", "spnCertificate", "azureCertificateFile", "spnCertificateFile", "azureCertificatePassword", "spnCertificatePassword",
		"azureAuthMethods", "azureADAuthMethods", "entraIDAuthMethods", "microsoftEntraIDAuthMethods",
	}},
	{"AWS", []string{
		"region", "awsRegion", "accessKey", "awsAccessKey", "secretKey", "awsSecretKey", "sessionToken", "awsSessionToken",
		"assumeRoleArn", "awsIamRoleArn", "assumeRoleSessionName", "sessionName", "awsStsSessionName", "trustAnchorArn", "trustProfileArn",
	}},
	{"Google Cloud", []string{
		"type", "projectID", "project_id", "privateKeyID", "private_key_id", "privateKey", "private_key", "clientEmail", "client_email",
		"clientID", "client_id", "authURI", "auth_uri", "tokenURI", "token_uri",
		"authProviderX509CertURL", "auth_provider_x509_cert_url", "clientX509CertURL", "client_x509_cert_url",
	}},
}

// withoutLogins takes out the logins that are there whole, and names them.
func withoutLogins(keys []decode.Key) (rest []decode.Key, logins []string) {
	for _, login := range longLogins {
		in := func(k decode.Key) bool {
			return slices.ContainsFunc(login.keys, func(n string) bool { return strings.EqualFold(n, k.Name) })
		}
		n := 0
		for _, k := range keys {
			if in(k) {
				n++
			}
		}
		if n == len(login.keys) {
			keys = slices.DeleteFunc(keys, in)
			logins = append(logins, fmt.Sprintf("[login at %s](#logins)", login.name))
		}
	}
	return keys, logins
}

// setting writes one.
func setting(name, kind, byDefault string) string {
	out := "`" + name + "`"
	if kind != "" && kind != string(decode.TextValue) {
		out += " " + kind
	}
	if byDefault = strings.Trim(strings.Join(strings.Fields(byDefault), " "), `"`); byDefault != "" && len(byDefault) <= 60 {
		out += " = `" + strings.NewReplacer("|", `\|`, "`", "'").Replace(byDefault) + "`"
	}
	return out
}

// ofStruct lists the keys of a struct that holds the defaults.
func ofStruct(v reflect.Value, prefix string, depth int) []string {
	var parts []string
	for _, f := range decode.Fields(v.Type()) {
		if f.Rest || depth > 3 {
			continue
		}
		name := prefix + f.Key
		typ, field := f.Type, v.FieldByIndex(f.Index)
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
			if field = field.Elem(); !field.IsValid() {
				field = reflect.New(typ).Elem()
			}
		}
		switch {
		case typ.Kind() == reflect.Struct:
			parts = append(parts, ofStruct(field, name+".", depth+1)...)
		case typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct:
			parts = append(parts, ofStruct(reflect.New(typ.Elem()).Elem(), name+"[].", depth+1)...)
		default:
			byDefault := f.Tag.Get("default")
			if !field.IsZero() && !decode.Secret(name) && typ.Kind() != reflect.Slice && typ.Kind() != reflect.Map {
				byDefault = fmt.Sprint(field.Interface())
			}
			parts = append(parts, setting(name, kindOfGo(typ), byDefault))
		}
	}
	return parts
}

func kindOfGo(typ reflect.Type) string {
	switch {
	case typ == reflect.TypeFor[time.Duration]():
		return string(decode.DurationValue)
	case typ.Kind() == reflect.Bool:
		return string(decode.BooleanValue)
	case typ.Kind() >= reflect.Int && typ.Kind() <= reflect.Float64:
		return string(decode.NumberValue)
	case typ.Kind() == reflect.Slice:
		return string(decode.ListValue)
	case typ.Kind() == reflect.Map:
		return "section"
	}
	return ""
}
