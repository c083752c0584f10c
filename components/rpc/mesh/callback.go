package mesh

import (
	"context"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/rpc"
)

// Callbacks returns the callbacks that are built in.
func Callbacks() []rpc.Callback {
	return []rpc.Callback{
		{Name: "dubbo_json_rpc", Doc: "addresses a Dubbo service that speaks JSON-RPC over HTTP", Before: newDubboJSONRPC},
	}
}

func newDubboJSONRPC(cfg components.Config) (rpc.Before, error) {
	var none struct{}
	return dubboJSONRPC, cfg.Decode(&none)
}

func dubboJSONRPC(_ context.Context, r *rpc.Request) error {
	r.Header = append(r.Header, rpc.Pair{Name: "x-services", Value: r.ID}, rpc.Pair{Name: "x-method", Value: r.Method},
		rpc.Pair{Name: "accept", Value: "application/json"})
	r.ContentType = "application/json"
	r.Method = r.ID
	return nil
}
