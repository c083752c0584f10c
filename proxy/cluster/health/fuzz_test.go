package health

import (
	"encoding/binary"
	"testing"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
)

// FuzzParseAnswer compares with the generated code: what that understands is
// understood the same, and nothing panics. Of what it refuses some is taken:
// numbers of fields that are too large, for example.
func FuzzParseAnswer(f *testing.F) {
	for _, s := range []string{"", "\x00\x00\x00\x00\x02\x08\x01", "\x00\x00\x00\x00\x0a\x08\x01\x12\x03abc\x18\xff\x01", "\x01\x00\x00\x00\x00", "\x00\xff\xff\xff\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		state, err := parseAnswer(b)
		if len(b) < 5 || b[0] != 0 || int(binary.BigEndian.Uint32(b[1:5])) != len(b)-5 {
			if err == nil {
				t.Fatalf("%x: the frame is wrong", b)
			}
			return
		}
		var m grpc_health_v1.HealthCheckResponse
		if proto.Unmarshal(b[5:], &m) != nil {
			return
		}
		if err != nil {
			t.Fatalf("%x: %v, but it is %v", b, err, m.GetStatus())
		}
		if state == stateServing && m.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Fatalf("%x: SERVING, but it is %v", b, m.GetStatus())
		}
	})
}
