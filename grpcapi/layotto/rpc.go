package layotto

import (
	"context"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// InvokeService calls a service and returns its answer; the answer's headers
// come as header metadata.
func (r *runtimeServer) InvokeService(ctx context.Context, req *runtimev1.InvokeServiceRequest) (*runtimev1.InvokeResponse, error) {
	msg := req.GetMessage() // nil is fine: all getters take it
	md, _ := metadata.FromIncomingContext(ctx)
	verb, err := toVerb(msg.GetHttpExtension().GetVerb())
	if err != nil {
		return nil, toStatus(err)
	}
	resp, err := r.RPC.Invoke(ctx, capability.MeshInvoker, &capability.Call{
		ID:          req.GetId(),
		Method:      msg.GetMethod(),
		Verb:        verb,
		Query:       msg.GetHttpExtension().GetQuerystring(),
		ContentType: msg.GetContentType(),
		Metadata:    md,
		Data:        msg.GetData().GetValue(),
	})
	if err != nil {
		return nil, toStatus(err)
	}
	if header := toMetadata(resp.Header); len(header) > 0 {
		// It fails only when the caller is gone already; then nobody misses it.
		_ = grpc.SetHeader(ctx, header)
	}
	return &runtimev1.InvokeResponse{Data: &anypb.Any{Value: resp.Data}, ContentType: valid(resp.ContentType)}, nil
}

// toVerb returns the HTTP method; "" for NONE, which leaves it to the channel.
func toVerb(v runtimev1.HTTPExtension_Verb) (string, error) {
	if v == runtimev1.HTTPExtension_NONE {
		return "", nil
	}
	if name, ok := runtimev1.HTTPExtension_Verb_name[int32(v)]; ok {
		return name, nil
	}
	return "", &capability.Error{
		Kind: capability.InvalidArgument, Capability: capability.RPCName, Op: capability.RPCInvoke,
		Msg: "http_extension.verb " + strconv.Itoa(int(v)) + " is unknown: use one of the API's verbs, or none",
	}
}

const (
	// maxMetadata bounds the header metadata of an answer, counted as HTTP/2
	// does. Many clients refuse a call with more than 8 KiB of it, which would
	// lose the answer of a service that has already done its work.
	maxMetadata = 7 << 10
	// fieldOverhead is what HTTP/2 counts for a field beside name and value.
	fieldOverhead = 32
	// droppedKey tells how many headers were left out.
	droppedKey = "ottavo-headers-dropped"
)

// toMetadata returns a service's headers as gRPC can carry them.
func toMetadata(header []rpc.Pair) metadata.MD {
	md := make(metadata.MD, len(header))
	values := make([]string, 0, len(header)) // one piece of memory for those of all names
	room, dropped := maxMetadata, 0
	for _, h := range header {
		name := strings.ToLower(h.Name)
		if !ofAnswer(name) {
			continue
		}
		size := len(name) + len(h.Value) + fieldOverhead
		binary := strings.HasSuffix(name, "-bin") // base64 on the wire: any bytes will do
		if binary {
			size += len(h.Value)/3 + 4
		}
		if !validName(name) || !binary && !printable(h.Value) || size > room {
			dropped++
			continue
		}
		room -= size
		if before := md[name]; before != nil {
			md[name] = append(before, h.Value)
			continue
		}
		values = append(values, h.Value)
		md[name] = values[len(values)-1 : len(values) : len(values)]
	}
	if dropped > 0 {
		md[droppedKey] = []string{strconv.Itoa(dropped)}
	}
	return md
}

// ofAnswer tells whether a header, its name in lower case, belongs to the answer
// rather than to the way it came by. The content type is a field of the answer's
// message; as metadata it would be gRPC's own.
func ofAnswer(name string) bool {
	switch name {
	case "", "content-length", "content-type", "connection", "proxy-connection", "keep-alive", "transfer-encoding",
		"te", "trailer", "upgrade", "host", "user-agent":
		return false
	}
	return name[0] != ':' && !strings.HasPrefix(name, "grpc-")
}

// validName tells whether gRPC allows the name, which is not empty.
func validName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// printable tells whether gRPC allows the value of a header that is not binary.
func printable(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
