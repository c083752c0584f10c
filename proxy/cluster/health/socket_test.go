package health_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	grpchealth "google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/health"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// dialSocket is what a cluster does with a Target.
func dialSocket(ctx context.Context, to health.Target) (net.Conn, error) {
	address := to.Host.Address
	if to.Port != 0 {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		address = net.JoinHostPort(host, strconv.Itoa(to.Port))
	}
	if to.Security == health.Secure {
		d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
		return d.DialContext(ctx, "tcp", address)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

// changes runs a Checker over one host and returns what tells of its changes.
func changes(t *testing.T, cfg config.HealthCheck, address string) (wait func(wantOut bool)) {
	t.Helper()
	cfg.Interval, cfg.InitialDelay = 20*time.Millisecond, time.Millisecond
	h := newHost(address)
	heard := make(chan bool, 100)
	h.Watch(func(_, now upstream.Trouble) { heard <- now&upstream.CheckFailed != 0 })
	c := health.New(parse(t, cfg), health.Options{Dial: dialSocket, Protocols: protocols(t)})
	c.SetHosts([]*upstream.Host{h})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return func(wantOut bool) {
		t.Helper()
		select {
		case got := <-heard:
			if got != wantOut {
				t.Fatalf("out: %v, want %v", got, wantOut)
			}
		case <-time.After(time.Minute):
			t.Fatalf("nothing happens, want out: %v", wantOut)
		}
	}
}

func TestI9SocketTCP(t *testing.T) {
	address := testserver.Addr(t) // nobody listens at first
	wait := changes(t, config.HealthCheck{Protocol: "TCP"}, address)
	wait(true)
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	wait(false)
	_ = l.Close()
	wait(true)
}

func TestI9SocketHTTP(t *testing.T) {
	for _, version := range []string{"Http1", "Http2"} {
		for _, secure := range []bool{false, true} {
			if version == "Http1" && secure {
				continue // the dial above offers h2
			}
			t.Run(version+map[bool]string{true: " over TLS"}[secure], func(t *testing.T) {
				var status atomic.Int64
				status.Store(503)
				srv := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if want := "HTTP/" + version[4:]; !strings.HasPrefix(r.Proto, want) || (r.TLS != nil) != secure || r.URL.Path != "/health" {
						rw.WriteHeader(418)
						return
					}
					rw.WriteHeader(int(status.Load()))
				}))
				srv.Config.Protocols = new(http.Protocols)
				srv.Config.Protocols.SetHTTP1(true)
				srv.Config.Protocols.SetUnencryptedHTTP2(true)
				srv.Config.Protocols.SetHTTP2(true)
				scheme := ""
				if secure {
					srv.EnableHTTP2 = true
					srv.StartTLS()
					scheme = "https"
				} else {
					srv.Start()
				}
				defer srv.Close()
				// The host's own port is another: the check has its own.
				host, port, err := net.SplitHostPort(srv.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				n, _ := strconv.Atoi(port)
				wait := changes(t, config.HealthCheck{Protocol: version, Check: config.CheckConfig{HTTP: &config.HTTPCheck{
					Path: "/health", Port: n, Scheme: scheme, Codes: []config.CodeRange{{Start: 200, End: 204}},
				}}}, net.JoinHostPort(host, "1"))
				wait(true)
				status.Store(204)
				wait(false)
				status.Store(500)
				wait(true)
				status.Store(200)
				wait(false)
			})
		}
	}
}

func TestI9SocketGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip("no sockets here:", err)
	}
	srv, state := grpc.NewServer(), grpchealth.NewServer()
	grpc_health_v1.RegisterHealthServer(srv, state)
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) })
	defer wg.Wait()
	defer srv.Stop()
	address := l.Addr().String()
	wait := changes(t, config.HealthCheck{Protocol: "GRPC", ServiceName: "pay.v1.Pay"}, address)
	wait(true) // it is not known
	state.SetServingStatus("pay.v1.Pay", grpc_health_v1.HealthCheckResponse_SERVING)
	wait(false)
	state.SetServingStatus("pay.v1.Pay", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	wait(true)
	state.SetServingStatus("pay.v1.Pay", grpc_health_v1.HealthCheckResponse_SERVING)
	wait(false)
	whole := changes(t, config.HealthCheck{Protocol: "GRPC"}, address)
	state.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	whole(true)
}
