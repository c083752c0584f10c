package transcoder_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

// A body that a caller by HTTP has compressed is unpacked before it is converted,
// and refused where that cannot be done. What it unpacks to counts.
func TestCompressedRequests(t *testing.T) {
	const limit = 1000
	for _, c := range []struct {
		body, coding string
		status       int
		asked        string
	}{
		{zipped(`["a",1]`), "gzip", 200, `["a",1]`},
		{zipped(`["a",1]`), "X-GZip", 200, `["a",1]`},
		{zipped(zipped(`[2]`)), "gzip, gzip", 200, `[2]`},
		{zipped(zipped(zipped(`[3]`))), "gzip, gzip, gzip", 200, `[3]`},
		{zipped(zipped(zipped(zipped(`[4]`)))), "gzip, gzip, gzip, gzip", 415, ""},
		{"", strings.Repeat("gzip,", 1000), 415, ""},
		{`[3]`, "identity", 200, `[3]`},
		{"", "gzip", 200, `[]`},
		{zipped(`[3]`), "", 400, ""},
		{`[3]`, "gzip", 400, ""},
		{zipped(`[1,2,3,4]`)[:25], "gzip", 400, ""},
		{zipped(`[3]`) + "more", "gzip", 400, ""},
		{zipped(`"` + strings.Repeat("x", limit) + `"`), "gzip", 413, ""},
		{zipped(strings.Repeat("x", 500<<10)), "gzip", 413, ""}, // in less than 1000 bytes
		{`[3]`, "br", 415, ""},
		{`[3]`, "gzip, zstd", 415, ""},
	} {
		for _, converter := range []string{"http2bolt", "http2bolt_simple"} {
			if converter == "http2bolt_simple" && (c.body == "" || c.coding == "") {
				continue // is no JSON, and need not be
			}
			t.Run(fmt.Sprintf("%s %q %d", converter, c.coding, c.status), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := &proxytest.Network{}
					h := speak(t, n, "bolt", func(context.Context, asked) reply { return reply{status: 0, body: "true"} })
					r := start(t, n, file(fmt.Sprintf("{type: %s, max_body_size: %d}", converter, limit)))
					got := r.web("POST", "/pay/cash", c.body, "Content-Type: application/json", "Content-Encoding: "+c.coding)
					if got.status != c.status || c.status == 415 && got.header.Get("Accept-Encoding") != "gzip" {
						t.Fatalf("%+v", got)
					}
					if c.status == 200 {
						if a := h.last(t, 1); a.body != c.asked || a.field("content-encoding") != "" {
							t.Errorf("the host was asked %q, %v", a.body, a.Header)
						}
					}
				})
			})
		}
	}
}

// The same of what a web service answers.
func TestCompressedAnswers(t *testing.T) {
	for _, c := range []struct {
		body, coding, status, text string
	}{
		{zipped(`{"a":1}`), "gzip", "0", `{"a":1}`},
		{`{"a":1}`, "identity", "0", `{"a":1}`},
		{"", "gzip", "0", "null"},
		{`{"a":1}`, "gzip", "9", ""},
		{`{"a":1}`, "br", "9", ""},
		{zipped(zipped(zipped(zipped(`{"a":1}`)))), "gzip, gzip, gzip, gzip", "9", ""},
		{zipped(`"` + strings.Repeat("x", 2000) + `"`), "gzip", "9", ""},
	} {
		t.Run(fmt.Sprintf("%q %s", c.coding, c.status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &proxytest.Network{}
				speak(t, n, "Http1", func(context.Context, asked) reply {
					return reply{status: 200, body: c.body, fields: []string{"Content-Type", "application/json", "Content-Encoding", c.coding}}
				})
				r := start(t, n, file("{type: bolt2http, max_body_size: 1000}"))
				req := &stream.Request{Method: "cash"}
				req.Header.Add("service", "pay")
				req.Header.Add("sofa_head_method_name", "cash")
				status, text, header := r.call("bolt", req, `[1]`)
				if status != c.status || text != c.text || header.Get("content-encoding") != "" {
					t.Errorf("status %s, %q, %v", status, text, header)
				}
			})
		})
	}
}
