package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// A sidecar is a running bin/ottavo.
type sidecar struct {
	*process
	api      string        // address of the gRPC API
	counters string        // unix socket, see counters.go
	ready    time.Duration // from the start of the process to "ready"
	config   string        // file
}

// object is a JSON object in a generated config.
type object = map[string]any

// A setup is what a scenario adds to the sidecar's config.
type setup struct {
	runtime   object   // more keys of grpc_config
	listeners []object // each with a socket
	routers   []object
	clusters  []object
}

// sidecarConfig is a file in Layotto's form: the API, an actuator, and what the
// scenario needs.
func sidecarConfig(api, actuator string, s setup) object {
	runtime := s.runtime
	if runtime == nil {
		runtime = object{}
	}
	health := proxyListener("actuator", actuator, "Http1")
	health["stream_filters"] = []object{{"type": "actuator_filter"}}
	return object{
		"servers": []object{{
			"default_log_path":  "stdout",
			"default_log_level": "ERROR",
			"listeners": append([]object{
				listenerOf("api", api, object{"type": "grpc", "config": object{"server_name": "runtime", "grpc_config": runtime}}),
				health,
			}, s.listeners...),
			"routers": append([]object{{"router_config_name": "actuator"}}, s.routers...),
		}},
		"cluster_manager": object{"clusters": append([]object{}, s.clusters...)},
	}
}

// listenerOf is a listener with one network filter.
func listenerOf(name, address string, filter object) object {
	return object{"name": name, "address": address, "bind_port": true, "filter_chains": []object{{"filters": []object{filter}}}}
}

// proxyListener is a listener whose requests follow the router of its name.
func proxyListener(name, address, protocol string) object {
	return listenerOf(name, address, object{"type": "proxy", "config": object{
		"downstream_protocol": protocol, "upstream_protocol": protocol, "router_config_name": name,
	}})
}

// routerTo sends the requests that match to a cluster.
func routerTo(name, cluster string, match object) object {
	return object{"router_config_name": name, "virtual_hosts": []object{{
		"name": name, "domains": []string{"*"},
		"routers": []object{{"match": match, "route": object{"cluster_name": cluster}}},
	}}}
}

// routerAnswering answers every request itself.
func routerAnswering(name, body string) object {
	return object{"router_config_name": name, "virtual_hosts": []object{{
		"name": name, "domains": []string{"*"},
		"routers": []object{{"match": object{"prefix": "/"}, "direct_response": object{"status": 200, "body": body}}},
	}}}
}

// clusterOf has one host.
func clusterOf(name, host string) object {
	return object{"name": name, "type": "SIMPLE", "lb_type": "LB_ROUNDROBIN", "hosts": []object{{"address": host}}}
}

// startSidecar starts a sidecar and waits, a minute at most, until it says
// that it is ready.
func (b *bench) startSidecar(ctx context.Context, s setup) (*sidecar, error) {
	addresses, err := b.freeAddresses(2)
	if err != nil {
		return nil, err
	}
	api, actuator := addresses[0], addresses[1]
	text, err := json.MarshalIndent(sidecarConfig(api, actuator, s), "", "  ")
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
	counters := filepath.Join(b.folder, "counters")
	_ = os.Remove(counters) // of the sidecar before
	cmd.Env = append(os.Environ(), countersVariable+"="+counters)
	begin := time.Now()
	p, err := start(b.folder, "sidecar", cmd)
	if err != nil {
		return nil, fmt.Errorf("the sidecar does not start: %w (make build makes it)", err)
	}
	if err := waitReady(ctx, p, "http://"+actuator+"/actuator/health/readiness"); err != nil {
		_ = p.stop()
		return nil, p.explain(fmt.Errorf("the sidecar (%s start -c %s) does not become ready: %w", b.binary, config, err))
	}
	return &sidecar{process: p, api: api, counters: counters, ready: time.Since(begin), config: config}, nil
}

// waitReady asks url every few milliseconds until it answers 200.
func waitReady(ctx context.Context, p *process, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
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
			return fmt.Errorf("after a minute: %w", last)
		default:
		}
	}
}

// The ports that freeAddresses chooses from lie below those that Linux gives to
// outgoing connections (32768 and up): one of them could be taken before the
// process that it is meant for listens there.
const (
	firstPort = 10000
	ports     = 8000
)

// freeAddresses returns n addresses of the loopback interface that nobody
// listens on at the moment, and that it has not returned before.
func (b *bench) freeAddresses(n int) ([]string, error) {
	var addresses []string
	for tries := 0; len(addresses) < n; tries++ {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(ports)))
		if b.given[address] {
			continue
		}
		listener, err := net.Listen("tcp", address)
		switch {
		case err == nil:
			_ = listener.Close()
			if b.given == nil {
				b.given = make(map[string]bool)
			}
			b.given[address] = true
			addresses = append(addresses, address)
		case tries > 1000:
			return nil, fmt.Errorf("no port of %d to %d is free: %w", firstPort, firstPort+ports-1, err)
		}
	}
	return addresses, nil
}
