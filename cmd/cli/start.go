package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ottavo-runtime/ottavo/internal/footprint"
	"github.com/ottavo-runtime/ottavo/runtime"
	"github.com/ottavo-runtime/ottavo/runtime/actuator"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// heapRoom is by how many bytes the heap may grow between two collections of
// garbage. It is the memory that load costs, and a fifth of the CPU time of a small
// call (docs/performance.md).
const heapRoom = 16 << 20

// startFlags are the flags of start that do something.
type startFlags struct {
	source
	logLevel     string
	loggingLevel string // Layotto's name for it
	resources    []string
	featureGates string
}

func (p *program) start() *cobra.Command {
	var f startFlags
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run with a configuration file",
		Long: `Runs with a configuration file, in the foreground, until a signal ends it. When
everything listens it says what listens where, and which components there are.

SIGINT and SIGTERM end it in order: accepted calls finish first, within the times
that the configuration gives them; the exit code is 0. A second signal ends it at
once, with 130 or 143.

Flags of Layotto and MOSN are accepted, also with one dash (-config, -ll) and
without the word start. Those that have no effect here are named in a warning:
` + layottoFlagNames(),
		Example: `  ottavo start
  ottavo start -c configs/default.yaml --log-level debug
  OTTAVO_CONFIG=/etc/ottavo.yaml ottavo start --strict`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.runStart(cmd, f) },
	}
	f.flags(cmd)
	cmd.Flags().StringVarP(&f.logLevel, "log-level", "l", "", "what to log, at least: `LEVEL` is one of "+strings.Join(levelNames(), ", ")+" (default: as configured)")
	cmd.Flags().StringArrayVar(&f.resources, "resources-path", nil, "`DIR` with Dapr's manifests; not built in this version, so an error")
	cmd.Flags().StringVar(&f.loggingLevel, "logging-level", "", "Layotto's name of --log-level")
	cmd.Flags().StringVarP(&f.featureGates, "feature-gates", "f", "", "MOSN's feature gates; there are none, so an error")
	for _, name := range []string{"logging-level", "feature-gates"} {
		cmd.Flags().Lookup(name).Hidden = true
	}
	addLayottoFlags(cmd)
	return cmd
}

// level decides between --log-level and --logging-level. ok is false if neither
// was given.
func (f startFlags) level(p *program, cmd *cobra.Command) (level slog.Level, ok bool, err error) {
	name, flag := f.logLevel, "--log-level"
	if name == "" {
		name, flag = f.loggingLevel, "--logging-level"
	} else if f.loggingLevel != "" {
		p.warn("--logging-level has no effect beside --log-level: there is one log")
	}
	if name == "" {
		return 0, false, nil
	}
	level, known := levelNamed(name)
	if !known {
		return 0, false, usage(cmd, fmt.Errorf("%s: unknown level %q; known: %s", flag, name, strings.Join(levelNames(), ", ")))
	}
	return level, true, nil
}

func (p *program) runStart(cmd *cobra.Command, f startFlags) (err error) {
	if len(f.resources) > 0 {
		return errors.New("--resources-path: Dapr's manifests are not built in this version; write the components into the configuration file (section runtime)")
	}
	if f.featureGates != "" {
		return fmt.Errorf("--feature-gates: there is no feature gate %q here; leave the flag out", f.featureGates)
	}
	level, override, err := f.level(p, cmd)
	if err != nil {
		return err
	}
	for _, w := range unusedLayottoFlags(cmd) {
		p.warn(w)
	}
	name, cfg, warnings, err := p.load(cmd.Context(), f.source)
	for _, w := range warnings {
		p.warn(w.String())
	}
	if err != nil {
		return err
	}
	if override {
		cfg.Log.Level = level
	}
	log, closeLog, err := p.openLog(cfg.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLog()) }()

	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	// From here on a signal also ends a start that waits for a backend.
	defer p.watchSignals(stop)()
	rt, err := runtime.New(ctx, runtime.Options{
		Config: cfg, Tables: p.Tables, Log: log, Version: p.Version, Compiled: buildSetting("vcs.time"),
	})
	if err != nil {
		if ctx.Err() != nil && cmd.Context().Err() == nil {
			return fmt.Errorf("stopped by a signal before it was ready: %w", err)
		}
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- rt.Run(ctx) }()
	out := p.Stdout
	if cfg.Log.JSON && cfg.Log.Path == "stdout" {
		out = p.Stderr // whoever reads the log expects nothing else there
	}
	if err := ready(out, name, p.Version, rt.Status(), time.Since(p.Began)); err != nil {
		log.Warn("standard output cannot be written to", "error", err)
	}
	if err := footprint.Trim(); err != nil {
		log.Debug("the pages that only the start has read stay in memory", "error", err)
	}
	// Not before: what the start leaves behind would stay in memory.
	if _, set := p.LookupEnv("GOGC"); !set {
		defer footprint.Room(heapRoom)()
	}
	return <-ended
}

// ready prints what runs.
func ready(w io.Writer, file, version string, s runtime.Status, took time.Duration) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "ottavo %s, configuration %s\n", version, file)
	var rows [][]string
	for _, l := range s.Listeners {
		where := "no socket"
		if l.Addr != nil {
			where = l.Addr.String()
			if l.Addr.Network() == "unix" {
				where = "unix:" + where
			}
		}
		rows = append(rows, []string{l.Name, where, l.Serves})
	}
	section(&out, "listeners", rows)
	rows = nil
	for _, c := range s.Components {
		state := "ready"
		if c.Status != actuator.Up {
			state = strings.TrimSpace(string(c.Status) + " " + c.Reason)
		}
		rows = append(rows, []string{c.Kind, c.Name, c.Type, state})
	}
	section(&out, "components", rows)
	fmt.Fprintf(&out, "\nready in %d ms\n", took.Milliseconds())
	_, err := w.Write(out.Bytes())
	return err
}

// levels are the names that --log-level knows: ours, Layotto's and MOSN's.
var levels = [...]struct {
	name  string
	level slog.Level
}{
	{"trace", config.LevelTrace},
	{"debug", slog.LevelDebug},
	{"info", slog.LevelInfo},
	{"warn", slog.LevelWarn},
	{"warning", slog.LevelWarn},
	{"error", slog.LevelError},
	{"fatal", config.LevelFatal},
	{"critical", config.LevelFatal},
	{"off", config.LevelFatal + 4},
}

func levelNames() []string {
	names := make([]string, len(levels))
	for i, l := range levels {
		names[i] = l.name
	}
	return names
}

func levelNamed(name string) (slog.Level, bool) {
	for _, l := range levels {
		if strings.EqualFold(l.name, name) {
			return l.level, true
		}
	}
	return 0, false
}
