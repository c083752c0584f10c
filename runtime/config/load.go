package config

import (
	"cmp"
	"io"
	"os"
	"slices"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Load reads and checks a configuration file. The suffix of its name says the
// format: .json, .yaml or .yml.
//
// Warnings are what has no effect, such as unknown keys; under opts.Strict they
// are errors. The error is nil or of type decode.Problems, and then there is no
// Config. Both lists are in the order of the lines.
func Load(file string, opts Options) (*Config, decode.Problems, error) {
	data, err := read(file)
	if err != nil {
		return nil, nil, err
	}
	return Parse(file, data, opts)
}

// Parse is Load for content that is at hand; file is its name, for the format
// and for messages.
func Parse(file string, data []byte, opts Options) (*Config, decode.Problems, error) {
	doc, err := parse(file, data)
	if err != nil {
		return nil, nil, err
	}
	lookup := opts.LookupEnv
	if lookup == nil {
		lookup = os.LookupEnv
	}
	if problems := doc.include(lookup); len(problems) > 0 {
		return nil, nil, sorted(doc.locate(problems))
	}
	tree, problems := expand(doc.root, "", lookup)
	if len(problems) > 0 {
		return nil, nil, sorted(doc.locate(problems))
	}
	var shape File
	warnings, err := decode.Into(&shape, tree, "")
	errs := decode.AsProblems(err, "")
	var cfg *Config
	if len(errs) == 0 {
		// What follows takes the shape for granted, so it would only repeat
		// what is wrong with it.
		b := &builder{file: &shape, opts: opts}
		cfg = b.build()
		warnings, errs = append(warnings, b.warnings...), b.errs
	}
	if opts.Strict {
		errs, warnings = append(errs, warnings...), nil
	}
	warnings, errs = sorted(doc.locate(warnings)), sorted(doc.locate(errs))
	if len(errs) > 0 {
		return nil, warnings, errs
	}
	return cfg, warnings, nil
}

// sorted brings problems into the order of their files and lines.
func sorted(ps decode.Problems) decode.Problems {
	slices.SortStableFunc(ps, func(a, b decode.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return ps
}

func readAll(file string, f io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return nil, unreadable(file, err)
	}
	if len(data) > MaxFileBytes {
		return nil, tooLarge(file)
	}
	return data, nil
}
