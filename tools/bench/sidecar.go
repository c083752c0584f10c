package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// serviceID is the id that the calls carry and that routes match.
const serviceID = "HelloService:1.0"

// A sidecar is a running bin/ottavo.
type sidecar struct {
	*process
	api    string        // address of the gRPC API
	ready  time.Duration // from the start of the process to "ready"
	config string        // file
}

// object is a JSON object in a generated config.
type object = map[string]any

// sidecarConfig is one of Layotto's files: the API, an actuator, and a listener
// that the calls of InvokeService enter by memory and leave to the service.
func sidecarConfig(api, actuator, egress, service string) object {
	listener := func(name, address string, filters []object, more object) object {
		l := object{"name": name, "address": address, "bind_port": true, "filter_chains": []object{{"filters": filters}}}
		for k, v := range more {
			l[k] = v
		}
		return l
	}
	proxy := func(router string) object {
		return object{"type": "proxy", "config": object{
			"downstream_protocol": "Http1", "upstream_protocol": "Http1", "router_config_name": router,
		}}
	}
	return object{
		"servers": []object{{
			"default_log_path":  "stdout",
			"default_log_level": "ERROR",
			"listeners": []object{
				listener("grpc", api, []object{{"type": "grpc", "config": object{
					"server_name": "runtime",
					"grpc_config": object{"rpcs": object{"mosn": object{"config": object{
						"channel": []object{{"size": 256, "protocol": "http", "listener": "egress_runtime_http"}},
					}}}},
				}}}, nil),
				listener("actuator", actuator, []object{proxy("actuator_dont_need_router")},
					object{"stream_filters": []object{{"type": "actuator_filter"}}}),
				listener("egress_runtime_http", egress, []object{proxy("egress")}, nil),
			},
			"routers": []object{
				{"router_config_name": "actuator_dont_need_router"},
				{"router_config_name": "egress", "virtual_hosts": []object{{
					"name": "service", "domains": []string{"*"},
					"routers": []object{{
						"match": object{"headers": []object{{"name": "id", "value": serviceID}}},
						"route": object{"cluster_name": "http_server"},
					}},
				}}},
			},
		}},
		"cluster_manager": object{"clusters": []object{{
			"name": "http_server", "type": "SIMPLE", "lb_type": "LB_ROUNDROBIN",
			"hosts": []object{{"address": service}},
		}}},
	}
}

// startSidecar starts the sidecar in front of service and waits, 20 seconds at
// most, until it says that it is ready.
func (b *bench) startSidecar(ctx context.Context, service string) (*sidecar, error) {
	addresses, err := freeAddresses(3)
	if err != nil {
		return nil, err
	}
	api, actuator, egress := addresses[0], addresses[1], addresses[2]
	text, err := json.MarshalIndent(sidecarConfig(api, actuator, egress, service), "", "  ")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(b.folder, "sidecar.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, err
	}
	args := []string{b.binary, "start", "-c", config}
	if b.pin >= 0 {
		args = append([]string{"taskset", "-c", strconv.Itoa(b.pin)}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = b.folder
	begin := time.Now()
	p, err := start(b.folder, "sidecar", cmd)
	if err != nil {
		return nil, fmt.Errorf("the sidecar does not start: %w (make build makes it)", err)
	}
	if err := waitReady(ctx, p, "http://"+actuator+"/actuator/health/readiness"); err != nil {
		_ = p.stop()
		return nil, p.explain(fmt.Errorf("the sidecar (%s start -c %s) does not become ready: %w", b.binary, config, err))
	}
	return &sidecar{process: p, api: api, ready: time.Since(begin), config: config}, nil
}

// waitReady asks url every few milliseconds until it answers 200.
func waitReady(ctx context.Context, p *process, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	last := errors.New("no answer yet")
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s answers %s", url, response.Status)
		}
		if ctx.Err() == nil {
			last = err
		}
		pause(ctx, 2*time.Millisecond)
		select {
		case <-p.exited:
			return fmt.Errorf("it ended (%v)", p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("after 20 s: %w", last)
		default:
		}
	}
}

// freeAddresses returns n addresses of the loopback interface that nobody
// listens on at the moment.
func freeAddresses(n int) ([]string, error) {
	var addresses []string
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }() // all at the end, or they would be one
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}
