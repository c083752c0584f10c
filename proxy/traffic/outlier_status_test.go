package traffic

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Passive checks go by what a protocol says of its own, not by HTTP's 200 around it.

// TestI10StatusOfRPC: a status that stands for one from 500 on is a failure of
// the host; one that blames the caller is none.
func TestI10StatusOfRPC(t *testing.T) {
	for _, c := range []struct {
		protocol, code string
		out            bool
	}{
		{"bolt", "4", true},
		{"bolt", "7", true},
		{"bolt", "2", true},
		{"bolt", "16", true},
		{"bolt", "0", false},
		{"bolt", "3", true},
		{"bolt", "17", true},
		{"bolt", "6", false}, // of what nobody serves
		{"bolt", "9", false},
		{"bolt", "18", false}, // a class that the host does not have
		{"boltv2", "6", false},
		{"boltv2", "4", true},
		{"dubbo", "100", true},
		{"dubbo", "31", true},
		{"dubbo", "80", true},
		{"dubbo", "40", false},
		{"dubbo", "60", false},
		{"tars", "-9", true},
		{"tars", "-99", true},
		{"tars", "-3", false},
		{"tars", "-4", false},
	} {
		t.Run(c.protocol+" "+c.code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, strings.Replace(rpcFile("downstream_protocol: "+c.protocol, "outlier_detection: {consecutive_5xx: 3}"),
					`{address: "host:1"}`, `{address: "host:1"}, {address: "host:2"}`, 1), speaking(t))
				peers := r.peers(c.protocol, time.Millisecond, "host:1", "host:2")
				if peers[0].code = c.code; c.code == "0" {
					peers[0].code = ""
				}
				caller := r.rpcCaller(c.protocol)
				for range 8 {
					if _, err := call(caller, c.protocol, "pay"); err != nil {
						t.Error(err)
					}
				}
				want := "healthy, healthy"
				if c.out {
					want = "ejected, healthy"
				}
				if got := r.states(); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			})
		})
	}
}

// TestI10StatusOfGRPC: the status of gRPC counts, in the head or behind the body.
func TestI10StatusOfGRPC(t *testing.T) {
	for code, out := range map[string]bool{
		"0": false, "1": false, "2": true, "3": false, "4": true, "5": false, "7": false, "8": false, "12": false, "13": true, "14": true, "15": true, "16": false,
	} {
		for _, place := range []string{"head", "trailer"} {
			t.Run(code+" in the "+place, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := start(t, overGRPC+balanced(2, "outlier_detection: {consecutive_5xx: 3}")+`
routers: [{router_config_name: main, virtual_hosts: [{domains: ["*"], routers: [{route: {cluster_name: a}}]}]}]
`)
					r.speak("10.0.0.1:80", "gRPC", func(proxytest.Protocol, *stream.Request) *stream.Response {
						resp := &stream.Response{Status: 200}
						resp.Header.Add("content-type", "application/grpc")
						if place == "head" {
							resp.Header.Add("grpc-status", code)
							return resp
						}
						resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader("message")), -1
						resp.Trailer.Add("grpc-status", code)
						return resp
					})
					r.speak("10.0.0.2:80", "gRPC", func(p proxytest.Protocol, _ *stream.Request) *stream.Response {
						return p.Answer(200, strings.NewReader("fine"), -1)
					})
					rig := r.grpc()
					c := rig.Caller(t)
					for range 8 {
						resp, err := c.Handle(t.Context(), rig.Protocol.Request("/pay.Pay/Do", strings.NewReader("x"), 1))
						must(t, err)
						if resp.Body != nil {
							_, err = io.Copy(io.Discard, resp.Body)
							must(t, err)
						}
						_ = resp.Close()
					}
					want := "healthy, healthy"
					if out {
						want = "ejected, healthy"
					}
					if got := r.states(); got != want {
						t.Errorf("%s, want %s", got, want)
					}
				})
			})
		}
	}
}
