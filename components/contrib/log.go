package contrib

import (
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

// IsOutputLevelEnabled says yes: what is not wanted is dropped before it is
// formatted, or costs little.
func (*adapted) IsOutputLevelEnabled(logger.LogLevel) bool { return true }

func (a *adapted) WithFields(fields map[string]any) logger.Logger {
	args := make([]any, 0, 2*len(fields))
	for k, v := range fields {
		args = append(args, k, v)
	}
	return &adapted{log: a.log.With(args...)}
}

// detail is a text that is made only if it is wanted.
type detail struct {
	format string // "" is as Sprint
	args   []any
}

// LogValue implements slog.LogValuer.
func (d detail) LogValue() slog.Value {
	if d.format == "" {
		return slog.StringValue(fmt.Sprint(d.args...))
	}
	return slog.StringValue(fmt.Sprintf(d.format, d.args...))
}

// The texts of the other levels are the backend's own.

func (a *adapted) Debug(args ...any) { a.log.Debug("detail", "text", detail{args: args}) }

func (a *adapted) Debugf(format string, args ...any) {
	a.log.Debug("detail", "text", detail{format, args})
}
func (a *adapted) Info(args ...any)                  { a.log.Info(fmt.Sprint(args...)) }           //nolint:sloglint // see above
func (a *adapted) Infof(format string, args ...any)  { a.log.Info(fmt.Sprintf(format, args...)) }  //nolint:sloglint // see above
func (a *adapted) Warn(args ...any)                  { a.log.Warn(fmt.Sprint(args...)) }           //nolint:sloglint // see above
func (a *adapted) Warnf(format string, args ...any)  { a.log.Warn(fmt.Sprintf(format, args...)) }  //nolint:sloglint // see above
func (a *adapted) Error(args ...any)                 { a.log.Error(fmt.Sprint(args...)) }          //nolint:sloglint // see above
func (a *adapted) Errorf(format string, args ...any) { a.log.Error(fmt.Sprintf(format, args...)) } //nolint:sloglint // see above
func (a *adapted) Fatal(args ...any)                 { a.Error(args...) }
func (a *adapted) Fatalf(format string, args ...any) { a.Errorf(format, args...) }
