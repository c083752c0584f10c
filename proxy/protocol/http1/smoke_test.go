package http1

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestSmoke(t *testing.T) {
	a, b := conn.Pipe()
	srv, err := Protocol{}.NewServer(protocol.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	go srv.ServeConn(t.Context(), conn.New(b), stream.HandlerFunc(func(ctx context.Context, r *stream.Request) (*stream.Response, error) {
		resp := textResponse(200, r.Method+" "+r.Path+"?"+r.Query+" "+r.Header.Get("x-a"))
		if r.Body != nil {
			d, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			resp = textResponse(200, string(d))
			resp.ContentLength = -1
		}
		return resp, nil
	}))
	hc := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return a, nil }}}
	for range 3 {
		req, _ := http.NewRequest("POST", "http://x/abc?d=e", io.MultiReader(strings.NewReader(strings.Repeat("x", 100000)), strings.NewReader("y")))
		resp, err := hc.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		d, err := io.ReadAll(resp.Body)
		if len(d) != 100002 || err != nil {
			t.Fatal(len(d), err)
		}
		resp, err = hc.Get("http://x/abc?d=e")
		if err != nil {
			t.Fatal(err)
		}
		d, err = io.ReadAll(resp.Body)
		if string(d) != "GET /abc?d=e \n" || err != nil {
			t.Fatal(string(d), err)
		}
	}
}
