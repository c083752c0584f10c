package pluggable

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

const (
	// maxMessage bounds a message, in either direction, and maxHeaderList an
	// answer's headers.
	maxMessage    = 64 << 20
	maxHeaderList = 64 << 10
	// instanceKey is the header that tells a process which of its components is
	// meant, by the name in the configuration.
	instanceKey = "x-component-instance"
)

// errGone is what a session's second connection would be.
var errGone = errors.New("the connection to the component is gone")

// session is one connection to a process, from dialing to its end. It never
// connects again: a process that was restarted has to be initialised first.
type session struct {
	conn *grpc.ClientConn
	raw  net.Conn
	lost atomic.Bool // the connection has ended
}

// dial connects to a socket. instance names the component; "" leaves it out.
func dial(ctx context.Context, path, instance string) (*session, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, reachable(err)
	}
	s := &session{raw: raw}
	var once sync.Once
	dialer := func(context.Context, string) (conn net.Conn, err error) {
		err = errGone
		once.Do(func() { conn, err = &watched{raw, s}, nil })
		if err != nil {
			s.lost.Store(true)
		}
		return conn, err
	}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(dialer), grpc.WithNoProxy(), grpc.WithDisableServiceConfig(),
		grpc.WithAuthority("localhost"), grpc.WithIdleTimeout(0), grpc.WithMaxHeaderListSize(maxHeaderList),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
	}
	if instance != "" {
		opts = append(opts, named(instance)...)
	}
	s.conn, err = grpc.NewClient("passthrough:///component", opts...)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	s.conn.Connect()
	return s, nil
}

// named puts the component's name into every call's headers.
func named(instance string) []grpc.DialOption {
	with := func(ctx context.Context) context.Context {
		return metadata.AppendToOutgoingContext(ctx, instanceKey, instance)
	}
	return []grpc.DialOption{
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(with(ctx), method, req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return open(with(ctx), desc, cc, method, opts...)
		}),
	}
}

func (s *session) close() {
	s.lost.Store(true)
	_ = s.conn.Close()
	_ = s.raw.Close() // of a session that was closed before it was used
}

// watched is a connection that tells its session when it ends.
type watched struct {
	net.Conn
	of *session
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.of.lost.Store(true)
	}
	return n, err
}

func (w *watched) Close() error {
	w.of.lost.Store(true)
	return w.Conn.Close()
}
