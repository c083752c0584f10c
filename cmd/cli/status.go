package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// maxStatusBytes bounds an answer of the actuator.
const maxStatusBytes = 16 << 20

func (p *program) status() *cobra.Command {
	var address string
	var asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask a running one how it is",
		Long: `Asks the actuator of a running ottavo whether it is ready, component by component,
and what listens where. The exit code is 0 only if it is UP.

Layotto's actuator answers, too.`,
		Example: `  ottavo status
  ottavo status --address unix:/run/ottavo-actuator.sock
  ottavo status --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return usage(cmd, fmt.Errorf("--timeout %s is no time to wait", timeout))
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return p.runStatus(ctx, address, asJSON)
		},
	}
	cmd.Flags().StringVar(&address, "address", config.DefaultActuatorListen, "where the actuator listens: `ADDRESS` is host:port or unix:/path")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the actuator's answers as JSON")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "most time for everything")
	return cmd
}

// health is an answer of the actuator to /actuator/health/readiness.
type health struct {
	Status     string
	Components map[string]struct {
		Status  string
		Details map[string]any
	}
}

// info is an answer of the actuator to /actuator/info. A foreign one has the app
// only.
type info struct {
	App struct {
		Name, Version string
		Started       time.Time
	}
	Listeners []struct {
		Name, Address, Serves string
		Connections           int
		Accepted              int64
	}
	Clusters []struct {
		Name  string
		Hosts []struct {
			Address, Health     string
			Active, Connections int
		}
	}
}

func (p *program) runStatus(ctx context.Context, address string, asJSON bool) error {
	c := newActuatorClient(address)
	defer c.http.CloseIdleConnections()
	var h health
	rawHealth, err := c.get(ctx, "/actuator/health/readiness", &h, http.StatusOK, http.StatusInternalServerError)
	if err != nil {
		return err
	}
	if h.Status == "" {
		return fmt.Errorf("what answers at %s is no actuator: no status in %.100q", address, rawHealth)
	}
	var i info
	rawInfo, err := c.get(ctx, "/actuator/info", &i, http.StatusOK)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if asJSON {
		both, err := json.MarshalIndent(map[string]json.RawMessage{"readiness": rawHealth, "info": rawInfo}, "", "  ")
		if err != nil {
			return err
		}
		out.Write(append(both, '\n'))
	} else {
		statusTable(&out, address, h, i)
	}
	if _, err := p.Stdout.Write(out.Bytes()); err != nil {
		return err
	}
	if h.Status != "UP" {
		return fmt.Errorf("%s is not ready: %s", address, h.Status)
	}
	return nil
}

func statusTable(out *bytes.Buffer, address string, h health, i info) {
	fmt.Fprintf(out, "%s %s at %s: %s\n", cmp.Or(i.App.Name, "unknown program"), i.App.Version, address, h.Status)
	if !i.App.Started.IsZero() {
		fmt.Fprintf(out, "started %s\n", i.App.Started.Format(time.RFC3339))
	}
	rows := [][]string{{"component", "status", "reason"}}
	for _, name := range slices.Sorted(maps.Keys(h.Components)) {
		c := h.Components[name]
		reasons := make([]string, 0, len(c.Details))
		for _, k := range slices.Sorted(maps.Keys(c.Details)) {
			if text := fmt.Sprint(c.Details[k]); text != "" {
				reasons = append(reasons, text)
			}
		}
		rows = append(rows, []string{name, c.Status, strings.Join(reasons, "; ")})
	}
	out.WriteByte('\n')
	table(out, "", rows)
	listenerTable(out, i)
	clusterTable(out, i)
}

func listenerTable(out *bytes.Buffer, i info) {
	if len(i.Listeners) == 0 {
		return
	}
	rows := [][]string{{"listener", "address", "serves", "connections"}}
	for _, l := range i.Listeners {
		rows = append(rows, []string{l.Name, cmp.Or(l.Address, "no socket"), l.Serves, fmt.Sprintf("%d now, %d in all", l.Connections, l.Accepted)})
	}
	out.WriteByte('\n')
	table(out, "", rows)
}

// mostHosts is how many healthy hosts of a cluster are listed; all others are.
const mostHosts = 10

func clusterTable(out *bytes.Buffer, i info) {
	rows := [][]string{{"cluster", "host", "health", "requests", "connections"}}
	for _, c := range i.Clusters {
		healthy := 0
		for _, h := range c.Hosts {
			if h.Health == "healthy" {
				if healthy++; healthy > mostHosts {
					continue
				}
			}
			rows = append(rows, []string{c.Name, h.Address, h.Health, fmt.Sprintf("%d now", h.Active), fmt.Sprintf("%d now", h.Connections)})
		}
		if healthy > mostHosts {
			rows = append(rows, []string{c.Name, fmt.Sprintf("and %d more", healthy-mostHosts), "healthy", "", ""})
		}
	}
	if len(rows) > 1 {
		out.WriteByte('\n')
		table(out, "", rows)
	}
}

// actuatorClient asks one actuator.
type actuatorClient struct {
	address string
	http    *http.Client
}

func newActuatorClient(address string) *actuatorClient {
	network, where := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, where = "unix", strings.TrimPrefix(path, "//")
	}
	var dialer net.Dialer
	return &actuatorClient{address, &http.Client{
		// No proxy from the environment: what is asked runs beside us.
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, where)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// get asks for a path and decodes the answer, which must have one of the statuses.
func (c *actuatorClient) get(ctx context.Context, path string, into any, statuses ...int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.failed(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read, or is not wanted
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxStatusBytes))
	if err != nil {
		return nil, c.failed(err)
	}
	if !slices.Contains(statuses, resp.StatusCode) {
		return nil, fmt.Errorf("what answers at %s is no actuator: GET %s: %s", c.address, path, resp.Status)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return nil, fmt.Errorf("what answers at %s is no actuator: GET %s: %w", c.address, path, err)
	}
	return body, nil
}

// failed explains why there was no answer.
func (c *actuatorClient) failed(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return fmt.Errorf("nobody answers at %s: %w (is it started, and is its actuator there? --address names another place)", c.address, op.Err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer from %s in time (--timeout)", c.address)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return fmt.Errorf("what answers at %s is no actuator: %w", c.address, err)
}
