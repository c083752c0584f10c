package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// defaultConfig is the configuration file when nothing names one.
const defaultConfig = "configs/default.yaml"

// configEnv are the environment variables that name the configuration file, ours
// and Layotto's.
var configEnv = [...]string{"OTTAVO_CONFIG", "RUNTIME_CONFIG"}

// source says which configuration file to load, and how.
type source struct {
	file   string
	strict bool
}

// flags adds the flags by which commands name their configuration.
func (s *source) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.file, "config", "c", "", "configuration `FILE`, .yaml or .json (default: $OTTAVO_CONFIG, $RUNTIME_CONFIG, "+defaultConfig+")")
	cmd.Flags().BoolVar(&s.strict, "strict", false, "make warnings about the configuration errors")
}

// load looks for components in processes of their own, which it adds to the tables,
// and finds and loads the file. name is the file that was meant, also when there is
// an error.
func (p *program) load(ctx context.Context, s source) (name string, cfg *config.Config, warnings decode.Problems, err error) {
	name = s.file
	why := ""
	if name == "" {
		name, why = p.configFile()
	}
	tables, bad := p.Tables.Discover(ctx, p.LookupEnv)
	for _, b := range bad { // of which the file knows nothing, so --strict does not count them
		p.warn("pluggable components: " + b.String())
	}
	p.Tables = tables
	opts := tables.ConfigOptions()
	opts.Strict, opts.LookupEnv = s.strict, p.LookupEnv
	cfg, warnings, err = config.Load(name, opts)
	if _, statErr := os.Stat(name); why != "" && errors.Is(statErr, os.ErrNotExist) {
		err = fmt.Errorf("there is no configuration file %s: %s; name one with -c FILE", name, why)
	}
	return name, cfg, warnings, err
}

// configFile is the configuration file that nobody named by a flag, and why it is
// that one.
func (p *program) configFile() (name, why string) {
	for _, env := range configEnv {
		if file, ok := p.LookupEnv(env); ok && file != "" {
			return file, "the environment variable " + env + " says so"
		}
	}
	return defaultConfig, "this is the file by default, from the working directory"
}
