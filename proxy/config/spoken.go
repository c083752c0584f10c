package config

import (
	"fmt"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Names that stand for several protocols.
const (
	// Auto stands for all that are known.
	Auto = "Auto"
	// X is MOSN's name for RPC protocols: for those that extend_config names
	// under SubProtocol, or else for all.
	X           = "X"
	SubProtocol = "sub_protocol"
)

// Spoken is a protocol's name, and the key of a proxy filter that says it.
type Spoken struct{ Name, Key string }

// Downstream returns the protocols that callers may speak, with what X stands
// for in its place; rpc are all that it can stand for. Auto is not replaced.
func (p *Proxy) Downstream(rpc []string) (list []Spoken, err error) {
	for name := range strings.SplitSeq(p.DownstreamProtocol, ",") {
		if name = strings.TrimSpace(name); !strings.EqualFold(name, X) {
			list = append(list, Spoken{name, "downstream_protocol"})
			continue
		}
		subs, err := p.subProtocols()
		if err != nil {
			return nil, err
		}
		if len(subs) > 0 {
			list = append(list, subs...)
			continue
		}
		all := rpc
		if len(all) == 0 {
			all = []string{name} // nobody knows it
		}
		for _, name := range all {
			list = append(list, Spoken{name, "downstream_protocol"})
		}
	}
	return list, nil
}

// Upstream returns the protocol to speak with hosts; one without a name is the
// caller's own.
func (p *Proxy) Upstream() (Spoken, error) {
	const key = "upstream_protocol"
	switch {
	case p.UpstreamProtocol == "", strings.EqualFold(p.UpstreamProtocol, Auto):
		return Spoken{Key: key}, nil
	case !strings.EqualFold(p.UpstreamProtocol, X):
		return Spoken{p.UpstreamProtocol, key}, nil
	}
	subs, err := p.subProtocols()
	if err == nil && len(subs) == 1 {
		return subs[0], nil
	}
	if err == nil && !p.onlyX() {
		err = fmt.Errorf("it is not clear which protocol X is for callers that speak %s", p.DownstreamProtocol)
	}
	return Spoken{Key: key}, err
}

// onlyX reports whether all protocols that callers may speak are X.
func (p *Proxy) onlyX() bool { return strings.EqualFold(strings.TrimSpace(p.DownstreamProtocol), X) }

// subProtocols returns what X stands for; nothing if that is not said.
func (p *Proxy) subProtocols() (list []Spoken, err error) {
	const key = "extend_config." + SubProtocol
	value, ok := p.ExtendConfig[SubProtocol]
	if !ok {
		return nil, nil
	}
	text, ok := value.(string)
	if !ok {
		return nil, fmt.Errorf("%s is no text", key)
	}
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" && !strings.EqualFold(name, Auto) {
			list = append(list, Spoken{name, key})
		}
	}
	return list, nil
}

// protocols checks what a proxy filter at path speaks on both sides.
func (v *validator) protocols(path string, p *Proxy) {
	at := decode.Join(path, "downstream_protocol")
	if p.DownstreamProtocol == "" {
		v.fail(at, "name it: Http1; or Auto for all that are known", "the protocol that callers speak is missing")
		return
	}
	list, err := p.Downstream(v.known.RPC)
	if err != nil {
		v.fail(path, subProtocolRemedy, "%v", err)
		return
	}
	hasX := strings.EqualFold(p.UpstreamProtocol, X)
	for name := range strings.SplitSeq(p.DownstreamProtocol, ",") {
		hasX = hasX || strings.EqualFold(strings.TrimSpace(name), X)
	}
	for _, spoken := range list {
		v.spoken(path, spoken, len(list) == 1)
	}
	if _, has := p.ExtendConfig[SubProtocol]; has && !hasX {
		v.warn(decode.Join(path, "extend_config")+"."+SubProtocol, "leave it out", "has no effect: it says what the protocol X stands for, and X is not spoken here")
	}
	at = decode.Join(path, "upstream_protocol")
	if strings.Contains(p.UpstreamProtocol, ",") {
		v.fail(at, "name one, or write Auto for the one the request came by", "one protocol is spoken with the hosts, %q is several", p.UpstreamProtocol)
		return
	}
	up, err := p.Upstream()
	switch {
	case err != nil:
		v.fail(at, "write the protocol itself: bolt", "%v", err)
	case up.Name != "" && !strings.EqualFold(p.UpstreamProtocol, p.DownstreamProtocol):
		v.spoken(path, up, false)
	}
}

const subProtocolRemedy = `write the names with commas in between: sub_protocol: "bolt,boltv2"`

// spoken checks the name of a protocol of a proxy filter at path, which may be
// Auto if it is alone.
func (v *validator) spoken(path string, s Spoken, alone bool) {
	at := path + "." + s.Key
	if strings.EqualFold(s.Name, Auto) {
		if !alone {
			v.fail(at, "write it alone", "%s stands for all protocols, and cannot be one of several", s.Name)
		}
		return
	}
	if s.Key == "downstream_protocol" && alone || s.Key == "upstream_protocol" {
		v.protocol(at, s.Name, Auto)
		return
	}
	v.protocol(at, s.Name)
}

// protocol checks the name of a protocol, which may be one of others, too.
func (v *validator) protocol(at, name string, others ...string) {
	for alias := range v.known.ProtocolAliases {
		if strings.EqualFold(alias, name) {
			return
		}
	}
	known := v.known.Protocols
	if known != nil && strings.EqualFold(name, X) {
		v.fail(at, "write the protocol itself; known: "+strings.Join(v.known.RPC, ", "), "%s stands for several protocols, and here is one to be named", name)
		return
	}
	if known != nil {
		known = append(append([]string(nil), known...), others...)
	}
	v.name(at, "protocol", name, known, unbuiltProtocols, true)
}
