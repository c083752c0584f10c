package transcoder

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/filter/transcoder/hessian"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// What SOFA calls the serialisation that is JSON, and the field of an answer that
// is an exception.
const (
	codecJSON = "12"
	sofaError = "sofa_head_response_error"
)

// HTTPToBolt are the options of http2bolt.
type HTTPToBolt struct {
	Path    string `json:"path" default:"/{service}/{method}" doc:"Path of a call. Parts in braces are its service and method."`
	Service string `json:"service" doc:"Service, if the path has none. Else the header field service or sofa_head_target_service says it."`
	Method  string `json:"method" doc:"Method, if the path has none. Else the header field sofa_head_method_name or method says it."`
	Class   string `json:"class" default:"com.alipay.sofa.rpc.core.request.SofaRequest" doc:"Class name in the frames."`
	OneWay  bool   `json:"one_way" doc:"Calls get no answer from the host; the caller gets status 202."`
}

type httpToBolt struct {
	opts HTTPToBolt
	to   target
}

func newHTTPToBolt(options any, path string) (Conversion, error) {
	var o HTTPToBolt
	if err := into(&o, options, path); err != nil {
		return nil, err
	}
	to, err := newTarget(o.Path, o.Service, o.Method, path)
	return &httpToBolt{o, to}, err
}

// Request implements Conversion.
func (c *httpToBolt) Request(out *stream.Request, body []byte, _ int) ([]byte, error) {
	if err := expectPOST(out); err != nil {
		return nil, err
	}
	service, method, err := c.to.find(out, []string{serviceField, sofaService}, []string{sofaMethod, methodField})
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		body = []byte("[]") // no arguments
	} else if err := hessian.Check(body); err != nil {
		return nil, refuse(400, "the body is %v", err)
	}
	notWeb(out, method)
	out.OneWay = c.opts.OneWay
	h := &out.Header
	dropWeb(h)
	put(h, serviceField, service)
	put(h, sofaService, service)
	put(h, sofaMethod, method)
	put(h, bolt.CodecField, codecJSON)
	put(h, bolt.ClassField, c.opts.Class)
	return body, nil
}

// put sets a field whose name must be written that way.
func put(h *stream.Header, name, value string) {
	h.Del(name)
	h.Add(name, value)
}

// Response implements Conversion.
func (c *httpToBolt) Response(_ *stream.Request, in *stream.Response, body []byte, out *stream.Response, _ int) ([]byte, error) {
	copySayable(&out.Header, &in.Header, nil)
	put(&out.Header, "Content-Type", "application/json")
	out.Status = in.Status
	switch {
	case in.Status < 400 && strings.EqualFold(in.Header.Get(sofaError), "true"):
		out.Status = 500
		return problem(boltText(in, body), rpcStatus(in), ""), nil
	case in.Status >= 400:
		return problem(boltText(in, body), rpcStatus(in), ""), nil
	case len(body) == 0:
		return []byte("null"), nil
	}
	if err := hessian.Check(body); err != nil {
		return nil, refuse(502, "the answer is %v", err)
	}
	return body, nil
}

// Refuse implements Conversion.
func (c *httpToBolt) Refuse(r *Refusal) *stream.Response { return toHTTP(r) }

// boltText returns what an answer says of a failure.
func boltText(in *stream.Response, body []byte) string {
	var s string
	switch {
	case json.Unmarshal(body, &s) == nil && s != "":
		return s
	case readable(body):
		return string(body)
	}
	code, err := strconv.Atoi(rpcStatus(in))
	if err != nil {
		return http.StatusText(in.Status)
	}
	words := http.StatusText(in.Status)
	switch code {
	case bolt.ServerException:
		words = "server exception"
	case bolt.ServerBusy:
		words = "server busy"
	case bolt.NoProcessor:
		words = "nobody serves it"
	case bolt.Timeout:
		words = "timeout"
	case bolt.CodecException, bolt.SerializeException, bolt.DeserializeException:
		words = "the call cannot be read"
	case bolt.ConnectionClosed, bolt.CommunicationError, bolt.ClientSendError:
		words = "the connection to the service broke"
	}
	return fmt.Sprintf("bolt status %d: %s", code, words)
}

