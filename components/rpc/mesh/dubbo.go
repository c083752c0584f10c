package mesh

import (
	"context"
	"fmt"

	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// dubboWire: data is the body of a Dubbo frame, a call in Hessian 2, which says
// itself what is called. What came along with the call is added to its
// attachments.
type dubboWire struct{ boltWire }

func newDubbo(r *reader, path string, ext map[string]any) wire {
	var none struct{}
	r.ext(&none, ext, path)
	return dubboWire{}
}

func (dubboWire) fill(ctx context.Context, req *stream.Request, r *rpc.Request) {
	req.OneWay = r.OneWay
	req.Timeout = limit(ctx, req)
	for _, p := range r.Header {
		if !stream.EqualName(p.Name, statusField) {
			req.Header.Add(p.Name, p.Value)
		}
	}
}

func (dubboWire) answer(resp *stream.Response, out *rpc.Response) error {
	status := takeStatus(out)
	if resp.Status >= 200 && resp.Status <= 299 {
		return nil
	}
	e := &rpc.Error{Code: rpc.Unavailable, Msg: fmt.Sprintf("dubbo error code %s", status)}
	if resp.Status == 504 {
		e.Code = rpc.Timeout
	}
	return e
}
