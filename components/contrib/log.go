package contrib

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/dapr/kit/logger"
)

// NewLogger returns what contrib's backends write their log with. Fatal only
// logs: a backend does not end this process.
func NewLogger(log *slog.Logger) logger.Logger {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &adapted{log: log}
}

// adapted is a slog.Logger in contrib's form.
type adapted struct {
	log *slog.Logger
}

// Where the log goes, and what of it, is the runtime's to say.

func (*adapted) EnableJSONOutput(bool)              {}
func (*adapted) SetAppID(string)                    {}
func (*adapted) SetOutputLevel(logger.LogLevel)     {}
func (*adapted) SetOutput(io.Writer)                {}
func (a *adapted) WithLogType(string) logger.Logger { return a }

func (a *adapted) IsOutputLevelEnabled(level logger.LogLevel) bool {
	levels := map[logger.LogLevel]slog.Level{
		logger.DebugLevel: slog.LevelDebug, logger.InfoLevel: slog.LevelInfo, logger.WarnLevel: slog.LevelWarn,
		logger.ErrorLevel: slog.LevelError, logger.FatalLevel: slog.LevelError,
	}
	l, known := levels[level]
	return known && a.enabled(l)
}

func (a *adapted) WithFields(fields map[string]any) logger.Logger {
	args := make([]any, 0, 2*len(fields))
	for k, v := range fields {
		args = append(args, k, v)
	}
	return &adapted{log: a.log.With(args...)}
}

func (a *adapted) enabled(level slog.Level) bool {
	return a.log.Enabled(context.TODO(), level) // contrib's logger has no context
}

// say writes a record, making its text only when it is wanted.
func (a *adapted) say(level slog.Level, args []any) {
	if a.enabled(level) {
		a.log.Log(context.TODO(), level, fmt.Sprint(args...)) //nolint:sloglint // the text is the backend's
	}
}

func (a *adapted) sayf(level slog.Level, format string, args []any) {
	if a.enabled(level) {
		a.log.Log(context.TODO(), level, fmt.Sprintf(format, args...)) //nolint:sloglint // the text is the backend's
	}
}

func (a *adapted) Debug(args ...any)                 { a.say(slog.LevelDebug, args) }
func (a *adapted) Debugf(format string, args ...any) { a.sayf(slog.LevelDebug, format, args) }
func (a *adapted) Info(args ...any)                  { a.say(slog.LevelInfo, args) }
func (a *adapted) Infof(format string, args ...any)  { a.sayf(slog.LevelInfo, format, args) }
func (a *adapted) Warn(args ...any)                  { a.say(slog.LevelWarn, args) }
func (a *adapted) Warnf(format string, args ...any)  { a.sayf(slog.LevelWarn, format, args) }
func (a *adapted) Error(args ...any)                 { a.say(slog.LevelError, args) }
func (a *adapted) Errorf(format string, args ...any) { a.sayf(slog.LevelError, format, args) }
func (a *adapted) Fatal(args ...any)                 { a.say(slog.LevelError, args) }
func (a *adapted) Fatalf(format string, args ...any) { a.sayf(slog.LevelError, format, args) }
