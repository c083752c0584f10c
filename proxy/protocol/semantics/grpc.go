package semantics

import (
	"strconv"
	"strings"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// IsGRPC reports whether h is the head of a gRPC message: its content type is
// one of gRPC's.
func IsGRPC(h *stream.Header) bool {
	kind, ok := strings.CutPrefix(h.Get("content-type"), "application/grpc")
	return ok && (kind == "" || kind[0] == '+' || kind[0] == ';')
}

// GRPCStatus returns the HTTP status that the answer to a gRPC call stands for,
// whose HTTP status is 200 whatever became of the call. Its own is in the head,
// or in the trailer, which is only looked at if whole: once the body was read to its
// end. ok is false where there is none.
func GRPCStatus(resp *stream.Response, whole bool) (status int, ok bool) {
	if !IsGRPC(&resp.Header) {
		return 0, false
	}
	var text string
	if whole {
		text, ok = resp.Trailer.Lookup("grpc-status")
	}
	if !ok {
		if text, ok = resp.Header.Lookup("grpc-status"); !ok {
			return 0, false
		}
	}
	code, err := strconv.ParseUint(text, 10, 16)
	if err != nil || code >= uint64(len(grpcMeaning)) {
		return 500, true // what nobody knows is UNKNOWN
	}
	return grpcMeaning[code], true
}

// grpcMeaning holds the HTTP statuses that stand for gRPC's, by their number. It
// does not change. UNIMPLEMENTED is 404 rather than 501: the caller asks for
// what is not there, and the host is well.
var grpcMeaning = [...]int{
	200, // OK
	499, // CANCELLED
	500, // UNKNOWN
	400, // INVALID_ARGUMENT
	504, // DEADLINE_EXCEEDED
	404, // NOT_FOUND
	409, // ALREADY_EXISTS
	403, // PERMISSION_DENIED
	429, // RESOURCE_EXHAUSTED
	400, // FAILED_PRECONDITION
	409, // ABORTED
	400, // OUT_OF_RANGE
	404, // UNIMPLEMENTED
	500, // INTERNAL
	503, // UNAVAILABLE
	500, // DATA_LOSS
	401, // UNAUTHENTICATED
}
