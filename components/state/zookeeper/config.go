package zookeeper

import (
	"cmp"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Metadata is the settings. The zero value has every default except Servers.
type Metadata struct {
	Servers           string        `json:"servers" doc:"Addresses of the ensemble's members, host:port, with commas between them."`
	SessionTimeout    time.Duration `json:"sessionTimeout" doc:"How long the session outlives the connection; 0 is 5s."`
	MaxBufferSize     int           `json:"maxBufferSize" doc:"The biggest answer in bytes (the server's jute.maxbuffer); 0 is 1 MiB."`
	MaxConnBufferSize int           `json:"maxConnBufferSize" doc:"The biggest answer in bytes that a connection has room for; 0 is 1 MiB."`
	KeyPrefixPath     string        `json:"keyPrefixPath" doc:"The node below which the keys are; it is made when it is not there."`
	Timeout           time.Duration `json:"timeout" doc:"How long one operation may take, also when the caller would wait longer; 0 is 5s."`
}

// settings are checked Metadata.
type settings struct {
	servers               []string
	root                  string // with a slash before it and none behind; "" is the tree's own
	session, timeout      time.Duration
	maxBuffer, connBuffer int
}

const (
	defaultSession = 5 * time.Second
	defaultTimeout = 5 * time.Second
	defaultBuffer  = 1 << 20
)

func check(m Metadata, path string) (*settings, error) {
	var problems decode.Problems
	fail := func(key, message, remedy string) {
		problems = append(problems, decode.Problem{Path: decode.Join(path, key), Message: message, Remedy: remedy})
	}
	s := &settings{
		servers: strings.FieldsFunc(m.Servers, func(r rune) bool { return r == ',' || r == ';' || r == ' ' }),
		session: cmp.Or(m.SessionTimeout, defaultSession), timeout: cmp.Or(m.Timeout, defaultTimeout),
		maxBuffer: cmp.Or(m.MaxBufferSize, defaultBuffer), connBuffer: cmp.Or(m.MaxConnBufferSize, defaultBuffer),
	}
	if len(s.servers) == 0 {
		fail("servers", "there is none", "write host:port, with commas between several")
	}
	if s.session < 0 {
		fail("sessionTimeout", "it is negative", "write a duration like 5s")
	}
	if s.timeout < 0 {
		fail("timeout", "it is negative", "write a duration like 5s")
	}
	if s.maxBuffer < 0 || s.connBuffer < 0 {
		fail("maxBufferSize", "it is negative", "write a number of bytes")
	}
	for part := range strings.SplitSeq(m.KeyPrefixPath, "/") {
		if part == "" {
			continue
		}
		if nodeName(part) != part {
			fail("keyPrefixPath", "ZooKeeper does not take it as a path", "write names with slashes between them")
		}
		s.root += "/" + part
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return s, nil
}
