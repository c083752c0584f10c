package grpccall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// DefaultMaxMessageSize is the largest message, in bytes, when Options do not
// say.
const DefaultMaxMessageSize = 64 << 20

// Options are what a Client is made from.
type Options struct {
	// Address is where the server listens: host:port, or unix:/path.
	Address string
	// MaxMessageSize bounds messages in both directions, in bytes. 0:
	// DefaultMaxMessageSize.
	MaxMessageSize int
	// UserAgent is sent along; may be "".
	UserAgent string
}

// Client is a connection to a server. It is for one caller at a time, and must be
// closed.
type Client struct {
	address string
	conn    *grpc.ClientConn
	server  *descriptors
}

// New makes a Client. It connects with the first call.
func New(opts Options) (*Client, error) {
	target, err := target(opts.Address)
	if err != nil {
		return nil, err
	}
	size := opts.MaxMessageSize
	if size <= 0 {
		size = DefaultMaxMessageSize
	}
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithUserAgent(opts.UserAgent),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 5 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(size), grpc.MaxCallSendMsgSize(size)))
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", opts.Address, err)
	}
	return &Client{address: opts.Address, conn: conn, server: newDescriptors()}, nil
}

// Close ends the connection and calls on it.
func (c *Client) Close() error { return c.conn.Close() }

// target turns an address into what gRPC dials as it is, without looking up names
// other than the operating system does.
func target(address string) (string, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if path == "" {
			return "", fmt.Errorf("address %q has no path (unix:/run/ottavo.sock)", address)
		}
		return "unix:" + path, nil
	}
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		return "", fmt.Errorf("address %q is neither host:port nor unix:/path", address)
	}
	return "passthrough:///" + address, nil
}

// unreachable explains why the server could not be asked about itself.
func (c *Client) unreachable(err error) error {
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	message := st.Message()
	_, cause, dialing := strings.Cut(message, "transport: Error while dialing: ")
	// "dial tcp 127.0.0.1:1: connect: connection refused": the place is said once.
	cause = strings.TrimPrefix(strings.Trim(cause, `"`), "dial tcp "+c.address+": ")
	switch {
	case st.Code() == codes.Unavailable && dialing:
		return fmt.Errorf("nobody answers at %s: %s", c.address, cause)
	case st.Code() == codes.Unavailable && strings.Contains(message, "server preface"):
		return fmt.Errorf("what answers at %s does not speak gRPC: %s", c.address, message)
	case st.Code() == codes.Unavailable:
		return fmt.Errorf("the connection to %s broke: %s", c.address, message)
	case st.Code() == codes.DeadlineExceeded:
		return fmt.Errorf("no answer from %s in time: %s", c.address, message)
	case st.Code() == codes.Unimplemented:
		return fmt.Errorf("the server at %s has no reflection, so its services cannot be found out", c.address)
	}
	return err
}

// errCallEnded is the cause with which a call's context is cancelled when nothing
// more is wanted from it.
var errCallEnded = errors.New("the call has ended")

// cancelled reports whether err is nothing but the end of ctx.
func cancelled(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || status.Code(err) == codes.Canceled)
}
