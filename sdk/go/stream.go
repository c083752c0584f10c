package ottavo

import (
	"context"
	"errors"
	"io"
)

// pieceSize is how much of a file or an object is sent in one message.
const pieceSize = 64 << 10

// send sends everything that r yields, in pieces, the first one also when it is
// empty. What an upload fails with shows when its answer is asked for, so a failure
// of the stream ends it without an error; readErr is r's.
func send(r io.Reader, message func(piece []byte) error) (readErr error) {
	buf := make([]byte, pieceSize)
	for begun := false; ; begun = true {
		n, err := io.ReadFull(r, buf)
		over := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !over {
			return err
		}
		if n > 0 || !begun {
			if message(buf[:n]) != nil {
				return nil
			}
		}
		if over {
			return nil
		}
	}
}

// reader reads the pieces of a stream of messages.
type reader struct {
	call   string
	next   func() ([]byte, error)
	cancel context.CancelFunc
	piece  []byte
	err    error
}

// open makes a reader of a stream whose first piece has been received, or whose
// end, or error. An error that is not the end is returned.
func open(call string, piece []byte, err error, cancel context.CancelFunc, next func() ([]byte, error)) (*reader, error) {
	if err != nil && !errors.Is(err, io.EOF) {
		cancel()
		return nil, failed(call, err)
	}
	return &reader{call: call, next: next, cancel: cancel, piece: piece, err: err}, nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.piece) == 0 {
		if r.err == nil {
			r.piece, r.err = r.next()
			continue
		}
		if errors.Is(r.err, io.EOF) {
			return 0, io.EOF
		}
		return 0, failed(r.call, r.err)
	}
	n := copy(p, r.piece)
	r.piece = r.piece[n:]
	return n, nil
}

// Close ends the stream; what was not read is not sent. It is safe twice.
func (r *reader) Close() error {
	r.cancel()
	return nil
}
