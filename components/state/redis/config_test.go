package redis

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
)

func TestMetadata(t *testing.T) {
	decode := func(t *testing.T, m map[string]any) (*settings, error) {
		t.Helper()
		var md Metadata
		cfg := components.Config{Name: "x", Path: "runtime.state.x", Metadata: m}
		if err := cfg.Decode(&md); err != nil {
			return nil, err
		}
		return check(md, cfg.Path+".metadata")
	}
	s, err := decode(t, map[string]any{
		"redisHost": "h:1", "redisMaxRetries": "5", "maxRetries": "9", "redisMinRetryInterval": "10", "redisMaxRetryInterval": "2s",
		"maxRetryBackoff": "3000000000", "dialTimeout": 1500, "readTimeout": "-1", "poolSize": "7", "ttlInSeconds": "60", "redisType": "Node",
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{s.addrs, s.retries, s.minPause, s.maxPause, s.dial, limit(s.ReadTimeout), s.lanes, s.defaultTTL, s.Type}
	want := []any{[]string{"h:1"}, 5, 10 * time.Millisecond, 2 * time.Second, 1500 * time.Millisecond, time.Duration(-1), 7, time.Minute, "node"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}

	s, err = decode(t, map[string]any{"redisHost": "h", "maxRetries": "-1", "maxRetryBackoff": "3000000000"})
	if err != nil {
		t.Fatal(err)
	}
	got = []any{s.addrs, s.retries, s.minPause, s.maxPause, s.dial, s.poolTimeout, s.defaultTTL, s.tls == nil}
	want = []any{[]string{"h:6379"}, 0, defaultMinBackoff, 3 * time.Second, defaultDial, 4 * time.Second, time.Duration(0), true}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}

	for name, tt := range map[string]struct {
		metadata map[string]any
		want     string // part of the error
	}{
		"no host":              {map[string]any{}, "metadata.redisHost: is missing"},
		"bad host":             {map[string]any{"redisHost": "h:port"}, `metadata.redisHost: "h:port" is not host:port`},
		"bad duration":         {map[string]any{"redisHost": "h", "dialTimeout": "soon"}, "metadata.dialTimeout"},
		"bad number":           {map[string]any{"redisHost": "h", "poolSize": "many"}, "metadata.poolSize"},
		"bad type":             {map[string]any{"redisHost": "h", "redisType": "ring"}, "metadata.redisType"},
		"bad bool":             {map[string]any{"redisHost": "h", "enableTLS": "perhaps"}, "metadata.enableTLS"},
		"negative db":          {map[string]any{"redisHost": "h", "redisDB": -1}, "metadata.redisDB"},
		"no master name":       {map[string]any{"redisHost": "h", "failover": true}, "metadata.sentinelMasterName"},
		"failover cluster":     {map[string]any{"redisHost": "h", "failover": true, "sentinelMasterName": "m", "redisType": "cluster"}, "exclude each other"},
		"cluster db":           {map[string]any{"redisHost": "h", "redisType": "cluster", "redisDB": 1}, "metadata.redisDB"},
		"two nodes":            {map[string]any{"redisHost": "a,b"}, "set redisType to cluster"},
		"TLS off":              {map[string]any{"redisHost": "h", "caCert": "x"}, "metadata.enableTLS"},
		"bad authority":        {map[string]any{"redisHost": "h", "enableTLS": true, "caCert": "x"}, "caCert"},
		"bad client cert":      {map[string]any{"redisHost": "h", "enableTLS": true, "clientCert": "x"}, "clientCert"},
		"what is not there":    {map[string]any{"redisHost": "h", "useEntraID": "true"}, "metadata.useEntraID"},
		"password is a number": {map[string]any{"redisHost": "h", "redisPassword": 20052005}, "metadata.redisPassword"},
	} {
		_, err := decode(t, tt.metadata)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "runtime.state.x") {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		} else if strings.Contains(err.Error(), "20052005") {
			t.Errorf("%s: error %v shows the password", name, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		hosts string
		port  int
		want  string
	}{
		{"localhost", 0, "localhost:6379"},
		{"localhost", 1234, "localhost:1234"},
		{"h:1", 1234, "h:1"},
		{" a:1 , b ,", 0, "a:1 b:6379"},
		{"::1", 0, "[::1]:6379"},
		{"[::1]", 0, "[::1]:6379"},
		{"[::1]:5", 0, "[::1]:5"},
		{"/run/redis.sock", 0, "/run/redis.sock"},
		{"", 0, ""},
		{" , ", 0, ""},
		{":6379", 0, ""},
		{"h:", 0, ""},
		{"h:0", 0, ""},
		{"h:99999", 0, ""},
		{"a:b:c", 0, ""},
		{"redis://h:1", 0, ""},
	} {
		got, err := addresses(tt.hosts, tt.port)
		if strings.Join(got, " ") != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%q, port %d: %q, %v; want %q", tt.hosts, tt.port, got, err, tt.want)
		}
	}
}

func FuzzAddresses(f *testing.F) {
	f.Add("localhost", 0)
	f.Add("a:1,[::1]:2,/x", 5)
	f.Fuzz(func(t *testing.T, hosts string, port int) {
		addrs, err := addresses(hosts, port)
		if (err == nil) != (len(addrs) > 0) {
			t.Fatalf("%q: %v, %v", addrs, err, hosts)
		}
	})
}
