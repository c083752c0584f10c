package router

import (
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// changes are made to the header of a request or response, in their order.
type changes []change

// change sets, appends to or removes one header field.
type change struct {
	kind changeKind
	name string
	// text is the new value, made for each request if it holds variables.
	text    *variable.Template
	depends bool
}

type changeKind uint8

const (
	removeField changeKind = iota
	setField
	appendField
	// setHost replaces what the caller asked for as host, which is no header field here.
	setHost
)

// apply makes the changes to h, a header of the exchange of req. A value that
// is empty because its variables have none changes nothing.
func (cs changes) apply(h *stream.Header, req *stream.Request) {
	for i := range cs {
		c := &cs[i]
		if c.kind == removeField {
			h.Del(c.name)
			continue
		}
		value := strings.Trim(c.text.Value(req), " \t")
		if value == "" && c.depends {
			continue
		}
		switch c.kind {
		case setField:
			h.Set(c.name, value)
		case appendField:
			appendTo(h, c.name, value)
		case setHost:
			if validHost(value) {
				req.Authority = value
			}
		}
	}
}

// appendTo appends to the value of a field, or adds it where there is none.
func appendTo(h *stream.Header, name, value string) {
	had, old := 0, ""
	for i := range h.Len() {
		if f := h.At(i); stream.EqualName(f.Name, name) {
			had++
			old = f.Value
		}
	}
	separator := ","
	switch {
	case stream.EqualName(name, "cookie"):
		separator = "; "
	case had > 1, stream.EqualName(name, "set-cookie"): // a value of its own
		h.Add(name, value)
		return
	}
	if old != "" {
		value = old + separator + value
	}
	h.Set(name, value)
}

// headerSide is whose header is changed.
type headerSide struct {
	add, remove string // the keys of the configuration
	answer      bool
}

var (
	requestSide  = headerSide{add: "request_headers_to_add", remove: "request_headers_to_remove"}
	responseSide = headerSide{add: "response_headers_to_add", remove: "response_headers_to_remove", answer: true}
)

// framing are the fields that the protocol clients and servers write
// themselves, because they belong to one connection or say where a message ends.
var framing = []string{
	"content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade",
}

// changes compiles the changes that stand at path, first those that add, then
// those that remove.
func (c *compiler) changes(cfg *config.HeaderChanges, side headerSide, path string) changes {
	add, remove := cfg.RequestHeadersToAdd, cfg.RequestHeadersToRemove
	if side.answer {
		add, remove = cfg.ResponseHeadersToAdd, cfg.ResponseHeadersToRemove
	}
	var out changes
	for i, a := range add {
		at := decode.At(decode.Join(path, side.add), i) + ".header"
		ch := change{kind: appendField, name: a.Header.Key}
		if a.Append != nil && !*a.Append {
			ch.kind = setField
		}
		if !side.answer && isHostName(ch.name) {
			ch.kind = setHost
		} else if !c.fieldName(ch.name, at+".key") {
			continue
		}
		var err error
		if ch.text, err = variable.ParseTemplate(a.Header.Value); err != nil {
			c.fail(at+".value", "", "%v", err)
			continue
		}
		names := ch.text.Names()
		ch.depends = len(names) > 0
		if ch.kind == setHost && !ch.depends && (a.Header.Value == "" || !validHost(a.Header.Value)) {
			c.fail(at+".value", "write the host only, with :port if need be", "%q is no host", a.Header.Value)
		}
		for _, name := range names {
			if k := variable.Known(name); k == variable.OfRecord || k == variable.OfHost && !side.answer {
				c.warn(at+".value", "leave it out", "the variable %q is %v and has no value here", name, k)
			}
		}
		out = append(out, ch)
	}
	for i, name := range remove {
		at := decode.At(decode.Join(path, side.remove), i)
		if !side.answer && isHostName(name) {
			c.fail(at, "replace it with host_rewrite", "a request cannot do without a host")
			continue
		}
		if !c.fieldName(name, at) {
			continue
		}
		if slices.ContainsFunc(out, func(ch change) bool { return stream.EqualName(ch.name, name) }) {
			c.warn(at, "keep one of them", "%q is added at the same place; it ends up removed", name)
		}
		out = append(out, change{kind: removeField, name: name})
	}
	return out
}

// fieldName reports whether a field of that name may be changed, or says why not.
func (c *compiler) fieldName(name, path string) bool {
	switch {
	case !isToken(name):
		c.fail(path, `a name has letters, digits, "-" and "_"`, "%q is no name of a header field", name)
	case slices.Contains(framing, lower(name)):
		c.fail(path, "leave it out", "the field %q is written by the core itself", name)
	default:
		return true
	}
	return false
}

func isHostName(name string) bool {
	return stream.EqualName(name, "host") || name == ":authority"
}
