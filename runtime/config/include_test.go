package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folder writes files, given as name and content, into a folder of the test.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const included = `
servers:
  - listeners:
      - {name: a, address: "127.0.0.1:1", filter_chains: [{filters: [{type: proxy, config: {downstream_protocol: Http1, router_config_name: r}}]}]}
    routers:
      - {router_config_name: r, router_configs: ROUTES}
cluster_manager:
  clusters_configs: ${CLUSTERS}
`

// Rows A6, G1, H1: clusters and virtual hosts from folders with a file each.
func TestFolders(t *testing.T) {
	clusters := folder(t, "b.yaml", "name: b\nhosts: [{address: \"h:1\"}]\n", "a.json", `{"name": "a", "hosts": [{"address": "${HOST}:2"}]}`, "notes.txt", "{")
	routes := folder(t, "all.json", `{"name": "all", "domains": ["*"], "routers": [{"route": {"cluster_name": "a"}}]}`)
	opts := testOptions()
	env := opts.LookupEnv
	opts.LookupEnv = func(name string) (string, bool) {
		if name == "CLUSTERS" {
			return clusters, true
		}
		return env(name)
	}
	cfg, warnings, err := Parse("f.yaml", []byte(strings.Replace(included, "ROUTES", routes, 1)), opts)
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	if c := cfg.Proxy.Clusters; len(c) != 2 || c[0].Name != "a" || c[0].Hosts[0].Address != "10.0.0.1:2" || c[1].Name != "b" {
		t.Errorf("clusters %+v", c)
	}
	if vh := cfg.Proxy.Routers[0].VirtualHosts; len(vh) != 1 || vh[0].Routes[0].Route.ClusterName != "a" {
		t.Errorf("virtual hosts %+v", vh)
	}
}

// Mistakes are told of with the file that they are in.
func TestFoldersWithMistakes(t *testing.T) {
	good := folder(t, "all.json", `{"domains": ["*"], "routers": [{"route": {"cluster_name": "a"}}]}`)
	for _, tt := range []struct {
		name             string
		clusters, routes string
		change           func(string) string
		want             []string
	}{
		{
			name: "content", clusters: folder(t, "a.yaml", "name: a\n\nlb_type: LB_NONE\nhosts: [{address: \"h:1\"}]\n", "b.json", "{\n\"name\": \"b\",\n\"hosts\": 7}"), routes: good,
			want: []string{"b.json:3: cluster_manager.clusters[1].hosts: must be a list"},
		},
		{
			name: "meaning", clusters: folder(t, "a.yaml", "name: a\n\nlb_type: LB_NONE\nhosts: [{address: \"h:1\"}]\n"), routes: folder(t, "x.yaml", "domains: [\"*\"]\nrouters:\n  - {}\n"),
			want: []string{"a.yaml:3: cluster_manager.clusters[0].lb_type: unknown load balancer", "x.yaml:3: servers[0].routers[0].virtual_hosts[0].routers[0]: the route does not say"},
		},
		{name: "not a file", clusters: folder(t, "a.json", "{"), routes: good, want: []string{"a.json:1: "}},
		{name: "no folder", clusters: filepath.Join(good, "none"), routes: good, want: []string{"f.yaml:8: cluster_manager.clusters_configs: " + filepath.Join(good, "none") + ": no such file or directory (name a folder that can be read)"}},
		{
			name: "both", clusters: good, routes: good, change: func(s string) string { return s + "  clusters: [{name: a}]\n" },
			want: []string{"f.yaml:8: cluster_manager.clusters_configs: has both clusters_configs and clusters (keep one of them)"},
		},
		{name: "no variable", clusters: "${NOT_THERE}", routes: good, want: []string{"f.yaml:8: cluster_manager.clusters_configs: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.NewReplacer("ROUTES", tt.routes, "${CLUSTERS}", tt.clusters).Replace(included)
			if tt.change != nil {
				text = tt.change(text)
			}
			_, _, err := Parse("f.yaml", []byte(text), testOptions())
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.Split(err.Error(), "\n")
			for i := range got {
				got[i] = strings.TrimPrefix(strings.TrimPrefix(got[i], tt.clusters+"/"), tt.routes+"/")
			}
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
