package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// A layottoFlag is a flag of Layotto's start command that has no effect here.
type layottoFlag struct {
	name    string
	letter  string // with one dash
	aliases []string
	boolean bool
	why     string
}

const (
	noControlPlane = "it names this process to a control plane (xDS), which is not built in this version"
	unusedThere    = "Layotto does not use it either"
)

// layottoFlags are those flags. Scripts made for Layotto pass them.
var layottoFlags = [...]layottoFlag{
	{name: "service-cluster", letter: "s", why: noControlPlane},
	{name: "service-node", letter: "n", why: noControlPlane},
	{name: "service-type", letter: "p", why: noControlPlane},
	{name: "service-meta", aliases: []string{"sm"}, why: noControlPlane},
	{name: "service-lables", aliases: []string{"sl"}, why: noControlPlane},
	{name: "cluster-domain", aliases: []string{"domain"}, why: noControlPlane},
	{name: "pod-namespace", aliases: []string{"pns"}, why: noControlPlane},
	{name: "pod-name", aliases: []string{"pn"}, why: noControlPlane},
	{name: "pod-ip", aliases: []string{"pi"}, why: noControlPlane},
	{name: "logging-path", aliases: []string{"lp"}, why: "the configuration says where the log goes (runtime.log.path or default_log_path)"},
	{name: "drain-time-s", why: "the configuration says how long calls may finish (graceful_stop_timeout, graceful_timeout)"},
	{name: "log-format", aliases: []string{"lf"}, why: unusedThere},
	{name: "component-log-level", aliases: []string{"lc"}, why: unusedThere},
	{name: "local-address-ip-version", why: unusedThere},
	{name: "restart-epoch", why: unusedThere},
	{name: "parent-shutdown-time-s", why: unusedThere},
	{name: "max-obj-name-len", why: unusedThere},
	{name: "concurrency", why: unusedThere},
	{name: "log-format-prefix-with-location", why: unusedThere},
	{name: "bootstrap-version", why: unusedThere},
	{name: "drain-strategy", why: unusedThere},
	{name: "disable-hot-restart", boolean: true, why: unusedThere},
}

// addLayottoFlags makes a command accept them, unseen in its list of flags.
func addLayottoFlags(cmd *cobra.Command) {
	for _, f := range layottoFlags {
		if f.boolean {
			cmd.Flags().BoolP(f.name, f.letter, false, f.why)
		} else {
			cmd.Flags().StringArrayP(f.name, f.letter, nil, f.why)
		}
		cmd.Flags().Lookup(f.name).Hidden = true
	}
}

// unusedLayottoFlags returns a warning for each of them that was given.
func unusedLayottoFlags(cmd *cobra.Command) []string {
	var out []string
	for _, f := range layottoFlags {
		if cmd.Flags().Changed(f.name) {
			out = append(out, fmt.Sprintf("--%s has no effect: %s", f.name, f.why))
		}
	}
	return out
}

// layottoFlagNames lists them for the help, over several lines.
func layottoFlagNames() string {
	const width = 80
	var out strings.Builder
	column := 0
	for i, f := range layottoFlags {
		word := "--" + f.name
		if i < len(layottoFlags)-1 {
			word += ","
		}
		if column+1+len(word) > width {
			out.WriteByte('\n')
			column = 0
		} else if column > 0 {
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += len(word)
	}
	return out.String() + "."
}

// layottoArgs rewrites arguments that are written as Layotto's users write them:
// flags without the command "start", and long names with one dash (-config, -ll).
func layottoArgs(args []string) []string {
	if len(args) == 0 {
		return args
	}
	out := args
	switch first := args[0]; {
	case first == "-h" || first == "--help" || first == "-v" || first == "--version" || first == "--":
		return args
	case strings.HasPrefix(first, "-"):
		out = append([]string{"start"}, args...)
	case first != "start":
		return args
	}
	names := map[string]string{
		"config": "config", "c": "config", "log-level": "log-level", "l": "log-level",
		"logging-level": "logging-level", "ll": "logging-level", "feature-gates": "feature-gates", "f": "feature-gates",
	}
	for _, f := range layottoFlags {
		names[f.name], names[f.letter] = f.name, f.name
		for _, a := range f.aliases {
			names[a] = f.name
		}
	}
	delete(names, "") // of those without a letter
	out = append([]string(nil), out...)
	for i, arg := range out {
		if arg == "--" {
			break
		}
		dashed, value, hasValue := strings.Cut(arg, "=")
		short := strings.TrimLeft(dashed, "-")
		if dashes := len(dashed) - len(short); dashes != 1 && dashes != 2 {
			continue
		}
		name, known := names[short]
		if !known {
			continue
		}
		out[i] = "--" + name
		if hasValue {
			out[i] += "=" + value
		}
	}
	return out
}
