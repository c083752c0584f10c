package semantics

import (
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

func TestGRPCStatus(t *testing.T) {
	for _, c := range []struct {
		kind, head, trailer string
		want                int // 0: none
	}{
		{"application/grpc", "", "0", 200},
		{"application/grpc+proto", "", "14", 503},
		{"application/grpc; charset=utf-8", "13", "", 500},
		{"application/grpc", "0", "4", 504}, // the last word counts
		{"application/grpc", "12", "", 404},
		{"application/grpc", "16", "", 401},
		{"application/grpc", "17", "", 500},
		{"application/grpc", "-1", "", 500},
		{"application/grpc", "99999999999999999999", "", 500},
		{"application/grpc", "", "", 0},
		{"application/grpc-web", "14", "", 0},
		{"application/json", "14", "14", 0},
		{"", "14", "14", 0},
	} {
		resp := &stream.Response{Status: 200}
		if c.kind != "" {
			resp.Header.Add("Content-Type", c.kind)
		}
		if c.head != "" {
			resp.Header.Add("grpc-status", c.head)
		}
		if c.trailer != "" {
			resp.Trailer.Add("Grpc-Status", c.trailer)
		}
		if status, ok := GRPCStatus(resp, true); status != c.want || ok != (c.want != 0) {
			t.Errorf("%+v: %d, %v", c, status, ok)
		}
		resp.Trailer.Reset()
		resp.Trailer.Add("grpc-status", "14")
		if status, ok := GRPCStatus(resp, false); ok && (c.head == "" || status == 503) {
			t.Errorf("%+v: %d of a trailer that is not whole", c, status)
		}
	}
}
