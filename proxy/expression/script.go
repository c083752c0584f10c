package expression

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/variable"
)

// Script is an expression that is evaluated for what it does: besides what
// conditions have, it can change the request or the response by the functions
// of ctx. It does not change and is safe for concurrent use.
//
//	request.host == "old" ? ctx.rewrite_request_url("/new") : ctx.add_request_header("x-seen", "1")
//
// In a script for requests, ctx has rewrite_request_url(path with query),
// add_request_header(name, value), which replaces a field that is there, and
// del_request_header(name). In one for responses it has add_response_header and
// del_response_header, and there are response.code (int), response.size (int,
// -1 if it is not known) and response.headers. Each function returns true, so
// that several can be joined by &&, and may be called as f(ctx, …) too. Choose
// by a ? b : c and not by a && b: in CEL an error of a does not keep b from
// being evaluated.
//
// What is written into a request or a response is checked: control characters
// in values are escaped, a name that cannot stand in a message and a path
// without "/" at its start are errors.
type Script struct {
	program  Program
	response bool
}

// CompileScript checks a script, which may be of any type, and makes a Script
// of it. response says that it is for responses. Errors are as those of Compile.
func CompileScript(text string, response bool) (*Script, error) {
	env := requestEnvironment
	if response {
		env = responseEnvironment
	}
	p, _, err := compile(env, text)
	if err != nil {
		return nil, err
	}
	return &Script{program: p, response: response}, nil
}

// String returns the script's text.
func (s *Script) String() string { return s.program.text }

// Run evaluates the script. resp is nil in one for requests. What was changed
// before an error stays changed.
func (s *Script) Run(req *stream.Request, resp *stream.Response) error {
	if s.response != (resp != nil) {
		return errors.New("expression: a script for responses needs one, others must have none")
	}
	_, err := s.program.eval(&scene{req, resp})
	return err
}

// scene is what a script plays with.
type scene struct {
	req  *stream.Request
	resp *stream.Response
}

// ResolveName implements cel.Activation.
func (s *scene) ResolveName(name string) (any, bool) {
	if name == "ctx" {
		return s, true
	}
	if s.resp != nil {
		if a, ok := responseAttributes[name]; ok {
			return a.of(s.resp), true
		}
	}
	return (*activation)(s.req).ResolveName(name)
}

// Parent implements cel.Activation.
func (s *scene) Parent() cel.Activation { return nil }

// sceneType is the type of ctx.
var sceneType = types.NewOpaqueType("ctx")

// ConvertToNative implements ref.Val.
func (s *scene) ConvertToNative(to reflect.Type) (any, error) {
	return nil, fmt.Errorf("ctx cannot be converted to %v", to)
}

// ConvertToType implements ref.Val.
func (s *scene) ConvertToType(to ref.Type) ref.Val {
	return types.NewErr("ctx cannot be converted to %s", to.TypeName())
}

// Equal implements ref.Val.
func (s *scene) Equal(other ref.Val) ref.Val { return types.Bool(other == s) }

// Type implements ref.Val.
func (s *scene) Type() ref.Type { return sceneType }

// Value implements ref.Val.
func (s *scene) Value() any { return s }

// responseAttribute is something that a script can ask about a response.
type responseAttribute struct {
	kind *cel.Type
	of   func(*stream.Response) ref.Val
}

// responseAttributes are all there are, by name. It does not change.
var responseAttributes = map[string]responseAttribute{
	"response.code": {cel.IntType, func(r *stream.Response) ref.Val { return types.Int(r.Status) }},
	"response.size": {cel.IntType, func(r *stream.Response) ref.Val { return types.Int(r.ContentLength) }},
	"response.headers": {cel.MapType(cel.StringType, cel.StringType), func(r *stream.Response) ref.Val {
		return &lazyMap{mapKind: headerMap, req: &stream.Request{Header: r.Header}}
	}},
}

// requestEnvironment and responseEnvironment are what scripts are compiled in.
var (
	requestEnvironment = sync.OnceValues(func() (*cel.Env, error) {
		return extend(
			action("rewrite_request_url", 1, func(s *scene, args []string) error { return rewrite(s.req, args[0]) }),
			action("add_request_header", 2, func(s *scene, args []string) error { return setField(&s.req.Header, args[0], args[1]) }),
			action("del_request_header", 1, func(s *scene, args []string) error { return delField(&s.req.Header, args[0]) }))
	})
	responseEnvironment = sync.OnceValues(func() (*cel.Env, error) {
		options := []cel.EnvOption{
			action("add_response_header", 2, func(s *scene, args []string) error { return setField(&s.resp.Header, args[0], args[1]) }),
			action("del_response_header", 1, func(s *scene, args []string) error { return delField(&s.resp.Header, args[0]) }),
		}
		for name, a := range responseAttributes {
			options = append(options, cel.Variable(name, a.kind))
		}
		return extend(options...)
	})
)

func extend(options ...cel.EnvOption) (*cel.Env, error) {
	env, err := environment()
	if err != nil {
		return nil, err
	}
	return env.Extend(append(options, cel.Variable("ctx", sceneType))...)
}

// action declares a function of ctx with n texts as arguments.
func action(name string, n int, do func(s *scene, args []string) error) cel.EnvOption {
	kinds := []*cel.Type{sceneType}
	for range n {
		kinds = append(kinds, cel.StringType)
	}
	binding := cel.FunctionBinding(func(values ...ref.Val) ref.Val {
		s, ok := values[0].(*scene)
		if !ok {
			return types.MaybeNoSuchOverloadErr(values[0])
		}
		args := make([]string, 0, n)
		for _, v := range values[1:] {
			text, ok := v.(types.String)
			if !ok {
				return types.MaybeNoSuchOverloadErr(v)
			}
			args = append(args, string(text))
		}
		if err := do(s, args); err != nil {
			return types.WrapErr(fmt.Errorf("%s: %w", name, err))
		}
		return types.True
	})
	return cel.Function(name,
		cel.Overload(name+"_ctx", kinds, cel.BoolType, binding),
		cel.MemberOverload("ctx_"+name, kinds, cel.BoolType, binding))
}

func setField(h *stream.Header, name, value string) error {
	if err := fieldName(name); err != nil {
		return err
	}
	h.Set(name, variable.Printable(value))
	return nil
}

func delField(h *stream.Header, name string) error {
	if err := fieldName(name); err != nil {
		return err
	}
	h.Del(name)
	return nil
}

// framing are the fields that the protocol's own server and client take care of.
var framing = []string{"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "proxy-connection"}

// fieldName checks a name that a script gave.
func fieldName(name string) error {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return fmt.Errorf("%q is no name of a header field", name)
		}
	}
	if name == "" {
		return errors.New("the name of the header field is empty")
	}
	for _, f := range framing {
		if stream.EqualName(name, f) {
			return fmt.Errorf("the header field %s cannot be changed", f)
		}
	}
	return nil
}

// rewrite gives a request another path, and another query if url has one.
func rewrite(req *stream.Request, url string) error {
	path, query, has := strings.Cut(url, "?")
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("%q does not begin with a /", path)
	}
	if req.Info.Path == "" {
		req.Info.Path = req.Path
	}
	req.Path = variable.EscapeURL(path)
	if has {
		req.Query, req.HasQuery = variable.EscapeURL(query), true
	}
	return nil
}
