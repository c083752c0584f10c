package layotto

import (
	"errors"
	"fmt"
	"io"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
)

// body reads what a client streams in pieces: the first message, which has the
// parameters, is read by firstPiece, and the rest as it is asked for, so that a
// slow store slows the client down. It is for one goroutine.
type body[M any] struct {
	recv  func() (M, error)
	bytes func(M) []byte
	piece []byte
	err   error
}

// firstPiece waits for the first message. A client that sends none is told so.
func firstPiece[M any](recv func() (M, error), bytes func(M) []byte, name capability.Name, op capability.Op) (M, *body[M], error) {
	first, err := recv()
	if errors.Is(err, io.EOF) {
		return first, nil, &capability.Error{
			Kind: capability.InvalidArgument, Capability: name, Op: op,
			Msg: "the stream has no message: the first one must name the store and what to write",
		}
	}
	if err != nil {
		return first, nil, err
	}
	return first, &body[M]{recv: recv, bytes: bytes, piece: bytes(first)}, nil
}

// Read implements io.Reader.
func (b *body[M]) Read(p []byte) (int, error) {
	for len(b.piece) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		m, err := b.recv()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				err = fmt.Errorf("the client's stream: %w", err)
			} else {
				err = io.EOF
			}
			b.err = err
			return 0, err
		}
		b.piece = b.bytes(m)
	}
	n := copy(p, b.piece)
	b.piece = b.piece[n:]
	return n, nil
}
