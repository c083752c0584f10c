package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// runHTTP2 compares a request through an HTTP/2 listener with the direct one.
func runHTTP2(ctx context.Context, b *bench) error {
	b.printf("http2: %d bytes each way; service and client are net/http without TLS, all calls on one connection\n", b.body)
	return b.compareProxied(ctx, "http2", roleHTTP2Service, "Http2", "http2", anyPath)
}

// onlyHTTP2 is HTTP/2 without TLS, by prior knowledge.
func onlyHTTP2() *http.Protocols {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	return &p
}

// http2Service answers every request with its own body.
func http2Service() serveFunc {
	server := &http.Server{
		Protocols: onlyHTTP2(),
		// One connection has to carry all the calls in flight.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 4096},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body := make([]byte, max(r.ContentLength, 0))
			if _, err := io.ReadFull(r.Body, body); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body)
		}),
	}
	return func(l net.Listener) error { return server.Serve(l) }
}

// http2Client posts over one connection shared by all workers.
func http2Client(ctx context.Context, order clientOrder) (newCallFunc, func(), error) {
	transport := &http.Transport{Protocols: onlyHTTP2(), HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: true}}
	body := filled(order.Body)
	newCall := func() func(context.Context) error {
		answer := make([]byte, order.Answer+1)
		return func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+order.Address+"/echo", bytes.NewReader(body))
			if err != nil {
				return err
			}
			request.Header.Set("Content-Type", "application/octet-stream")
			response, err := transport.RoundTrip(request)
			if err != nil {
				return err
			}
			defer func() { _ = response.Body.Close() }()
			if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
				return fmt.Errorf("%s answered with %s", response.Proto, response.Status)
			}
			n, err := io.ReadFull(response.Body, answer) // one byte more than there should be
			if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
				return fmt.Errorf("the answer's body: %d bytes, then %w", n, err)
			}
			return checkLength(n, order.Answer)
		}
	}
	// The first call opens the connection; many at once might open several.
	if err := newCall()(ctx); err != nil {
		return nil, nil, err
	}
	return newCall, transport.CloseIdleConnections, nil
}