// readable reports whether a body is text that can be shown to somebody.
func readable(body []byte) bool {
	if len(body) == 0 || len(body) > 64<<10 || !utf8.Valid(body) {
		return false
	}
	for _, c := range body {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return true
}

// BoltToHTTP are the options of bolt2http.
type BoltToHTTP struct {
	Path  string `json:"path" default:"/{service}/{method}" doc:"Path of a call. Parts in braces are its service and method."`
	Class string `json:"class" default:"com.alipay.sofa.rpc.core.response.SofaResponse" doc:"Class name in the frames of answers."`
}

type boltToHTTP struct {
	opts BoltToHTTP
	to   target
}

func newBoltToHTTP(options any, path string) (Conversion, error) {
	var o BoltToHTTP
	if err := into(&o, options, path); err != nil {
		return nil, err
	}
	to, err := newTarget(o.Path, "", "", path)
	return &boltToHTTP{o, to}, err
}

// boltCall returns what a call over Bolt calls.
func boltCall(req *stream.Request) (service, method string) {
	if service = req.Header.Get(serviceField); service == "" {
		service = req.Header.Get(sofaService)
	}
	return service, req.Method
}

// Request implements Conversion.
func (c *boltToHTTP) Request(out *stream.Request, body []byte, _ int) ([]byte, error) {
	service, method := boltCall(out)
	if service == "" && c.to.has(servicePlace) || method == "" && c.to.has(methodPlace) {
		return nil, refuse(400, "it is not said what to call: the fields %s and %s are needed", serviceField, sofaMethod)
	}
	if len(body) > 0 {
		if err := hessian.Check(body); err != nil {
			return nil, refuse(400, "the body is %v: calls must be serialised as JSON to be converted", err)
		}
	}
	callOverHTTP(out, &c.to, service, method)
	out.Header.Add("Accept", "application/json")
	if len(body) > 0 {
		out.Header.Add("Content-Type", "application/json")
	}
	return body, nil
}

// Response implements Conversion.
func (c *boltToHTTP) Response(_ *stream.Request, in *stream.Response, body []byte, out *stream.Response, _ int) ([]byte, error) {
	copyWeb(&out.Header, &in.Header)
	out.Header.Add(bolt.ClassField, c.opts.Class)
	out.Status = in.Status
	switch {
	case in.Status >= 400:
		return body, nil
	case in.Status >= 300:
		return nil, elsewhere(in)
	}
	return webValue(in, body)
}

// Refuse implements Conversion. Bolt tells of it by a status.
func (c *boltToHTTP) Refuse(*Refusal) *stream.Response { return nil }

// elsewhere refuses an answer that is to be had somewhere else.
func elsewhere(in *stream.Response) error {
	return refuse(502, "the service has answered with status %d, which is no answer to a call", in.Status)
}

// webValue returns the value that an answer over HTTP is, in JSON.
func webValue(in *stream.Response, body []byte) ([]byte, error) {
	if len(body) == 0 {
		return []byte("null"), nil
	}
	err := hessian.Check(body)
	switch {
	case err == nil:
		return body, nil
	case strings.Contains(strings.ToLower(in.Header.Get("Content-Type")), "json"):
		return nil, refuse(502, "the answer is %v", err)
	case !utf8.Valid(body):
		return nil, refuse(502, "the answer is neither JSON nor text")
	}
	return hessian.Text(nil, string(body)), nil
}

// noOptions refuses all options.
func noOptions(options any, path string) error {
	var none struct{}
	if err := into(&none, options, path); err != nil {
		return append(decode.AsProblems(err, path), decode.Problem{Path: path, Message: "this converter has no options", Remedy: "leave them out"})
	}
	return nil
}

type httpToBoltSimple struct{ to target }

func newHTTPToBoltSimple(options any, path string) (Conversion, error) {
	to, _ := newTarget(defaultPath, "", "", path)
	return &httpToBoltSimple{to}, noOptions(options, path)
}

// Request implements Conversion.
func (c *httpToBoltSimple) Request(out *stream.Request, body []byte, _ int) ([]byte, error) {
	h := &out.Header
	dropWeb(h)
	method := h.Get(sofaMethod)
	if service, m, err := c.to.find(out, []string{serviceField, sofaService}, []string{sofaMethod}); err == nil && method == "" && h.Get(serviceField) == "" {
		method = m
		h.Add(serviceField, service)
		h.Add(sofaMethod, method)
	}
	notWeb(out, method)
	return body, nil
}

// Response implements Conversion.
func (c *httpToBoltSimple) Response(_ *stream.Request, in *stream.Response, body []byte, out *stream.Response, _ int) ([]byte, error) {
	copySayable(&out.Header, &in.Header, nil)
	out.Status = in.Status
	return body, nil
}

// Refuse implements Conversion.
func (c *httpToBoltSimple) Refuse(r *Refusal) *stream.Response { return toHTTP(r) }

type boltToHTTPSimple struct{ to target }

func newBoltToHTTPSimple(options any, path string) (Conversion, error) {
	to, _ := newTarget(defaultPath, "", "", path)
	return &boltToHTTPSimple{to}, noOptions(options, path)
}

// Request implements Conversion.
func (c *boltToHTTPSimple) Request(out *stream.Request, body []byte, _ int) ([]byte, error) {
	service, method := boltCall(out)
	callOverHTTP(out, &c.to, service, method)
	if service == "" || method == "" {
		out.Path = "/" + segment(service+method)
	}
	return body, nil
}

// Response implements Conversion.
func (c *boltToHTTPSimple) Response(_ *stream.Request, in *stream.Response, body []byte, out *stream.Response, _ int) ([]byte, error) {
	copyWeb(&out.Header, &in.Header)
	out.Status = in.Status
	return body, nil
}

// Refuse implements Conversion. Bolt tells of it by a status.
func (c *boltToHTTPSimple) Refuse(*Refusal) *stream.Response { return nil }
