package mesh

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Fields by which the core's bolt protocol knows what is no pair of a frame's
// header block, and the keys that SOFA RPC has for service and method.
const (
	classField  = "bolt-class"
	codecField  = "bolt-codec"
	statusField = "rpc-status"

	serviceKey       = "service"
	targetServiceKey = "sofa_head_target_service"
	methodKey        = "sofa_head_method_name"
)

// boltWire: what came along with the call is the frame's header block, to which
// the id is added as the service and the method as the method, unless the caller
// has said them; data is the content.
type boltWire struct {
	class, codec string
}

// boltExt are a channel's options.
type boltExt struct {
	Class string `json:"class" doc:"Class name in requests."`
	Codec int    `json:"codec" min:"0" max:"255" doc:"Serialisation of requests: 1 Hessian, 11 protobuf. Default 1."`
}

func newBolt(r *reader, path string, ext map[string]any) wire {
	e := boltExt{Codec: 1}
	r.ext(&e, ext, path)
	if e.Class == "" {
		r.fail(decode.Join(path, "class"), `the class name in requests, for example "com.alipay.sofa.rpc.core.request.SofaRequest"`, "missing")
	}
	return boltWire{class: e.Class, codec: strconv.Itoa(e.Codec)}
}

func (boltWire) refuse(*rpc.Request) error { return nil }

func (w boltWire) fill(ctx context.Context, req *stream.Request, r *rpc.Request) {
	req.Method, req.OneWay = r.Method, r.OneWay
	req.Timeout = limit(ctx, req)
	for _, p := range r.Header {
		if !stream.EqualName(p.Name, statusField) && (r.ContentType == "" || !stream.EqualName(p.Name, "content-type")) {
			req.Header.Add(p.Name, p.Value)
		}
	}
	add := func(name, value string, unless ...string) {
		if value == "" || slices.ContainsFunc(r.Header, func(p rpc.Pair) bool {
			return slices.ContainsFunc(unless, func(u string) bool { return stream.EqualName(u, p.Name) })
		}) {
			return
		}
		req.Header.Add(name, value)
	}
	add(serviceKey, r.ID, serviceKey, targetServiceKey)
	add(targetServiceKey, r.ID, serviceKey, targetServiceKey)
	add(methodKey, r.Method, methodKey)
	add("content-type", r.ContentType)
	add("verb", r.Verb, "verb")
	add("query_string", r.Query, "query_string")
	add(classField, w.class, classField)
	add(codecField, w.codec, codecField)
}

// boltStatus says what the statuses of answers mean.
var boltStatus = map[string]struct {
	text string
	code rpc.Code
}{
	"1":  {"error", rpc.Unavailable},
	"2":  {"the service threw an exception, or a rule denied the call", rpc.Unavailable},
	"3":  {"unknown", rpc.Unavailable},
	"4":  {"overloaded", rpc.Unavailable},
	"5":  {"communication error", rpc.Unavailable},
	"6":  {"nobody serves it: no route, no host, or none that can be reached", rpc.Unavailable},
	"7":  {"timeout", rpc.Timeout},
	"8":  {"could not be sent", rpc.Unavailable},
	"9":  {"codec exception", rpc.Internal},
	"16": {"connection closed", rpc.Unavailable},
	"17": {"serialisation exception", rpc.Internal},
	"18": {"deserialisation exception", rpc.Internal},
}

func (boltWire) answer(resp *stream.Response, out *rpc.Response) error {
	status := takeStatus(out)
	if resp.Status >= 200 && resp.Status <= 299 {
		return nil
	}
	known, ok := boltStatus[status]
	if !ok {
		return &rpc.Error{Code: rpc.Unavailable, Msg: fmt.Sprintf("bolt error code %s", status)}
	}
	return &rpc.Error{Code: known.code, Msg: fmt.Sprintf("bolt error code %s: %s", status, known.text)}
}

func (boltWire) failed(err error) *rpc.Error {
	e := translate(err)
	if e.Code == rpc.Timeout {
		e.Msg = "request timeout"
	}
	return e
}

// limit is how long a call may take from when it is sent: what its frame says.
func limit(ctx context.Context, req *stream.Request) time.Duration {
	d := req.Deadline.Sub(req.Info.Start)
	if at, ok := ctx.Deadline(); ok {
		d = min(d, at.Sub(req.Info.Start))
	}
	return max(d, time.Millisecond) // none at all would be no limit
}

// takeStatus takes the protocol's own status out of an answer's header.
func takeStatus(out *rpc.Response) (status string) {
	out.Header = slices.DeleteFunc(out.Header, func(p rpc.Pair) bool {
		if !stream.EqualName(p.Name, statusField) {
			return false
		}
		status = p.Value // the core's own is the last
		return true
	})
	return status
}
