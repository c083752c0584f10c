package rpc

import (
	"strings"
	"testing"
)

// TestHTTPToDubboJava: JSON over HTTP to Apache Dubbo in Java, which knows its
// methods by their types, or finds them out by itself.
func TestHTTPToDubboJava(t *testing.T) {
	demo := newJava(t).server(t, "DubboServer")
	order := `{"id":7,"items":["tea","cups"],"total":12.5}`
	for name, options := range map[string]map[string]any{
		"types":   {"version": "1.0", "group": "a", "parameter_types": map[string]any{"peers.Demo/change": []any{"peers.Order"}}},
		"generic": {"version": "1.0", "group": "a", "generic": true},
	} {
		t.Run(name, func(t *testing.T) {
			s := converting(t, demo, map[string]any{"type": "http2dubbo", "trans": options})
			if got := post(t, s, "/peers.Demo/who", ``); got != `200 "a"` {
				t.Errorf("who: %s", got)
			}
			if got := post(t, s, "/peers.Demo/who", ``, "group", "b"); got != `200 "b"` {
				t.Errorf("who of another group: %s", got)
			}
			if got := post(t, s, "/peers.Demo/echo", `["größer 😀"]`); got != `200 "größer 😀"` {
				t.Errorf("echo: %s", got)
			}
			got := post(t, s, "/peers.Demo/change", "["+order+"]")
			if !strings.HasPrefix(got, "200 {") || !strings.Contains(got, `"id":8`) || !strings.Contains(got, `"items":["tea","cups","größer"]`) || !strings.Contains(got, `"total":12.5`) {
				t.Errorf("change: %s", got)
			}
			if got := post(t, s, "/peers.Demo/slow", `["x",50,"done"]`, "parameter-types", "String,int,String"); got != `200 "done"` {
				t.Errorf("slow: %s", got)
			}
			if got = post(t, s, "/peers.Demo/fail", `["no money"]`); got != `500 {"error":"no money","rpc_status":20,"exception":"peers.Trouble"}` {
				t.Errorf("fail: %s", got)
			}
			if got = post(t, s, "/peers.Demo/nothing", ``); !strings.HasPrefix(got, "500 ") || !strings.Contains(got, "nothing") || strings.Contains(got, `\n`) {
				t.Errorf("no such method: %s", got)
			}
			if got = post(t, s, "/peers.Nobody/who", ``); !strings.HasPrefix(got, "400 ") || !strings.Contains(got, `"rpc_status":40`) {
				t.Errorf("no such service: %s", got)
			}
		})
	}
}
