package router

import (
	"strconv"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// Header fields by which a caller sets the times of its request, in
// milliseconds. They are passed on, so that the next proxy obeys them, too.
const (
	globalTimeoutField = "x-mosn-global-timeout"
	tryTimeoutField    = "x-mosn-try-timeout"
)

// longest is the most that a request may ask for.
const longest = 7 * 24 * time.Hour

// setTimes sets Deadline and TryTimeout of a request whose route gives it
// global for the whole exchange, which is the default unless the route says so,
// and try for one attempt. Each is replaced, by a shorter or a longer time, by
// what the request says itself with a header field, and that with a variable.
// What its protocol says (Request.Timeout, such as grpc-timeout) is how long the
// caller waits: it shortens the time, and lengthens only the default. A deadline
// that the request has already stays, if it is earlier. An attempt that might
// take as long as the whole has no limit.
func setTimes(req *stream.Request, global, try time.Duration, said bool) {
	for i := range req.Header.Len() {
		switch f := req.Header.At(i); len(f.Name) {
		case len(globalTimeoutField):
			if stream.EqualName(f.Name, globalTimeoutField) {
				if t := milliseconds(f.Value, 0); t > 0 {
					global, said = t, true
				}
			}
		case len(tryTimeoutField):
			if stream.EqualName(f.Name, tryTimeoutField) {
				try = milliseconds(f.Value, try)
			}
		}
	}
	if t := req.Timeout; t > 0 && (t < global || !said) {
		global = t
	}
	if v, ok := req.Vars.Get(variable.GlobalTimeout); ok {
		global = milliseconds(v, global)
	}
	if v, ok := req.Vars.Get(variable.TryTimeout); ok {
		try = milliseconds(v, try)
	}
	if try >= global {
		try = 0
	}
	start := req.Info.Start
	if start.IsZero() {
		start = time.Now()
	}
	req.Limit(start.Add(global))
	req.TryTimeout = try
}

// milliseconds returns the time in a text, or else if it holds none.
func milliseconds(text string, otherwise time.Duration) time.Duration {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n <= 0 {
		return otherwise
	}
	return time.Duration(min(n, int64(longest/time.Millisecond))) * time.Millisecond
}
