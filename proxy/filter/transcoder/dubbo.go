package transcoder

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/filter/transcoder/hessian"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

const (
	dubboVersion = "2.0.2" // of the protocol
	versionField = "version"
	groupField   = "group"
	typesField   = "parameter-types"
	genericCall  = "$invoke"
)

// What an answer of a Dubbo service begins with.
const (
	answerException = 0
	answerValue     = 1
	answerNull      = 2
	withAttachments = 3 // is added to the others
)

// HTTPToDubbo are the options of http2dubbo.
type HTTPToDubbo struct {
	Path    string              `json:"path" default:"/{service}/{method}" doc:"Path of a call. Parts in braces are its service and method."`
	Service string              `json:"service" doc:"Service, if the path has none. Else the header field service says it."`
	Method  string              `json:"method" doc:"Method, if the path has none. Else the header field method says it."`
	Version string              `json:"version" doc:"Version of the service, for callers that do not say it with the header field version."`
	Group   string              `json:"group" doc:"Group of the service, for callers that do not say it with the header field group."`
	Types   map[string][]string `json:"parameter_types" doc:"Java types of the parameters, by service/method, or method for all services. They count more than what callers say."`
	Trust   bool                `json:"types_from_callers" default:"true" doc:"Callers may say the types with the header field parameter-types: int,java.lang.String. Without any, they are taken from the arguments: int, long, double, boolean, java.lang.String, java.util.List, java.util.Map."`
	Generic bool                `json:"generic" doc:"Call by $invoke, so that the service itself finds method and classes: for overloaded methods it needs the types, for others none."`
	OneWay  bool                `json:"one_way" doc:"Calls get no answer from the host; the caller gets status 202."`
}

type httpToDubbo struct {
	opts  HTTPToDubbo
	to    target
	types map[string][]hessian.Type
}

func newHTTPToDubbo(options any, path string) (Conversion, error) {
	var o HTTPToDubbo
	if err := into(&o, options, path); err != nil {
		return nil, err
	}
	to, err := newTarget(o.Path, o.Service, o.Method, path)
	problems := decode.AsProblems(err, path)
	c := &httpToDubbo{opts: o, to: to, types: make(map[string][]hessian.Type)}
	for of, names := range o.Types {
		types, err := parseTypes(names)
		if err != nil {
			problems = append(problems, decode.Problem{
				Path: decode.Join(decode.Join(path, "parameter_types"), of), Message: err.Error(), Remedy: "write int, java.lang.String, long[], com.shop.Order",
			})
		}
		c.types[of] = types
	}
	return c, problems.Err()
}

func parseTypes(names []string) ([]hessian.Type, error) {
	types := make([]hessian.Type, 0, len(names))
	for _, name := range names {
		t, err := hessian.ParseType(name)
		if err != nil {
			return nil, err
		}
		types = append(types, t)
	}
	return types, nil
}

// typesOf returns the types of a call's parameters; known is false if nobody has
// said them.
func (c *httpToDubbo) typesOf(req *stream.Request, service, method string) (types []hessian.Type, known bool, err error) {
	if types, known = c.types[service+"/"+method]; known {
		return types, true, nil
	}
	if types, known = c.types[method]; known {
		return types, true, nil
	}
	said, known := req.Header.Lookup(typesField)
	switch {
	case !known || !c.opts.Trust:
		return nil, false, nil
	case strings.TrimSpace(said) == "":
		return nil, true, nil
	}
	if types, err = parseTypes(strings.Split(said, ",")); err != nil {
		return nil, false, refuse(400, "the header field %s: %v", typesField, err)
	}
	return types, true, nil
}

// arguments returns those that a body holds.
func arguments(body []byte) ([]json.RawMessage, error) {
	if len(body) == 0 {
		return nil, nil
	}
	if err := hessian.Check(body); err != nil {
		return nil, refuse(400, "the body is %v", err)
	}
	if list, ok := hessian.Elements(body); ok {
		return list, nil
	}
	return []json.RawMessage{body}, nil
}

