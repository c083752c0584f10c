package ottavo

import (
	"cmp"
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// DefaultAddress is where a runtime listens unless its configuration says otherwise.
const DefaultAddress = "127.0.0.1:34904"

// Client calls one runtime. It is safe for concurrent use; one per process is
// enough, as calls share its connection.
type Client struct {
	api   runtimev1.RuntimeClient
	conn  grpc.ClientConnInterface
	owned *grpc.ClientConn // closed by Close; nil after New
}

// Dial makes a client of the runtime at address: "host:port", "unix:/path", a
// target of gRPC with ":///", or "" for DefaultAddress. It does not wait for the runtime: the first call
// connects, and so does every call after the connection was lost. Without
// options the connection is not encrypted, which is right for a runtime on the
// same machine; the options come after that default and win.
//
// The client must be closed.
func Dial(address string, opts ...grpc.DialOption) (*Client, error) {
	address = cmp.Or(address, DefaultAddress)
	if !strings.HasPrefix(address, "unix:") && !strings.Contains(address, ":///") {
		// gRPC would take the port of HTTPS for a missing one.
		if _, _, err := net.SplitHostPort(address); err != nil {
			return nil, badAddress(address, err)
		}
	}
	opts = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, opts...)
	conn, err := grpc.NewClient(address, opts...)
	if err != nil {
		return nil, badAddress(address, err)
	}
	return &Client{api: runtimev1.NewRuntimeClient(conn), conn: conn, owned: conn}, nil
}

func badAddress(address string, err error) error {
	return fmt.Errorf("ottavo: address %q: %w (use host:port or unix:/path)", address, err)
}

// New makes a client over a connection of the caller, who closes it; Close of
// this client does nothing.
func New(conn grpc.ClientConnInterface) *Client {
	return &Client{api: runtimev1.NewRuntimeClient(conn), conn: conn}
}

// API returns the generated client on the same connection, for fields that this
// package does not show. Its errors are gRPC's.
func (c *Client) API() runtimev1.RuntimeClient { return c.api }

// Conn returns the connection, for the generated clients of other services. It
// belongs to the client.
func (c *Client) Conn() grpc.ClientConnInterface { return c.conn }

// Close closes the connection that Dial made; calls that run fail with code
// Canceled. It is safe twice, and no call may follow.
func (c *Client) Close() error {
	if c.owned == nil {
		return nil
	}
	// Canceled: it is closed already.
	if err := c.owned.Close(); err != nil && status.Code(err) != codes.Canceled {
		return fmt.Errorf("ottavo: closing the connection: %w", err)
	}
	return nil
}
