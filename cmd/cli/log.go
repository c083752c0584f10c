package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// openLog makes the log that a configuration asks for, and the function that
// closes it.
func (p *program) openLog(cfg config.Log) (*slog.Logger, func() error, error) {
	var out io.Writer
	closeLog := func() error { return nil }
	switch cfg.Path {
	case "", "stderr":
		out = p.Stderr
	case "stdout":
		out = p.Stdout
	default:
		if err := os.MkdirAll(filepath.Dir(cfg.Path), 0o755); err != nil {
			return nil, nil, fmt.Errorf("the log's folder cannot be made: %w", err)
		}
		f, err := os.OpenFile(cfg.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
		if err != nil {
			return nil, nil, fmt.Errorf("the log cannot be opened: %w", err)
		}
		out, closeLog = f, f.Close
	}
	opts := &slog.HandlerOptions{Level: cfg.Level, ReplaceAttr: nameLevels}
	if cfg.JSON {
		return slog.New(slog.NewJSONHandler(out, opts)), closeLog, nil
	}
	return slog.New(slog.NewTextHandler(out, opts)), closeLog, nil
}

// nameLevels writes the levels that slog has no name for.
func nameLevels(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 || a.Key != slog.LevelKey {
		return a
	}
	switch level, _ := a.Value.Any().(slog.Level); level {
	case config.LevelTrace:
		return slog.String(a.Key, "TRACE")
	case config.LevelFatal:
		return slog.String(a.Key, "FATAL")
	}
	return a
}
