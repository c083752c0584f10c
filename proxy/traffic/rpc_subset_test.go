package traffic

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// What a call carries along (an attachment of Dubbo's, a pair of Bolt's header, the
// context of Tars) can say which hosts are meant: those with a label of that value.
func TestSubsetsByAttachment(t *testing.T) {
	for _, name := range []string{"dubbo", "bolt", "boltv2", "tars"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				text := rpcFile("downstream_protocol: "+name, "lb_subset_config: {subset_selectors: [[version]], fall_back_policy: 0}")
				text = strings.Replace(text, `{address: "host:1"}`, `
      {address: "host:1", metadata: {filter_metadata: {mosn.lb: {version: blue}}}},
      {address: "host:2", metadata: {filter_metadata: {mosn.lb: {version: blue}}}},
      {address: "host:3", metadata: {filter_metadata: {mosn.lb: {version: green}}}}`, 1)
				text = strings.Replace(text, "    filter_chains:", `    stream_filters:
      - {type: dubbo_stream}
      - {type: header_to_metadata, config: {request_rules: [{header: tag, on_header_present: {key: version}}]}}
    filter_chains:`, 1)
				text = strings.Replace(text, `match: {headers: [{name: service, value: ".*"}]}`, `match: {prefix: /}`, 1)
				r := begin(t, text, speaking(t))
				r.peers(name, time.Millisecond, "host:1", "host:2", "host:3")
				caller := r.rpcCaller(name)
				hosts := map[string]string{}
				for _, tag := range []string{"blue", "green", "red", ""} {
					came := make(map[string]int)
					for range 6 {
						before := len(r.Records.All())
						tagged(t, caller, name, tag)
						rec := r.Records.Last(t, before+1)
						came[fmt.Sprintf("%d %s", rec.Status, rec.Info.Host)]++
						synctest.Wait()
					}
					hosts[tag] = fmt.Sprint(came)
				}
				for tag, want := range map[string]string{
					"blue": "map[200 host:1:3 200 host:2:3]", "green": "map[200 host:3:6]", "red": "map[503 :6]",
					"": "map[200 host:1:2 200 host:2:2 200 host:3:2]",
				} {
					if hosts[tag] != want {
						t.Errorf("calls with the tag %q went to %s, want %s", tag, hosts[tag], want)
					}
				}
			})
		})
	}
}

// tagged makes a call that carries a tag along; "" is none.
func tagged(t *testing.T, c protocol.Client, name, tag string) {
	t.Helper()
	text := payloadTo(name, "pay")
	req := &stream.Request{Method: "echo", Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text))}
	req.Header.Add("service", "pay")
	if tag != "" {
		req.Header.Add("tag", tag)
	}
	resp, err := c.Handle(t.Context(), req)
	must(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	must(t, err)
	_ = resp.Close()
}
