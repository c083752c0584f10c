package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/valyala/fasthttp"
)

// runHTTP1 compares a request through an HTTP/1 listener with the direct one.
func runHTTP1(ctx context.Context, b *bench) error {
	b.printf("http1: %d bytes each way; service and client are fasthttp, a connection for each call in flight\n", b.body)
	return b.compareProxied(ctx, "http1", roleHTTPService, "Http1", "http", anyPath)
}

// anyPath matches all requests that have a path.
var anyPath = object{"prefix": "/"}

// compareProxied compares calls through one listener, to one service that
// speaks the same protocol, with the direct ones. match is that of its route.
func (b *bench) compareProxied(ctx context.Context, name, service, wire, client string, match object) error {
	services, err := startServices(ctx, b.folder, service)
	if err != nil {
		return err
	}
	defer services.stop()
	addresses, err := b.freeAddresses(1)
	if err != nil {
		return err
	}
	s := setup{
		listeners: []object{proxyListener(name, addresses[0], wire)},
		routers:   []object{routerTo(name, name, match)},
		clusters:  []object{clusterOf(name, services.address[service])},
	}
	return b.compare(ctx, name, 1, s, func(*sidecar) []way {
		return []way{
			{name: "sidecar", key: "sidecar", order: b.order(client, addresses[0]), through: true, against: []string{"direct"}},
			{name: "direct", key: "direct", order: b.order(client, services.address[service])},
		}
	})
}

// httpService answers every request with its own body. It is built with
// fasthttp, because the cheaper the service, the plainer the sidecar's share.
func httpService() serveFunc {
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("application/octet-stream")
		ctx.SetBody(ctx.PostBody())
	}}
	return server.Serve
}

// httpClient posts over a connection for each call in flight.
func httpClient(_ context.Context, order clientOrder) (newCallFunc, func(), error) {
	client := &fasthttp.HostClient{Addr: order.Address, MaxConns: order.Load.Workers}
	body := filled(order.Body)
	newCall := func() func(context.Context) error {
		var request fasthttp.Request
		var response fasthttp.Response
		request.SetRequestURI("http://" + order.Address + "/echo")
		request.Header.SetMethod(fasthttp.MethodPost)
		request.Header.SetContentType("application/octet-stream")
		request.Header.Set("id", serviceID)
		request.SetBody(body)
		return func(ctx context.Context) error {
			deadline, ok := ctx.Deadline()
			if !ok {
				return errors.New("no deadline")
			}
			if err := client.DoDeadline(&request, &response, deadline); err != nil {
				return err
			}
			if code := response.StatusCode(); code != fasthttp.StatusOK {
				return fmt.Errorf("status %d", code)
			}
			return checkLength(len(response.Body()), order.Answer)
		}
	}
	return newCall, client.CloseIdleConnections, nil
}
