package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"sync"
	"time"

	"github.com/go-redis/redis/v8"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// The names of the state stores in the sidecar's config.
const (
	storeMemory = "memory"
	storeRedis  = "redis"
)

// stateKey is the one key that all calls read and write.
const stateKey = "bench"

// runState compares GetState and SaveState, on memory and on Redis, with a
// plain gRPC call of the same size and with go-redis.
func runState(ctx context.Context, b *bench) error {
	services, err := startServices(ctx, b.folder, roleGRPCService)
	if err != nil {
		return err
	}
	defer services.stop()
	direct := services.address[roleGRPCService]
	stores := object{storeMemory: object{"type": "in-memory"}}
	server, redisAddress, err := b.startRedis(ctx)
	if err != nil {
		return err
	}
	if server != nil {
		defer func() { _ = server.stop() }()
		stores[storeRedis] = object{"type": "redis", "metadata": object{"redisHost": redisAddress}}
		b.printf("state: values of %d bytes; the direct calls are grpc-go to a service that answers the same, and go-redis\n", b.body)
	} else {
		b.printf("state: values of %d bytes, without Redis, because there is no redis-server in PATH; the direct call is grpc-go to a service that answers the same\n", b.body)
	}
	order := func(protocol, address, store string) clientOrder {
		o := clientOrder{Protocol: protocol, Address: address, Store: store}
		if protocol == "state-get" || protocol == "redis-get" {
			o.Answer = b.body
		} else {
			o.Body = b.body
		}
		return o
	}
	return b.compare(ctx, "state", 1, setup{runtime: object{"state": stores}}, func(side *sidecar) []way {
		ways := []way{
			{name: "get memory", key: "get_memory", order: order("state-get", side.api, storeMemory), through: true, against: []string{"get_grpc"}},
			{name: "save memory", key: "save_memory", order: order("state-save", side.api, storeMemory), through: true, against: []string{"save_grpc"}},
			{name: "direct gRPC get", key: "get_grpc", order: order("state-get", direct, storeMemory)},
			{name: "direct gRPC save", key: "save_grpc", order: order("state-save", direct, storeMemory)},
		}
		if server == nil {
			return ways
		}
		return append(ways,
			way{name: "get Redis", key: "get_redis", order: order("state-get", side.api, storeRedis), through: true, against: []string{"get_goredis", "get_grpc"}},
			way{name: "save Redis", key: "save_redis", order: order("state-save", side.api, storeRedis), through: true, against: []string{"save_goredis", "save_grpc"}},
			way{name: "go-redis get", key: "get_goredis", order: order("redis-get", redisAddress, "")},
			way{name: "go-redis set", key: "save_goredis", order: order("redis-set", redisAddress, "")},
		)
	})
}

// startRedis starts a redis-server that keeps nothing on disk, and waits until
// it answers. It returns nil when there is none in PATH.
func (b *bench) startRedis(ctx context.Context) (*process, string, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, "", nil //nolint:nilerr // not an error: the caller measures without
	}
	addresses, err := b.freeAddresses(1)
	if err != nil {
		return nil, "", err
	}
	host, port, err := net.SplitHostPort(addresses[0])
	if err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, binary, "--bind", host, "--port", port, "--save", "", "--appendonly", "no")
	cmd.Dir = b.folder
	p, err := start(b.folder, "redis-server", cmd)
	if err != nil {
		return nil, "", err
	}
	client := redis.NewClient(&redis.Options{Addr: addresses[0], MaxRetries: -1})
	defer func() { _ = client.Close() }()
	deadline := time.Now().Add(time.Minute)
	for {
		err := client.Ping(ctx).Err()
		if err == nil {
			return p, addresses[0], nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			_ = p.stop()
			return nil, "", p.explain(fmt.Errorf("redis-server does not answer: %w", err))
		}
		pause(ctx, 10*time.Millisecond)
	}
}

// A keeper is the state of the direct service: the last value saved.
type keeper struct {
	mu    sync.RWMutex
	value []byte
}

func (e *echo) GetState(context.Context, *runtimev1.GetStateRequest) (*runtimev1.GetStateResponse, error) {
	e.kept.mu.RLock()
	defer e.kept.mu.RUnlock()
	return &runtimev1.GetStateResponse{Data: e.kept.value, Etag: "1"}, nil
}

func (e *echo) SaveState(_ context.Context, in *runtimev1.SaveStateRequest) (*emptypb.Empty, error) {
	if len(in.GetStates()) != 1 {
		return nil, errors.New("want one item")
	}
	e.kept.mu.Lock()
	defer e.kept.mu.Unlock()
	e.kept.value = in.GetStates()[0].GetValue()
	return &emptypb.Empty{}, nil
}

// stateClient reads or writes one key over one gRPC connection shared by all
// workers.
func stateClient(ctx context.Context, order clientOrder) (newCallFunc, func(), error) {
	conn, err := grpc.NewClient(order.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, err
	}
	client := runtimev1.NewRuntimeClient(conn)
	save := &runtimev1.SaveStateRequest{StoreName: order.Store, States: []*runtimev1.StateItem{
		{Key: stateKey, Value: filled(max(order.Body, order.Answer))},
	}}
	if _, err := client.SaveState(ctx, save); err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	get := &runtimev1.GetStateRequest{StoreName: order.Store, Key: stateKey}
	call := func(ctx context.Context) error {
		_, err := client.SaveState(ctx, save)
		return err
	}
	if order.Protocol == "state-get" {
		call = func(ctx context.Context) error {
			response, err := client.GetState(ctx, get)
			if err != nil {
				return err
			}
			return checkLength(len(response.GetData()), order.Answer)
		}
	}
	return func() func(context.Context) error { return call }, func() { _ = conn.Close() }, nil
}

// redisClient reads or writes one key with go-redis, with a connection for each
// call in flight.
func redisClient(ctx context.Context, order clientOrder) (newCallFunc, func(), error) {
	client := redis.NewClient(&redis.Options{Addr: order.Address, PoolSize: order.Load.Workers})
	value := filled(max(order.Body, order.Answer))
	key := stateKey + ".direct"
	set := func(ctx context.Context) error { return client.Set(ctx, key, value, 0).Err() }
	if err := set(ctx); err != nil {
		_ = client.Close()
		return nil, nil, err
	}
	call := set
	if order.Protocol == "redis-get" {
		call = func(ctx context.Context) error {
			got, err := client.Get(ctx, key).Bytes()
			if err != nil {
				return err
			}
			return checkLength(len(got), order.Answer)
		}
	}
	return func() func(context.Context) error { return call }, func() { _ = client.Close() }, nil
}
