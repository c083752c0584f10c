package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/runtime"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// Options are what a run of the command line needs from its process.
type Options struct {
	// Args are the arguments, without the program's name.
	Args []string
	// Stdin, Stdout and Stderr are the standard streams.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// LookupEnv finds environment variables.
	LookupEnv func(name string) (value string, ok bool)
	// Tables list what is built in.
	Tables runtime.Tables
	// Version is the program's version; "" is what the build says.
	Version string
	// Began is when the process started, for the time until it is ready.
	Began time.Time
	// Exit ends the process at once, when a second signal asks for it.
	Exit func(code int)
}

// FromProcess returns the Options of this process, without tables.
func FromProcess() Options {
	return Options{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		LookupEnv: os.LookupEnv, Began: time.Now(), Exit: os.Exit,
	}
}

// Main runs a command until it is done or ctx ends, and returns the exit code for
// the process. It has printed the error, if there was one.
func Main(ctx context.Context, opts Options) int {
	if opts.Version == "" {
		opts.Version = builtVersion()
	}
	root := (&program{opts}).root() //nolint:contextcheck // commands get ctx from ExecuteContext
	root.SetArgs(layottoArgs(opts.Args))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	printError(opts.Stderr, err)
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// program makes the commands.
type program struct{ Options }

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "ottavo",
		Short: "One process beside your application: its runtime API and its proxy",
		Long: `ottavo runs beside an application. The application speaks gRPC with it and gets
state, service calls and more, from backends that a configuration file chooses;
calls to other services travel through its own proxy.

Exit codes: 0 done, 1 failed, 2 called in a wrong way.`,
		Example: `  ottavo start -c configs/default.yaml
  ottavo call Runtime/SayHello -d '{"serviceName": "helloworld", "name": "eva"}'
  ottavo status`,
		Version:       p.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		CompletionOptions: cobra.CompletionOptions{
			HiddenDefaultCmd: true,
		},
	}
	root.SetVersionTemplate("ottavo {{.Version}}\n")
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
	root.AddCommand(p.start(), p.validate(), p.schema(), p.call(), p.status(), p.version())
	return root
}

// usageError says that a command was called in a wrong way.
type usageError struct {
	command string
	err     error
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%s (see %s --help)", e.err, e.command)
}

func (e *usageError) Unwrap() error { return e.err }

func usage(cmd *cobra.Command, err error) error { return &usageError{cmd.CommandPath(), err} }

// noArgs refuses arguments, of the root those that are no command.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasParent() {
		return usage(cmd, fmt.Errorf("unexpected argument %q", args[0]))
	}
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	near := decode.Nearest(args[0], names)
	if near != "" {
		near = fmt.Sprintf(" (did you mean %s?)", near)
	}
	return usage(cmd, fmt.Errorf("unknown command %q%s; commands: %s", args[0], near, strings.Join(names, ", ")))
}

// printError prints an error, several ones and the problems of a configuration on
// lines of their own.
func printError(w io.Writer, err error) {
	var out bytes.Buffer
	for _, text := range errorTexts(err) {
		fmt.Fprintf(&out, "ottavo: %s\n", text)
	}
	if detailed, ok := errors.AsType[interface {
		error
		details() string
	}](err); ok {
		out.WriteString(detailed.details())
	}
	// What others sent must not steer the terminal.
	text := strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return '\ufffd'
		}
		return r
	}, out.String())
	_, _ = io.WriteString(w, text) // there is nowhere else to complain
}

// errorTexts splits what is a list of errors, unless there is a text around it.
func errorTexts(err error) []string {
	var texts []string
	switch e := err.(type) { //nolint:errorlint // a wrapped list has a text around it
	case decode.Problems:
		for _, p := range e {
			texts = append(texts, p.String())
		}
		return texts
	case interface{ Unwrap() []error }:
		if errors.Join(e.Unwrap()...).Error() != err.Error() {
			break
		}
		for _, one := range e.Unwrap() {
			texts = append(texts, errorTexts(one)...)
		}
		return texts
	}
	return []string{err.Error()}
}

// warn prints a warning.
func (p *program) warn(text string) {
	_, _ = fmt.Fprintf(p.Stderr, "ottavo: warning: %s\n", text) // there is nowhere else to complain
}

// builtVersion is the version that the Go command put into the program.
func builtVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return strings.Trim(info.Main.Version, "()") // "(devel)"
}

// buildSetting is a fact about the build, such as "vcs.time"; "" if not known.
func buildSetting(key string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == key {
				return s.Value
			}
		}
	}
	return ""
}