// Request implements Conversion.
func (c *httpToDubbo) Request(out *stream.Request, body []byte, _ int) ([]byte, error) {
	if err := expectPOST(out); err != nil {
		return nil, err
	}
	service, method, err := c.to.find(out, []string{serviceField}, []string{methodField})
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(method, "$") {
		// $invoke and its like let a caller choose how a service reads values,
		// among them ways to run whatever is in them.
		return nil, refuse(400, "the method %s is not for callers by HTTP", shown(method))
	}
	args, err := arguments(body)
	if err != nil {
		return nil, err
	}
	types, known, err := c.typesOf(out, service, method)
	if err != nil {
		return nil, err
	}
	if known && len(types) != len(args) {
		return nil, refuse(400, "the method has %d parameters, the body %d arguments; they are the elements of a list", len(types), len(args))
	}
	version, group := or(out.Header.Get(versionField), c.opts.Version), or(out.Header.Get(groupField), c.opts.Group)

	w := hessian.NewWriter()
	w.String(dubboVersion)
	w.String(service)
	orNull(w, version)
	if c.opts.Generic {
		err = genericBody(w, method, args, types, known)
		method = genericCall
	} else {
		err = plainBody(w, method, args, types, known)
	}
	if err != nil {
		return nil, err
	}
	h := &out.Header
	w.Raw('H')
	attach := func(key, value string) {
		if value != "" {
			w.String(key)
			w.String(value)
		}
	}
	attach("path", service)
	attach("interface", service)
	attach(versionField, version)
	if c.opts.Generic {
		attach("generic", "true")
	}
	w.Raw('Z')

	notWeb(out, method)
	out.OneWay = c.opts.OneWay
	dropWeb(h)
	h.DelFunc(func(f stream.Field) bool { return reserved(f.Name) })
	put(h, serviceField, service)
	put(h, methodField, method)
	if version != "" {
		h.Add(versionField, version)
	}
	if group != "" {
		h.Add(groupField, group)
	}
	return w.Bytes(), nil
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func orNull(w *hessian.Writer, s string) {
	if s == "" {
		w.Null()
	} else {
		w.String(s)
	}
}

// reserved reports whether callers by HTTP may not have an attachment of that name:
// it is said otherwise, or would change how a service reads the call.
func reserved(name string) bool {
	for _, n := range [...]string{
		"dubbo", serviceField, methodField, versionField, groupField, typesField, "path", "interface", "generic", "timeout",
		"input", "output", "return", "async", "serialization", dubbo.SerializationField,
	} {
		if stream.EqualName(name, n) {
			return true
		}
	}
	return false
}

// plainBody writes method, types and arguments.
func plainBody(w *hessian.Writer, method string, args []json.RawMessage, types []hessian.Type, known bool) error {
	w.String(method)
	if !known {
		for _, a := range args {
			types = append(types, hessian.Infer(a))
		}
	}
	var descriptor strings.Builder
	for _, t := range types {
		descriptor.WriteString(t.Descriptor())
	}
	w.String(descriptor.String())
	for i, a := range args {
		if err := w.JSON(a, types[i]); err != nil {
			return refuse(400, "argument %d: %v", i+1, err)
		}
	}
	return nil
}

// genericBody writes a call of $invoke: method, types or null, arguments.
func genericBody(w *hessian.Writer, method string, args []json.RawMessage, types []hessian.Type, known bool) error {
	w.String(genericCall)
	w.String("Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;")
	w.String(method)
	if known {
		w.Raw('V')
		w.String("[string")
		w.Int(int32(len(types)))
		for _, t := range types {
			w.String(t.String())
		}
	} else {
		w.Null()
	}
	w.Raw('V')
	w.String("[object")
	w.Int(int32(len(args)))
	for i, a := range args {
		if err := w.JSON(a, hessian.Type{}); err != nil {
			return refuse(400, "argument %d: %v", i+1, err)
		}
	}
	return nil
}

// Response implements Conversion.
func (c *httpToDubbo) Response(_ *stream.Request, in *stream.Response, body []byte, out *stream.Response, limit int) ([]byte, error) {
	out.Status = in.Status
	if status := rpcStatus(in); status != "" {
		out.Header.Add(frame.StatusField, status)
	}
	out.Header.Add("Content-Type", "application/json")
	if n, other := in.Header.Lookup(dubbo.SerializationField); other {
		return nil, refuse(502, "the answer is in serialisation %.3s, not in Hessian 2", n)
	}
	r := hessian.NewReader(body, limit)
	if in.Status >= 400 || rpcStatus(in) != strconv.Itoa(dubbo.StatusOK) {
		text, ok, err := r.String()
		if err != nil || !ok || text == "" {
			text = http.StatusText(in.Status)
		}
		// What follows is where in a program it happened, which is not for callers.
		text, _, _ = strings.Cut(text, "\n")
		out.Status = max(in.Status, 400)
		return problem(text, rpcStatus(in), ""), nil
	}
	value, exception, err := dubboValue(r)
	if err != nil {
		return nil, refuse(502, "the answer: %v", err)
	}
	// Attachments follow, of which nothing is expected.
	_ = r.Strings(func(key, value string) {
		if f := (stream.Field{Name: key, Value: value}); sayable(f) && !ofMessage(key) && !ofFrame(key) && !reserved(key) {
			out.Header.Add(key, value)
		}
	})
	if exception != "" {
		out.Status = 500
		text, class := thrown(value, exception)
		return problem(text, rpcStatus(in), class), nil
	}
	return value, nil
}

// dubboValue reads the value that an answer holds, or what was thrown and its
// class.
func dubboValue(r *hessian.Reader) (value []byte, exception string, err error) {
	kind, err := r.Int()
	if err != nil {
		return nil, "", err
	}
	switch kind % withAttachments {
	case answerNull:
		return []byte("null"), "", nil
	case answerValue:
		value, err = r.Value()
		return value, "", err
	case answerException:
		r.Loose = true
		if value, err = r.Value(); err == nil {
			exception = or(r.Class(), "exception")
		}
		return value, exception, err
	}
	return nil, "", fmt.Errorf("a kind of answer that is not known: %d", kind)
}

// thrown returns what an exception of a class says, and that of the exception
// that it stands for. Where in a program it was thrown is left out.
func thrown(value []byte, class string) (text, of string) {
	var e struct {
		Detail  string `json:"detailMessage"`
		Message string `json:"message"`
		// Of what $invoke makes of exceptions.
		Original string `json:"exceptionMessage"`
		Class    string `json:"exceptionClass"`
	}
	if json.Unmarshal(value, &text) != nil {
		_ = json.Unmarshal(value, &e) // what is no object says nothing
		text = or(or(e.Original, e.Detail), e.Message)
	}
	text, _, _ = strings.Cut(text, "\n\tat ")
	return or(text, "the service has thrown an exception"), or(e.Class, class)
}

// Refuse implements Conversion.
func (c *httpToDubbo) Refuse(r *Refusal) *stream.Response { return toHTTP(r) }

// DubboToHTTP are the options of dubbo2http.
type DubboToHTTP struct {
	Path string `json:"path" default:"/{service}/{method}" doc:"Path of a call. Parts in braces are its service and method."`
}

type dubboToHTTP struct{ to target }

func newDubboToHTTP(options any, path string) (Conversion, error) {
	var o DubboToHTTP
	if err := into(&o, options, path); err != nil {
		return nil, err
	}
	to, err := newTarget(o.Path, "", "", path)
	return &dubboToHTTP{to}, err
}

// Request implements Conversion.
func (c *dubboToHTTP) Request(out *stream.Request, body []byte, limit int) ([]byte, error) {
	if n, other := out.Header.Lookup(dubbo.SerializationField); other {
		return nil, refuse(400, "the call is in serialisation %.3s; only Hessian 2 can be converted", n)
	}
	method, args, err := dubboCall(body, limit)
	if err != nil {
		return nil, refuse(400, "the call: %v", err)
	}
	if out.Method != "" && out.Method != genericCall {
		method = out.Method // a filter may have changed it
	}
	service := out.Header.Get(serviceField)
	callOverHTTP(out, &c.to, service, method)
	h := &out.Header
	h.Del("dubbo")
	if h.Get(methodField) == genericCall {
		put(h, methodField, method)
		h.Del("generic")
	}
	h.Add("Content-Type", "application/json")
	h.Add("Accept", "application/json")
	return args, nil
}

// dubboCall reads the method that a call calls, and its arguments as a list in
// JSON. Of a generic call, these are what is called by it.
func dubboCall(body []byte, limit int) (method string, args []byte, err error) {
	r := hessian.NewReader(body, limit)
	var head [5]string // version of the protocol, service, its version, method, types
	for i := range head {
		if head[i], _, err = r.String(); err != nil {
			return "", nil, err
		}
	}
	method = head[3]
	var list [][]byte
	for range parameters(head[4]) {
		value, err := r.Value()
		if err != nil {
			return "", nil, fmt.Errorf("argument %d: %w", len(list)+1, err)
		}
		list = append(list, value)
	}
	if method == genericCall && len(list) == 3 {
		if err := json.Unmarshal(list[0], &method); err != nil {
			return "", nil, fmt.Errorf("the method of a generic call: %w", err)
		}
		if len(list[2]) > 0 && list[2][0] == '[' {
			return method, list[2], nil
		}
		return method, []byte("[]"), nil
	}
	args = append([]byte{'['}, bytes.Join(list, []byte{','})...)
	return method, append(args, ']'), nil
}

// parameters counts the types in a list of descriptors.
func parameters(types string) int {
	n := 0
	for i := 0; i < len(types); i++ {
		if types[i] == '[' {
			continue
		}
		if types[i] == 'L' {
			end := strings.IndexByte(types[i:], ';')
			if end < 0 {
				return n + 1
			}
			i += end
		}
		n++
	}
	return n
}

// Response implements Conversion.
func (c *dubboToHTTP) Response(_ *stream.Request, in *stream.Response, body []byte, out *stream.Response, _ int) ([]byte, error) {
	out.Status = in.Status
	switch {
	case in.Status >= 400:
		if !utf8.Valid(body) {
			return nil, nil
		}
		return bytes.TrimSpace(body), nil
	case in.Status >= 300:
		return nil, elsewhere(in)
	}
	value, err := webValue(in, body)
	if err != nil {
		return nil, err
	}
	w := hessian.NewWriter()
	if string(bytes.TrimSpace(value)) == "null" {
		w.Int(answerNull)
	} else {
		w.Int(answerValue)
		if err := w.JSON(value, hessian.Type{}); err != nil {
			return nil, refuse(502, "the answer: %v", err)
		}
	}
	copyWeb(&out.Header, &in.Header)
	out.Header.DelFunc(func(f stream.Field) bool { return reserved(f.Name) })
	out.Header.Add(frame.StatusField, strconv.Itoa(dubbo.StatusOK))
	return w.Bytes(), nil
}

// Refuse implements Conversion.
func (c *dubboToHTTP) Refuse(r *Refusal) *stream.Response {
	b := []byte(r.Text)
	return &stream.Response{Status: r.Status, ContentLength: int64(len(b)), Body: &content{left: b}}
}
