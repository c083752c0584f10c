package expression

import (
	"net/netip"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// activation is a request as the evaluator sees it: names with values, which
// are made when they are asked for.
type activation stream.Request

// ResolveName implements cel.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	attr, ok := attributes[name]
	if !ok {
		return nil, false
	}
	return attr.get((*stream.Request)(a)), true
}

// Parent implements cel.Activation.
func (a *activation) Parent() cel.Activation { return nil }

// looping is an activation for expressions that may ask for the same attribute
// many times: it keeps the values, and its maps keep what was found, so that
// what a loop costs does not grow with the square of what the caller sent.
type looping struct {
	cel.Activation
	values map[string]any
}

// ResolveName implements cel.Activation.
func (l *looping) ResolveName(name string) (any, bool) {
	if v, ok := l.values[name]; ok {
		return v, true
	}
	v, ok := l.Activation.ResolveName(name)
	if !ok {
		return nil, false
	}
	if m, ok := v.(*lazyMap); ok {
		m.keep = true
	}
	l.values[name] = v
	return v, true
}

// attribute is something that an expression can ask about a request.
type attribute struct {
	kind *cel.Type
	get  func(*stream.Request) ref.Val
}

// attributes are all there are, by name. It does not change.
var attributes = map[string]attribute{
	"request.method":       text(func(r *stream.Request) string { return r.Method }),
	"request.scheme":       text(func(r *stream.Request) string { return r.Scheme }),
	"request.host":         text(func(r *stream.Request) string { return r.Authority }),
	"request.path":         text(path),
	"request.url_path":     text(urlPath),
	"request.query":        text(func(r *stream.Request) string { return r.Query }),
	"request.id":           text(func(r *stream.Request) string { return r.Info.ID }),
	"request.useragent":    text(func(r *stream.Request) string { return r.Header.Get("user-agent") }),
	"request.referer":      text(func(r *stream.Request) string { return r.Header.Get("referer") }),
	"request.headers":      textMap(headerMap),
	"request.query_params": textMap(queryMap),
	"request.time":         {cel.TimestampType, func(r *stream.Request) ref.Val { return types.Timestamp{Time: r.Info.Start} }},
	"request.size":         {cel.IntType, size},
	"source.address":       text(source),
	"source.ip":            ip(source),
	"source.port":          port(source),
	"destination.address":  text(destination),
	"destination.ip":       ip(destination),
	"destination.port":     port(destination),
	"protocol":             text(func(r *stream.Request) string { return r.Protocol }),
	"context.protocol":     text(mosnProtocol),
	"route.name":           text(func(r *stream.Request) string { return r.Info.Route }),
	"cluster.name":         text(func(r *stream.Request) string { return r.Info.Cluster }),
	"vars":                 textMap(variableMap),
	"variables":            textMap(variableMap),
}

func text(get func(*stream.Request) string) attribute {
	return attribute{cel.StringType, func(r *stream.Request) ref.Val { return types.String(get(r)) }}
}

func textMap(m *mapKind) attribute {
	return attribute{cel.MapType(cel.StringType, cel.StringType), func(r *stream.Request) ref.Val { return &lazyMap{mapKind: m, req: r} }}
}

func ip(get func(*stream.Request) string) attribute {
	return attribute{ext.IPType, func(r *stream.Request) ref.Val {
		host, _ := hostPort(get(r))
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return ext.IP{} // it equals no other, and no network contains it
		}
		return ext.IP{Addr: addr.Unmap().WithZone("")}
	}}
}

func port(get func(*stream.Request) string) attribute {
	return attribute{cel.IntType, func(r *stream.Request) ref.Val {
		_, port := hostPort(get(r))
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return types.Int(0)
		}
		return types.Int(n)
	}}
}

// hostPort divides an address; what is none (a path of a unix socket) has
// neither.
func hostPort(address string) (host, port string) {
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return "", ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(address[:i], "["), "]"), address[i+1:]
}

func source(r *stream.Request) string      { return r.Info.Downstream }
func destination(r *stream.Request) string { return r.Info.Host }
func path(r *stream.Request) string        { return variable.Unescape(r.Path, false) }

func urlPath(r *stream.Request) string {
	if !r.HasQuery {
		return path(r)
	}
	return path(r) + "?" + r.Query
}

func size(r *stream.Request) ref.Val {
	if r.Body == nil {
		return types.Int(0)
	}
	return types.Int(r.ContentLength)
}

func mosnProtocol(r *stream.Request) string {
	switch r.Protocol {
	case "Http1":
		return "http"
	case "Http2":
		return "h2"
	}
	return r.Protocol
}
