package protocol_test

import (
	"slices"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
)

// named is a protocol of which only the name matters.
type named struct {
	protocol.Protocol
	name string
}

func (n named) Name() string { return n.name }

func TestTable(t *testing.T) {
	table, err := protocol.NewTable(named{name: "Http2"}, named{name: "Http1"}, named{name: "bolt"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := table.Names(), []string{"Http1", "Http2", "bolt"}; !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	for name, want := range map[string]string{"Http1": "Http1", "http1": "Http1", "HTTP1": "Http1", "Bolt": "bolt", "": "", "Http": "", "Http3": ""} {
		p, ok := table.Lookup(name)
		if ok != (want != "") || ok && p.Name() != want {
			t.Errorf("%q: found %v", name, ok)
		}
	}
	if _, err := protocol.NewTable(named{name: "Http1"}, named{name: "http1"}); err == nil {
		t.Error("a name listed twice is taken")
	}
}
