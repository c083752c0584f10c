package traffic

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

const page = "../../docs/traffic.md"

// rows are those that the page must list.
func rows() (list []string) {
	list = []string{"F9", "F17"}
	for _, r := range []struct {
		letter   string
		from, to int
	}{{"G", 1, 24}, {"H", 1, 22}, {"I", 9, 11}} {
		for i := r.from; i <= r.to; i++ {
			list = append(list, fmt.Sprint(r.letter, i))
		}
	}
	return list
}

var (
	yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	tableRow  = regexp.MustCompile(`(?m)^\| ([FGHI]\d+) \| [^|]+ \| (.+) \| ([^|]+) \|$`)
	testName  = regexp.MustCompile("`(Test\\w+)`(?: in `([a-z0-9/]+)`)?")
	goMethod  = regexp.MustCompile(`^Server\.(\w+)$`)
)

func readPage(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(page)
	must(t, err)
	return string(b)
}

// TestPageListsRows: docs/traffic.md has each row once, with tests that there
// are, whose names name the row, and an example that is one.
func TestPageListsRows(t *testing.T) {
	text := readPage(t)
	var listed []string
	for _, m := range tableRow.FindAllStringSubmatch(text, -1) {
		row, example, tests := m[1], m[2], testName.FindAllStringSubmatch(m[3], -1)
		listed = append(listed, row)
		if len(tests) == 0 {
			t.Errorf("row %s has no test", row)
		}
		for _, name := range tests {
			if !regexp.MustCompile(row + `(\D|$)`).MatchString(name[1]) {
				t.Errorf("row %s: %s does not name it", row, name[1])
			}
			if folder := name[2]; !slices.Contains(testsIn(t, folder), name[1]) {
				t.Errorf("row %s: there is no test %s in %q", row, name[1], folder)
			}
		}
		if strings.HasPrefix(example, "`") && strings.HasSuffix(example, "`") {
			checkExample(t, row, strings.Trim(example, "`"))
		} else if row != "H22" {
			t.Errorf("row %s has no example", row)
		}
	}
	if !slices.Equal(listed, rows()) {
		t.Errorf("the page lists %v, want %v", listed, rows())
	}
	for _, name := range testsIn(t, "") {
		if regexp.MustCompile(`^Test(F9|F17|[GHI]\d)`).MatchString(name) && !strings.Contains(text, "`"+name+"`") {
			t.Errorf("the page does not name %s", name)
		}
	}
}

// testsIn lists the tests of a folder; "" is this one.
func testsIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	dir := "."
	if folder != "" {
		dir = filepath.Join("../..", filepath.FromSlash(folder))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	must(t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(t, err)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllStringSubmatch(string(b), -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// checkExample checks an example of one line: a method of the Server, or keys of
// a router, a route, a cluster, a stream filter or the network filter proxy.
func checkExample(t *testing.T, row, example string) {
	t.Helper()
	if m := goMethod.FindStringSubmatch(example); m != nil {
		if _, ok := reflect.TypeFor[*proxy.Server]().MethodByName(m[1]); !ok {
			t.Errorf("row %s: a Server has no method %s", row, m[1])
		}
		return
	}
	var keys map[string]any
	if err := yaml.Unmarshal([]byte(example), &keys); err != nil || len(keys) == 0 {
		t.Errorf("row %s: %q is no section: %v", row, example, err)
		return
	}
	has := func(of reflect.Type) bool {
		for _, f := range decode.Fields(of) {
			if _, ok := keys[f.Key]; ok {
				return true
			}
		}
		return false
	}
	tree := map[string]any{}
	all := func(key string, value any) {
		if _, ok := keys[key]; !ok {
			keys[key] = value
		}
	}
	everybody := []any{"*"}
	switch {
	case keys["type"] == "proxy":
		tree["listeners"] = []any{map[string]any{"name": "in", "bind_port": false, "filter_chains": []any{map[string]any{"filters": []any{keys}}}}}
		tree["routers"] = []any{map[string]any{"router_config_name": "main", "virtual_hosts": []any{map[string]any{"domains": everybody}}}}
	case keys["config"] != nil:
		tree["stream_filters"] = []any{keys}
	case keys["virtual_hosts"] != nil, keys["router_config_name"] != nil:
		all("router_config_name", "main")
		all("virtual_hosts", []any{map[string]any{"domains": everybody}})
		for _, vh := range keys["virtual_hosts"].([]any) {
			vh.(map[string]any)["routers"] = []any{map[string]any{"route": map[string]any{"cluster_name": "pay"}}}
		}
		tree["routers"] = []any{keys}
	case has(reflect.TypeFor[config.Route]()):
		if keys["redirect"] == nil && keys["direct_response"] == nil {
			all("route", map[string]any{"cluster_name": "pay"})
		}
		tree["routers"] = []any{map[string]any{"router_config_name": "main", "virtual_hosts": []any{map[string]any{
			"domains": everybody, "routers": []any{keys},
		}}}}
	default:
		all("name", "a")
		all("hosts", []any{map[string]any{"address": "10.0.0.1:80"}})
		tree["clusters"] = []any{keys}
	}
	loads(t, fmt.Sprintf("row %s: %s", row, example), tree)
}

// TestPageExamplesLoad: each configuration on the page loads without a warning.
func TestPageExamplesLoad(t *testing.T) {
	blocks := yamlBlock.FindAllStringSubmatch(readPage(t), -1)
	if len(blocks) < 10 {
		t.Errorf("%d examples were found: the test does not see them", len(blocks))
	}
	for _, b := range blocks {
		var tree map[string]any
		if err := yaml.Unmarshal([]byte(b[1]), &tree); err != nil {
			t.Errorf("%v\n%s", err, b[1])
			continue
		}
		if servers, ok := tree["servers"].([]any); ok { // a file in whole
			whole := servers[0].(map[string]any)
			whole["clusters"] = tree["cluster_manager"].(map[string]any)["clusters"]
			tree = whole
		}
		loads(t, b[1], tree)
	}
}

// loads checks a configuration, to which clusters are added that its routes name
// and it has not.
func loads(t *testing.T, what string, tree map[string]any) {
	t.Helper()
	text, err := yaml.Marshal(tree)
	must(t, err)
	clusters, _ := tree["clusters"].([]any)
	for _, name := range regexp.MustCompile(`(?m)(?:cluster_name|cluster|name): ([a-z-]+)$`).FindAllStringSubmatch(string(text), -1) {
		known := slices.ContainsFunc(clusters, func(c any) bool { return c.(map[string]any)["name"] == name[1] })
		if !known {
			clusters = append(clusters, map[string]any{"name": name[1], "hosts": []any{map[string]any{"address": "10.0.0.9:80"}}})
		}
	}
	if len(clusters) == 0 {
		clusters = []any{map[string]any{"name": "pay", "hosts": []any{map[string]any{"address": "10.0.0.9:80"}}}}
	}
	tree["clusters"] = clusters
	if text, err = yaml.Marshal(tree); err != nil {
		t.Fatal(err)
	}
	if _, warnings, err := parse(string(text), builtin(t)); err != nil || len(warnings) > 0 {
		t.Errorf("%s\nerror %v, warnings %v", what, err, warnings)
	}
}
