package grpcapi

import (
	"context"
	"crypto/rand"

	"google.golang.org/grpc/metadata"
)

// maxRequestID bounds an id that a client chose.
const maxRequestID = 128

// RequestID returns the id that the caller gave this call in the metadata
// x-request-id, if it can be written to a log as it is (at most 128 letters,
// digits and -_.:/+=), else a new random one. ctx is the call's context.
func RequestID(ctx context.Context) string {
	if ids := metadata.ValueFromIncomingContext(ctx, requestIDKey); len(ids) == 1 && sane(ids[0]) {
		return ids[0]
	}
	return rand.Text()
}

func sane(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == ':', c == '/', c == '+', c == '=':
		default:
			return false
		}
	}
	return true
}
