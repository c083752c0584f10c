package capability

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/components/rpc"
)

// MeshInvoker is the name of the invoker that goes through the proxy core; the
// one that Layotto's API calls when the call names none.
const MeshInvoker = "mosn"

// DefaultRPCTimeout bounds a call whose metadata do not say how long it may take.
const DefaultRPCTimeout = 3 * time.Second

// Metadata of a call that are for us, not for the service.
const (
	// RPCTimeoutKey is the time limit in milliseconds; 0 is the default limit.
	RPCTimeoutKey = "rpc_request_timeout"
	// RPCTargetKey is the address to call, whatever the routes say.
	RPCTargetKey = "rpc_target_address"
	// RPCTypeKey is "oneway" for a call that wants no answer; other values have
	// no meaning.
	RPCTypeKey = "rpc_request_type"
	// RPCChannelKey names the channel to take, of an invoker that has several;
	// without it, the first is taken.
	RPCChannelKey = "rpc_channel"
	// RPCInvokerKey names the invoker, in place of the usual one.
	RPCInvokerKey = "rpc_invoker"
	// RPCOneWay is the value of RPCTypeKey for a call that wants no answer.
	RPCOneWay = "oneway"
)

// RPCInvoke is the operation in an Error.
const RPCInvoke Op = "invoke"

// RPC calls services, through the invokers it was made from.
type RPC struct {
	invokers map[string]rpc.Invoker
}

// NewRPC takes the invokers by their names. The map is copied.
func NewRPC(invokers map[string]rpc.Invoker) *RPC {
	return &RPC{invokers: maps.Clone(invokers)}
}

// Call is one call of a service.
type Call struct {
	// ID names the service.
	ID string
	// Method is what to call there.
	Method string
	// Verb is the HTTP method; "" leaves it to the channel.
	Verb string
	// Query is the query string, without "?".
	Query string
	// ContentType describes Data. When it is "", the service is not told one.
	ContentType string
	// Metadata is what came along with the call, names in lower case. It becomes
	// the headers for the service, except what belongs to the transport it came
	// by and the names above.
	Metadata map[string][]string
	// Data is the body; the invoker does not change it, nor keep it afterwards.
	Data []byte
}

// Invoke calls the service through the invoker of that name, unless the call
// names another. An answer outside
// 200 to 299 is an Error of kind CalleeStatus that wraps the *rpc.Error which
// holds the answer. The caller's deadline and the call's own time limit both
// count.
func (r *RPC) Invoke(ctx context.Context, invoker string, call *Call) (*rpc.Response, error) {
	var invokers map[string]rpc.Invoker
	if r != nil {
		invokers = r.invokers
	}
	if name := first(call.Metadata[RPCInvokerKey]); name != "" {
		invoker = name
	}
	inv, err := find(invokers, RPCName, RPCInvoke, invoker)
	if err != nil {
		return nil, err
	}
	req := &rpc.Request{
		ID:          call.ID,
		Method:      call.Method,
		Verb:        call.Verb,
		Query:       call.Query,
		ContentType: call.ContentType,
		Data:        call.Data,
		Target:      first(call.Metadata[RPCTargetKey]),
		Channel:     first(call.Metadata[RPCChannelKey]),
		OneWay:      strings.EqualFold(first(call.Metadata[RPCTypeKey]), RPCOneWay),
		Header:      serviceHeader(call.Metadata),
	}
	if req.Timeout, err = ParseRPCTimeout(first(call.Metadata[RPCTimeoutKey])); err != nil {
		return nil, &Error{Kind: InvalidArgument, Capability: RPCName, Op: RPCInvoke, Component: invoker, Err: err}
	}
	resp, err := inv.Invoke(ctx, req)
	switch {
	case err != nil:
		return nil, rpcError(ctx, invoker, err)
	case resp == nil && !req.OneWay:
		return nil, &Error{
			Kind: Internal, Capability: RPCName, Op: RPCInvoke, Component: invoker,
			Msg: "the invoker returned no answer",
		}
	case resp == nil:
		return &rpc.Response{}, nil
	}
	return resp, nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// ParseRPCTimeout reads the value of RPCTimeoutKey, milliseconds as a positive
// 32-bit number; "" and 0 are the default.
func ParseRPCTimeout(value string) (time.Duration, error) {
	if value == "" {
		return DefaultRPCTimeout, nil
	}
	ms, err := strconv.ParseInt(value, 10, 32)
	if err != nil || ms < 0 {
		return 0, fmt.Errorf("metadata %s %q: must be a number of milliseconds, 1 to %d, or 0 for the default of %s",
			RPCTimeoutKey, value, 1<<31-1, DefaultRPCTimeout)
	}
	if ms == 0 {
		return DefaultRPCTimeout, nil
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// serviceHeader returns what of a call's metadata the service gets to see, in no
// particular order; the values of one name keep theirs.
func serviceHeader(metadata map[string][]string) []rpc.Pair {
	header := make([]rpc.Pair, 0, len(metadata))
	for name, values := range metadata {
		if !forService(name) {
			continue
		}
		for _, v := range values {
			header = append(header, rpc.Pair{Name: name, Value: v})
		}
	}
	return header
}

// forService tells whether metadata of that name, in lower case, is for the
// service. What describes the way from the caller to us is not: it would be a
// lie on the next way (content-type: application/grpc), or make a request there
// that two readers understand differently (content-length).
func forService(name string) bool {
	switch name {
	case "", RPCTimeoutKey, RPCTargetKey, RPCTypeKey, RPCChannelKey, RPCInvokerKey:
		return false
	case "content-type", "user-agent", "te", "host",
		"connection", "proxy-connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "trailer", "expect":
		return false
	}
	return name[0] != ':' && !strings.HasPrefix(name, "grpc-") && !strings.HasSuffix(name, "-bin")
}

var rpcKinds = [...]Kind{
	rpc.Internal: Internal, rpc.InvalidCall: InvalidArgument, rpc.Timeout: Deadline, rpc.Canceled: Canceled,
	rpc.Unavailable: Unavailable, rpc.Status: CalleeStatus, rpc.TooLarge: TooLarge,
}

// rpcError turns what an invoker returned into an Error.
func rpcError(ctx context.Context, invoker string, err error) *Error {
	out := &Error{Kind: Unknown, Capability: RPCName, Op: RPCInvoke, Component: invoker, Err: err}
	e, ok := rpc.AsError(err)
	if !ok {
		if kind, ended := contextKind(ctx); ended {
			out.Kind = kind
		}
		return out
	}
	if int(e.Code) < len(rpcKinds) {
		out.Kind = rpcKinds[e.Code]
	}
	if out.Kind == CalleeStatus && e.Response == nil {
		out.Kind = Internal // an invoker's defect: a status, but nothing that has one
	}
	return out
}

// Excerpt returns at most limit bytes of a body as text: never half a
// character, never bytes that are no UTF-8, and "..." where something was left out.
func Excerpt(body []byte, limit int) string {
	cut := len(body) > limit
	if cut {
		body = body[:limit]
		// Take back the character that the cut went through, if it did.
		for i := 1; i < utf8.UTFMax && i <= len(body); i++ {
			if b := body[len(body)-i]; utf8.RuneStart(b) {
				if !utf8.FullRune(body[len(body)-i:]) {
					body = body[:len(body)-i]
				}
				break
			}
		}
	}
	text := strings.ToValidUTF8(string(body), "\uFFFD")
	if cut {
		text += "..."
	}
	return text
}
