package origdst

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// FilterType is the type of the listener filter that this package decodes.
const FilterType = "original_dst"

// Mode is how a listener's connections are captured.
type Mode string

// The modes, as a configuration spells them.
const (
	Off      Mode = ""         // not captured
	Redirect Mode = "redirect" // iptables REDIRECT
	TProxy   Mode = "tproxy"   // iptables TPROXY
)

// Config is what a listener's keys use_original_dst and listener_filters say
// together. The zero value captures nothing.
type Config struct {
	Mode Mode
	// FallbackToLocal is for Choose.
	FallbackToLocal bool
}

// Filter is the configuration of the listener filter original_dst.
type Filter struct {
	Type            Mode `json:"type" enum:"|redirect|tproxy" doc:"How connections are captured; the same as the listener's use_original_dst, which is the default."`
	FallbackToLocal bool `json:"fallback_to_local" doc:"Where no listener has the destination's address: true tries 127.0.0.1 (::1) with its port, false 0.0.0.0 (::) with its port."`
}

// Parse reads the keys of l, which stands at path in the configuration. Listener
// filters of other types are not looked at.
//
// use_original_dst is "redirect", "tproxy", or as in old files a boolean, where
// true is redirect. Without it, the filter original_dst says the mode, and
// redirect is its default.
//
// The error is nil or of type decode.Problems and holds every mistake.
func Parse(l *config.Listener, path string) (cfg Config, warnings decode.Problems, err error) {
	var errs decode.Problems
	gather := func(w decode.Problems, err error) {
		warnings = append(warnings, w...)
		errs = append(errs, decode.AsProblems(err, path)...)
	}

	var said struct {
		Mode string `json:"use_original_dst" enum:"|false|true|redirect|tproxy"`
	}
	value := l.UseOriginalDst
	if b, ok := value.(bool); ok {
		value = strconv.FormatBool(b)
	}
	if value != nil {
		gather(decode.Into(&said, map[string]any{"use_original_dst": value}, path))
	}
	switch said.Mode {
	case "true", string(Redirect):
		cfg.Mode = Redirect
	case string(TProxy):
		cfg.Mode = TProxy
	}

	first := ""
	for i, extension := range l.ListenerFilters {
		if extension.Type != FilterType {
			continue
		}
		here := decode.At(decode.Join(path, "listener_filters"), i)
		if first != "" {
			errs = append(errs, decode.Problem{Path: here, Message: "a second filter " + FilterType, Remedy: "one is enough; there is one at " + first})
			continue
		}
		first = here
		here = decode.Join(here, "config")
		var filter Filter
		w, err := decode.Into(&filter, extension.Config, here)
		gather(w, err)
		if err != nil || len(errs) > 0 {
			continue
		}
		cfg.FallbackToLocal = filter.FallbackToLocal
		switch {
		case said.Mode == "":
			cfg.Mode = filter.Type
			if cfg.Mode == Off {
				cfg.Mode = Redirect
			}
		case filter.Type != Off && filter.Type != cfg.Mode:
			errs = append(errs, decode.Problem{
				Path:    decode.Join(here, "type"),
				Message: fmt.Sprintf("%q contradicts the listener's use_original_dst, which is %q", filter.Type, said.Mode),
				Remedy:  "say the same in both, or leave one out",
			})
		case cfg.Mode == Off:
			warnings = append(warnings, decode.Problem{Path: first, Message: "has no effect: use_original_dst is false", Remedy: `say "redirect" or "tproxy" there, or remove the filter`})
		}
	}

	if cfg.Mode != Off {
		network := l.Network
		if strings.HasPrefix(l.Address, "unix:") {
			network = "unix"
		}
		switch {
		case network != "" && network != "tcp":
			errs = append(errs, decode.Problem{
				Path:    decode.Join(path, "use_original_dst"),
				Message: fmt.Sprintf("%q is for tcp, and this listener's network is %q", cfg.Mode, network),
				Remedy:  "remove it, or listen on tcp",
			})
		case !l.BindPort:
			warnings = append(warnings, decode.Problem{
				Path:    decode.Join(path, "use_original_dst"),
				Message: "has no effect: with bind_port false nothing arrives here from a firewall rule",
				Remedy:  "say it at the listener that the rule leads to",
			})
		}
	}
	if len(errs) > 0 {
		return Config{}, warnings, errs
	}
	return cfg, warnings, nil
}

// Prepare makes lc open sockets that captured connections can arrive at:
// transparent ones for TProxy, and without Multipath TCP, because the kernel
// does not tell the original destination of such a connection. A Control that
// lc has already runs first. It changes nothing when the mode is Off.
func (c Config) Prepare(lc *net.ListenConfig) {
	if c.Mode == Off {
		return
	}
	lc.SetMultipathTCP(false)
	lc.Control = chain(lc.Control, c.control)
}

// Destination returns where nc wanted to go, by Redirected or Transparent. nc
// is one that came in by a listener's socket.
func (c Config) Destination(nc net.Conn) (netip.AddrPort, error) {
	switch c.Mode {
	case Redirect:
		return Redirected(nc)
	case TProxy:
		return Transparent(nc)
	default:
		return netip.AddrPort{}, fmt.Errorf("connections are not captured here: use_original_dst is %q", c.Mode)
	}
}
