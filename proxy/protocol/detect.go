package protocol

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

// Limits of detection.
const (
	// maxPrefix is the most bytes that are looked at.
	maxPrefix = 256
	// undecided is how long a connection whose first bytes fit several
	// protocols, or that says nothing, is waited for.
	undecided = 15 * time.Second
)

// Detect reads the first bytes of c until one of the protocols recognises
// them, and returns it; the bytes stay in c's read buffer. A protocol that
// stands earlier in the list is preferred. It returns nil when none does, or
// when the peer says nothing that one recognises for 15 s, as one does that
// waits for the server to speak first. The error is that of the connection,
// conn.ErrDraining when it is to end before the peer has said anything. The
// end of ctx closes c.
func Detect(ctx context.Context, c *conn.Conn, protocols []Protocol) (Protocol, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	until := time.Now().Add(undecided)
	err := c.WaitRequest(undecided)
	_ = c.SetReadDeadline(until)
	br := c.Reader()
	for n := 1; err == nil; n = br.Buffered() + 1 {
		_, err = br.Peek(n)
		prefix, _ := br.Peek(min(br.Buffered(), maxPrefix))
		chosen, open := choose(protocols, prefix)
		switch {
		case ctx.Err() != nil:
		case chosen != nil || !open || len(prefix) == maxPrefix:
			return chosen, c.SetReadDeadline(time.Time{})
		case errors.Is(err, os.ErrDeadlineExceeded):
			return certain(protocols, prefix), c.SetReadDeadline(time.Time{})
		case errors.Is(err, io.EOF) && len(prefix) > 0:
			return certain(protocols, prefix), nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, c.SetReadDeadline(time.Time{})
	}
	return nil, err
}

// choose returns the first protocol that recognises prefix, unless one before
// it may still do so; open tells whether more bytes can change anything.
func choose(protocols []Protocol, prefix []byte) (chosen Protocol, open bool) {
	for _, p := range protocols {
		switch p.Match(prefix) {
		case Match:
			if open {
				return nil, true
			}
			return p, false
		case More:
			open = true
		}
	}
	return nil, open
}

// certain returns the first protocol that recognises prefix, now that no more comes.
func certain(protocols []Protocol, prefix []byte) Protocol {
	for _, p := range protocols {
		if p.Match(prefix) == Match {
			return p
		}
	}
	return nil
}
