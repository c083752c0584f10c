package mesh

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Config is the invoker's `config` section.
type Config struct {
	Channels     []Channel  `json:"channel" doc:"Ways into the proxy. A call takes the first, unless it names another."`
	BeforeInvoke []Callback `json:"before_invoke" doc:"What is done with a call before it is sent, in order."`
	AfterInvoke  []Callback `json:"after_invoke" doc:"What is done with an answer, in order."`
	MaxResponse  int64      `json:"max_response_bytes" min:"1" doc:"Most bytes of an answer. Default 64 MiB."`
}

// Channel is one way into the proxy.
type Channel struct {
	Name     string         `json:"name" doc:"Name by which calls ask for it, in the metadata rpc_channel. Default: the protocol."`
	Protocol string         `json:"protocol" enum:"http|http2|bolt|boltv2|dubbo" doc:"Protocol spoken with the listener: http, http2, bolt, boltv2 or dubbo."`
	Listener string         `json:"listener" doc:"Name of the listener that calls enter by, or host:port."`
	Size     int            `json:"size" min:"0" doc:"Most connections at a time; calls wait when all are full. Over http a connection carries one call at a time, over the others many. 0: no limit."`
	Ext      map[string]any `json:"ext" doc:"Options of the protocol. For bolt and boltv2: class, the class name in requests, and codec, the number of their serialisation, default 1 (Hessian)."`
}

// Callback names a callback and carries its configuration.
type Callback struct {
	Name   string         `json:"name" doc:"Name of a built-in callback: dubbo_json_rpc."`
	Config map[string]any `json:"config" doc:"The callback's own configuration."`
}

// Defaults returns the settings that hold where none are given.
func Defaults() Config { return Config{MaxResponse: DefaultMaxResponse} }

// settings is a Config that has been checked.
type settings struct {
	channels    []*channel // not open yet
	callbacks   rpc.Chain
	maxResponse int64
}

// reader finds out what a Config means, and collects what is wrong with it.
type reader struct {
	cfg       components.Config
	path      string
	callbacks []rpc.Callback
	warns     bool // of what is odd, beside what decoding warns of
	problems  decode.Problems
}

func (r *reader) fail(path, remedy, format string, args ...any) {
	r.problems = append(r.problems, decode.Problem{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (r *reader) warn(p decode.Problem) {
	if r.cfg.Warn != nil && r.warns {
		r.cfg.Warn(p)
	}
}

// Check finds what is wrong with settings before anything is opened: everything
// that New would find but that a listener is not there. cfg.Checked says only that
// they were decoded already.
func Check(cfg components.Config, callbacks ...rpc.Callback) error {
	r := &reader{cfg: cfg, path: cfg.SettingsPath(), callbacks: callbacks, warns: true}
	_, err := r.read()
	return err
}

// read reads everything there is.
func (r *reader) read() (settings, error) {
	c := Defaults()
	if err := r.cfg.Decode(&c); err != nil {
		return settings{}, err
	}
	s := settings{maxResponse: c.MaxResponse}
	if len(c.Channels) == 0 {
		r.fail(r.path+".channel", `for example [{"protocol": "http", "listener": "egress_runtime_http"}]`, "missing channel config")
	}
	for i, ch := range c.Channels {
		s.channels = append(s.channels, r.channel(c.Channels[:i], ch))
	}
	for i, b := range c.BeforeInvoke {
		f := callback(r, "before_invoke", i, b, func(row rpc.Callback) func(components.Config) (rpc.Before, error) { return row.Before })
		s.callbacks.Before = append(s.callbacks.Before, f)
	}
	for i, a := range c.AfterInvoke {
		f := callback(r, "after_invoke", i, a, func(row rpc.Callback) func(components.Config) (rpc.After, error) { return row.After })
		s.callbacks.After = append(s.callbacks.After, f)
	}
	return s, r.problems.Err()
}

// channel reads the channel that follows those before it.
func (r *reader) channel(before []Channel, ch Channel) *channel {
	path := decode.At(r.path+".channel", len(before))
	c := &channel{name: ch.name(), listener: ch.Listener, size: ch.Size, path: path}
	row, known := findProtocol(ch.Protocol)
	switch {
	case !known:
		r.fail(path+".protocol", "known: "+strings.Join(protocolNames(), ", "), "channel protocol %q not found", ch.Protocol)
	default:
		c.protocol = row.core
		c.wire = row.wire(r, path+".ext", ch.Ext)
	}
	if ch.Listener == "" {
		r.fail(path+".listener", "the name of a listener, or host:port", "missing")
	}
	i := slices.IndexFunc(before, func(o Channel) bool { return o.name() == c.name })
	switch {
	case i < 0 || !known:
	case ch.Name != "":
		r.fail(path+".name", "give each a name of its own", "channel[%d] is called %q, too", i, c.name)
	default:
		r.warn(decode.Problem{
			Path: path, Message: fmt.Sprintf("no call can ask for it: channel[%d] is called %q, too", i, c.name), Remedy: "give it a `name`",
		})
	}
	return c
}

// name is what calls ask for the channel by.
func (ch Channel) name() string {
	if ch.Name == "" {
		return ch.Protocol
	}
	return ch.Name
}

// ext decodes the options of a channel's protocol into dst.
func (r *reader) ext(dst any, ext map[string]any, path string) {
	warnings, err := decode.Into(dst, ext, path)
	for _, w := range warnings {
		r.warn(w)
	}
	if err != nil {
		r.problems = append(r.problems, decode.AsProblems(err, path)...)
	}
}

// callback makes entry i of a chain. makes says which of a row's two makers fits there.
func callback[F any](r *reader, chain string, i int, c Callback, makes func(rpc.Callback) func(components.Config) (F, error)) (f F) {
	path := decode.At(r.path+"."+chain, i)
	var known []string
	for _, row := range r.callbacks {
		maker := makes(row)
		if maker == nil {
			continue
		}
		if row.Name != c.Name {
			known = append(known, row.Name)
			continue
		}
		f, err := maker(components.Config{Name: c.Name, Type: c.Name, Path: path, Section: "config", Metadata: c.Config, Warn: r.warn})
		if err != nil {
			r.problems = append(r.problems, decode.AsProblems(err, path)...)
		}
		return f
	}
	remedy := "none is built in"
	if len(known) > 0 {
		remedy = "known: " + strings.Join(known, ", ")
	}
	r.fail(path+".name", remedy, "unknown callback %q", c.Name)
	return f
}
