package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy"
	proxyconfig "github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

func (p *program) validate() *cobra.Command {
	var s source
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check a configuration file and say what it would start",
		Long: `Checks a configuration file without starting anything: all of it, and every
problem at once, each with file, line, path and remedy. For a file without
errors it says what would be started.

Warnings are about what has no effect, such as unknown keys. The exit code is 1 if
there are errors, with --strict also if there are warnings.`,
		Example: `  ottavo validate -c configs/default.yaml
  ottavo validate -c config.json --strict`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.runValidate(cmd.Context(), cmd.OutOrStdout(), s) },
	}
	s.flags(cmd)
	return cmd
}

func (p *program) runValidate(ctx context.Context, stdout io.Writer, s source) error {
	strict := s.strict
	s.strict = false // here warnings stay distinct from errors
	name, cfg, warnings, err := p.load(ctx, s)
	problems, isProblems := errors.AsType[decode.Problems](err)
	if err != nil && !isProblems {
		return err
	}
	var out bytes.Buffer
	for _, e := range problems {
		fmt.Fprintf(&out, "error: %s\n", e)
	}
	for _, w := range warnings {
		fmt.Fprintf(&out, "warning: %s\n", w)
	}
	if cfg != nil {
		if len(warnings) > 0 {
			out.WriteByte('\n')
		}
		summary(&out, name, cfg)
	}
	if _, err := stdout.Write(out.Bytes()); err != nil {
		return err
	}
	switch {
	case len(problems) > 0:
		return fmt.Errorf("%s is wrong: %s, %s", name, count(len(problems), "error"), count(len(warnings), "warning"))
	case strict && len(warnings) > 0:
		return fmt.Errorf("%s has %s, which --strict does not allow", name, count(len(warnings), "warning"))
	}
	return nil
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// summary says what a configuration would start.
func summary(out *bytes.Buffer, name string, cfg *config.Config) {
	fmt.Fprintf(out, "%s is good. It would start:\n", name)
	var rows [][]string
	for _, l := range cfg.Proxy.Listeners {
		rows = append(rows, []string{l.Name, listenAddress(l), serves(l)})
	}
	section(out, "listeners", rows)
	rows = nil
	for _, r := range cfg.Proxy.Routers {
		routes := 0
		for _, vh := range r.VirtualHosts {
			routes += len(vh.Routes)
		}
		rows = append(rows, []string{r.Name, count(len(r.VirtualHosts), "virtual host"), count(routes, "route")})
	}
	section(out, "routers", rows)
	rows = nil
	for _, c := range cfg.Proxy.Clusters {
		hosts := make([]string, len(c.Hosts))
		for i, h := range c.Hosts {
			hosts[i] = h.Address
		}
		const most = 4
		if len(hosts) > most {
			hosts = append(hosts[:most], fmt.Sprintf("and %d more", len(hosts)-most))
		}
		rows = append(rows, []string{c.Name, strings.Join(hosts, ", ")})
	}
	section(out, "clusters", rows)
	if cfg.Runtime == nil {
		out.WriteString("\nno API: the file has neither a section \"runtime\" nor a network filter \"grpc\"\n")
		return
	}
	rows = nil
	for _, kind := range slices.Sorted(maps.Keys(cfg.Runtime.Components)) {
		for _, c := range cfg.Runtime.Components[kind] {
			rows = append(rows, []string{kind, c.Name, c.Type})
		}
	}
	section(out, "components", rows)
}

func listenAddress(l proxyconfig.Listener) string {
	switch {
	case !l.BindPort:
		return "no socket"
	case l.Network == "unix" && !strings.HasPrefix(l.Address, "unix:"):
		return "unix:" + l.Address
	}
	return l.Address
}

// serves says what answers the connections of a listener.
func serves(l proxyconfig.Listener) string {
	for _, f := range l.StreamFilters {
		if f.Type == config.ActuatorFilter {
			return "actuator"
		}
	}
	for _, chain := range l.FilterChains {
		for _, f := range chain.Filters {
			switch f.Type {
			case config.GRPCFilterType:
				return "gRPC API"
			case proxy.ProxyFilter:
				return fmt.Sprintf("%v, router %v", f.Config["downstream_protocol"], f.Config["router_config_name"])
			}
		}
	}
	return ""
}

func (p *program) schema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration file",
		Long: `Prints the JSON Schema of the configuration file, with the components, protocols
and load balancers that this program has. Editors use it to complete and check.`,
		Example: `  ottavo schema > ottavo.schema.json
  # then, as the first line of a YAML file:
  # yaml-language-server: $schema=ottavo.schema.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Schema(p.Tables.ConfigOptions()))
			return err
		},
	}
}
