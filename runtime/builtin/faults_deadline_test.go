package builtin_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/internal/testserver/etcd"
)

// ownLimit is how long the components of TestFaultsDeadlines wait for their servers by
// themselves.
const ownLimit = time.Second

// TestFaultsDeadlines: a server that hangs is told of as DEADLINE_EXCEEDED, whether the
// caller's deadline passes first, the component's own limit, or both at a time. Where
// the driver finds out by itself that the server is gone, later callers hear that.
func TestFaultsDeadlines(t *testing.T) {
	t.Parallel()
	redis := func(more string) func(addr, _ string) string {
		return func(addr, _ string) string {
			return fmt.Sprintf("metadata: {redisHost: %q, readTimeout: %s, writeTimeout: %s%s}", addr, ownLimit, ownLimit, more)
		}
	}
	startRedis := func(t *testing.T) (faultServer, string) { s := testserver.Redis(t); return s, s.Addr }
	etcds := func(timeout string) func(addr, _ string) string {
		return metadata("endpoints: %q, " + timeout + ": " + ownLimit.String())
	}
	for _, row := range []struct {
		faultRow
		findsOut bool
	}{
		{faultRow: faultRow{server: "redis", start: startRedis, components: []faultComponent{
			{kind: "lock", typ: "redis", config: redis("")},
			{kind: "sequencer", typ: "redis", config: redis("")},
			{kind: "state", typ: "redis", config: redis("")},
		}}},
		{faultRow: faultRow{server: "redis servers", start: startRedis, components: []faultComponent{
			{kind: "lock", typ: "redis_cluster", config: metadata("redisHosts: %q")},
		}}},
		{faultRow: faultRow{server: "etcd", start: func(t *testing.T) (faultServer, string) {
			s := etcd.Start(t)
			l := testserver.NewLink(t, s.Addr)
			return linked{s, l}, l.Addr
		}, components: []faultComponent{
			// The first: after some seconds the client finds out that the connection is dead.
			{kind: "configuration", typ: "etcd", config: func(addr, _ string) string { return fmt.Sprintf("address: [%q], timeout: %q", addr, "1") }},
			{kind: "lock", typ: "etcd", config: etcds("dialTimeout")},
			{kind: "sequencer", typ: "etcd", config: etcds("dialTimeout")},
		}}},
		{findsOut: true, faultRow: faultRow{server: "zookeeper", start: func(t *testing.T) (faultServer, string) { s := testserver.ZooKeeper(t); return s, s.Addr }, components: []faultComponent{
			{kind: "lock", typ: "zookeeper", config: metadata("zookeeperHosts: %q, sessionTimeout: 1s")},
			{kind: "sequencer", typ: "zookeeper", config: metadata("zookeeperHosts: %q, sessionTimeout: 1s")},
		}}},
		{findsOut: true, faultRow: faultRow{server: "mongo", start: func(t *testing.T) (faultServer, string) { s := testserver.Mongo(t); return s, s.Addr }, components: []faultComponent{
			{kind: "lock", typ: "mongo", config: metadata("mongoHost: %q, operationTimeout: 1s")},
			{kind: "sequencer", typ: "mongo", config: metadata("mongoHost: %q, operationTimeout: 1s")},
		}}},
	} {
		t.Run(row.server, func(t *testing.T) {
			t.Parallel()
			s, addr := row.start(t)
			p := newPatient(t, faultFile(addr, "", row.components...))
			p.works(row.components, testserver.Patience)
			paused := time.Now()
			s.Pause()
			eventually(t, testserver.Patience, "the server hangs", func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, ownLimit/10)
				defer cancel()
				c := row.components[0]
				if faultKinds[c.kind].calls[0].do(ctx, p.cc, "one") == nil {
					return fmt.Errorf("%s on %s has an answer", c.kind, c.typ)
				}
				return nil
			})
			var mu sync.Mutex
			var wrong []string
			var wg sync.WaitGroup
			for _, deadline := range []time.Duration{ownLimit / 4, ownLimit - 10*time.Millisecond, ownLimit, ownLimit + 10*time.Millisecond, 2 * ownLimit, 0} {
				for range 3 {
					wg.Go(func() {
						each(row.components, func(c faultComponent, call faultCall) {
							ctx, cancel := context.WithTimeout(t.Context(), 60*ownLimit)
							defer cancel()
							if deadline > 0 {
								ctx, cancel = context.WithTimeout(ctx, deadline)
								defer cancel()
							} else {
								ctx = noDeadline{ctx} // the runtime does not get to know it
							}
							begin := time.Now()
							err := call.do(ctx, p.cc, "one")
							code := status.Code(err)
							// On a machine that is slow others have the time to find out, too.
							findsOut := row.findsOut && (deadline == 0 || deadline > ownLimit/2) || time.Since(paused) > 5*time.Second
							if code == codes.DeadlineExceeded || findsOut && code == codes.Unavailable {
								return
							}
							mu.Lock()
							defer mu.Unlock()
							wrong = append(wrong, fmt.Sprintf("%s on %s with a deadline of %s, after %s: %v", call.name, c.typ, deadline, time.Since(begin).Round(time.Millisecond), err))
						})
					})
				}
			}
			wg.Wait()
			slices.Sort(wrong)
			if len(wrong) > 0 {
				t.Errorf("%d calls:\n%s", len(wrong), strings.Join(wrong, "\n"))
			}
			s.Resume()
			p.works(row.components, testserver.Patience)
		})
	}
}
