package layotto_test

import (
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
)

// Whatever a service sends as headers, what reaches gRPC is what it can carry,
// and not more than clients take.
func FuzzToMetadata(f *testing.F) {
	f.Add("Content-Type", "a", "x-bin", "\x00", 3)
	f.Add("Grpc-Status", "0", "Straße", "ü", 1)
	f.Add(":path", "/", "", "", 200)
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string, times int) {
		var header []rpc.Pair
		for range min(max(times, 1), 500) {
			header = append(header, rpc.Pair{Name: n1, Value: v1}, rpc.Pair{Name: n2, Value: v2})
		}
		size := 0
		for name, values := range layotto.ToMetadata(header) {
			if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" ||
				strings.HasPrefix(name, "grpc-") || name == "content-type" || name == "content-length" || name == "connection" {
				t.Errorf("name %q", name)
			}
			for _, v := range values {
				size += 32 + len(name) + len(v)
				for i := range len(v) {
					if !strings.HasSuffix(name, "-bin") && (v[i] < ' ' || v[i] > '~') {
						t.Errorf("%s: value %q", name, v)
					}
				}
			}
		}
		if size > 8<<10 {
			t.Errorf("%d bytes of metadata", size)
		}
	})
}
