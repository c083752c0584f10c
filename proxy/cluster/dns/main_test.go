package dns_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/dns"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write puts a file into a directory of the test and returns its name.
func write(t testing.TB, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// resolver makes a Resolver that asks the servers, with an empty hosts file.
func resolver(t testing.TB, list config.DNSResolvers, env dns.Env) *dns.Resolver {
	t.Helper()
	if env.HostsFile == "" {
		env.HostsFile = write(t, "hosts", "")
	}
	r, warnings, err := dns.NewResolver(config.Cluster{DNSResolvers: &list}, env, "cluster")
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	return r
}

// text returns addresses or the error as text.
func text(addrs []netip.Addr, err error) string {
	if err != nil {
		return err.Error()
	}
	var list []string
	for _, ip := range addrs {
		list = append(list, ip.String())
	}
	return strings.Join(list, " ")
}

// lookup looks a name up within a time that a busy machine keeps.
func lookup(t testing.TB, r dns.Lookup, name string, family dns.Family) (string, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	addrs, ttl, err := r.Lookup(ctx, name, family)
	if (err == nil) != (len(addrs) > 0) {
		t.Errorf("%s: %d addresses, error %v", name, len(addrs), err)
	}
	return text(addrs, err), ttl
}

// wires is a network of name servers for tests in fake time. Each gets a question
// and answers with as many packets as it likes. They work one at a time.
type wires map[string]func(network string, q *miekg.Msg) [][]byte

// turn is held by the server that works.
type turn chan struct{}

// dialer returns how to connect to a server; what is written at once is one packet.
func (w wires) dialer() func(context.Context, string, string) (net.Conn, error) {
	t := make(turn, 1)
	return func(_ context.Context, network, address string) (net.Conn, error) { return w.dial(t, network, address) }
}

func (w wires) dial(t turn, network, address string) (net.Conn, error) {
	serve, ok := w[address]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrNotExist}
	}
	here, there := net.Pipe()
	go func() {
		defer func() { _ = there.Close() }()
		buf := make([]byte, 4096)
		for {
			n, err := there.Read(buf)
			if err != nil {
				return
			}
			packet := buf[:n]
			if network == "tcp" {
				packet = packet[2:]
			}
			q := new(miekg.Msg)
			if err := q.Unpack(packet); err != nil {
				panic(err)
			}
			t <- struct{}{}
			answers := serve(network, q)
			<-t
			for _, answer := range answers {
				if _, err := there.Write(answer); err != nil {
					return
				}
			}
		}
	}()
	return here, nil
}

// pack returns a message in bytes.
func pack(m *miekg.Msg) []byte {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// reply returns an answer with records "name A 1.2.3.4".
func reply(q *miekg.Msg, rcode int, records ...string) *miekg.Msg {
	m := new(miekg.Msg).SetRcode(q, rcode)
	m.RecursionAvailable = true
	for _, text := range records {
		rr, err := miekg.NewRR(text)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

// names returns the names in a list of questions "udp A a.test.", each once in a row.
func names(asked []string) []string {
	var list []string
	for _, a := range asked {
		list = append(list, strings.Fields(a)[2])
	}
	return slices.Compact(list)
}
