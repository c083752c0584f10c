package expression

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

const (
	// maxText is the most characters that an expression may have.
	maxText = 16 << 10
	// maxNodes is the most parts, after macros are written out.
	maxNodes = 10_000
	// maxCost is where an expression that loops is given up, in CEL's units: a
	// unit is about the work of one comparison, so it is some 10 ms.
	maxCost = 200_000
)

// Program is a compiled condition. It does not change and is safe for
// concurrent use.
type Program struct {
	text  string
	cel   cel.Program
	loops bool
}

// Compile checks an expression, which must be of type bool, and makes a Program
// of it. The error has one line per mistake, with line and column of its place
// in the text, and the names that exist where one is unknown.
func Compile(text string) (*Program, error) {
	p, kind, err := compile(environment, text)
	if err != nil {
		return nil, err
	}
	if !kind.IsExactType(types.BoolType) {
		return nil, fmt.Errorf("the expression is of type %s: it must be a condition, of type bool", kind)
	}
	return &p, nil
}

// compile makes a program and says of what type its value is.
func compile(environment func() (*cel.Env, error), text string) (p Program, kind *cel.Type, err error) {
	env, err := environment()
	if err != nil {
		return p, nil, fmt.Errorf("expressions cannot be compiled: %w", err)
	}
	if strings.TrimSpace(text) == "" {
		return p, nil, errors.New(`the expression is empty: write one, for example request.method == "GET"`)
	}
	if !utf8.ValidString(text) {
		return p, nil, errors.New("the expression is not valid UTF-8")
	}
	tree, issues := env.Compile(text)
	if issues.Err() != nil {
		return p, nil, explain(env, text, issues)
	}
	loops, err := inspect(tree.NativeRep())
	if err != nil {
		return p, nil, err
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if loops {
		// The rest needs no limit, and to keep one costs as much as to evaluate.
		options = append(options, cel.CostLimit(maxCost))
	}
	program, err := env.Program(tree, options...)
	if err != nil {
		return p, nil, fmt.Errorf("the expression cannot be compiled: %w", err)
	}
	return Program{text: text, cel: program, loops: loops}, tree.OutputType(), nil
}

// String returns the expression's text.
func (p *Program) String() string { return p.text }

// True evaluates the condition for a request, which it does not change. After
// an error, a key that a map does not have for example, it is false.
func (p *Program) True(req *stream.Request) (bool, error) {
	v, err := p.eval((*activation)(req))
	return v == types.True, err
}

// eval evaluates the expression.
func (p *Program) eval(input cel.Activation) (ref.Val, error) {
	if p.loops {
		input = &looping{input, make(map[string]any)}
	}
	v, _, err := p.cel.Eval(input)
	if err != nil {
		return nil, &evalError{p.text, err}
	}
	return v, nil
}

// evalError puts its text together only if somebody asks: a condition may fail
// for each request.
type evalError struct {
	text string
	err  error
}

func (e *evalError) Error() string { return fmt.Sprintf("expression %s: %v", shorten(e.text), e.err) }
func (e *evalError) Unwrap() error { return e.err }

// shorten quotes a text, cut off where it is long.
func shorten(text string) string {
	const most = 60
	if r := []rune(text); len(r) > most {
		return fmt.Sprintf("%q…", string(r[:most]))
	}
	return fmt.Sprintf("%q", text)
}

// environment is what conditions are compiled in: made once, as that takes
// milliseconds, and never changed.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.ParserExpressionSizeLimit(maxText),
		cel.ExpressionNodeLimit(maxNodes),
		cel.OptionalTypes(),
		ext.Strings(ext.StringsVersion(0)),
		ext.Network(),
		mosnMacros(),
	}
	options = append(options, declare(attributes)...)
	return cel.NewEnv(append(options, mosnFunctions()...)...)
})

func declare(list map[string]attribute) []cel.EnvOption {
	var options []cel.EnvOption
	for name, a := range list {
		options = append(options, cel.Variable(name, a.kind))
	}
	return options
}

// explain puts what the compiler has found into words.
func explain(env *cel.Env, text string, issues *cel.Issues) error {
	const most = 5 // of one mistake often follow others
	var lines []string
	for i, e := range issues.Errors() {
		if i == most {
			lines = append(lines, fmt.Sprintf("and %d more", len(issues.Errors())-most))
			break
		}
		line, column, message := e.Location.Line(), e.Location.Column(), strings.ReplaceAll(e.Message, " (in container '')", "")
		if rest, ok := strings.CutPrefix(message, "undeclared reference to '"); ok {
			name, _, _ := strings.Cut(rest, "'")
			column = start(text, line, column, name)
			full, function := nameAt(text, line, column)
			if function {
				function = full == name
				full = name // of a.b(x), a may be what is unknown
			}
			message = unknown(env, full, function)
		}
		lines = append(lines, fmt.Sprintf("line %d, column %d: %s", line, column+1, message))
	}
	return errors.New(strings.Join(lines, "\n"))
}

// unknown says what may have been meant by a name that the compiler does not know.
func unknown(env *cel.Env, name string, function bool) string {
	if function {
		// Of a.f(x) the compiler does not know which of a and f is unknown.
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			if env.HasFunction(name[i+1:]) {
				return unknown(env, name[:i], false)
			}
			name = name[i+1:]
		}
		if near := decode.Nearest(name, slices.Sorted(maps.Keys(env.Functions()))); near != "" {
			return fmt.Sprintf("unknown function %s (did you mean %s?)", name, near)
		}
		return fmt.Sprintf("unknown function %s", name)
	}
	known := names(env)
	remedy := "known: " + strings.Join(known, ", ")
	if near := decode.Nearest(name, known); near != "" {
		remedy = fmt.Sprintf("did you mean %s? %s", near, remedy)
	}
	return fmt.Sprintf("unknown name %s (%s)", name, remedy)
}

// names returns the names of all attributes, sorted.
func names(env *cel.Env) []string {
	var list []string
	for _, v := range env.Variables() {
		if _, ok := attributes[v.Name()]; ok || v.Name() == "ctx" || strings.HasPrefix(v.Name(), "response.") {
			list = append(list, v.Name())
		}
	}
	slices.Sort(list)
	return list
}

// start returns the column where a name begins that the compiler has found at
// line (from 1) and column (in characters, from 0): of a.b it gives that of the
// dot, of f(x) that of the bracket.
func start(text string, line, column int, name string) int {
	r := lineAt(text, line)
	end := min(column+utf8.RuneCountInString(name), len(r))
	if i := strings.LastIndex(string(r[:end]), name); i >= 0 {
		return utf8.RuneCountInString(string(r[:end])[:i])
	}
	return column
}

// nameAt returns the dotted name that begins at line and column, and whether it
// is followed by a bracket, so that its last part is a function.
func nameAt(text string, line, column int) (name string, function bool) {
	r := lineAt(text, line)
	rest := string(r[min(column, len(r)):])
	end := strings.IndexFunc(rest, func(c rune) bool {
		return c != '.' && c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c)
	})
	if end < 0 {
		end = len(rest)
	}
	return strings.TrimRight(rest[:end], "."), strings.HasPrefix(strings.TrimSpace(rest[end:]), "(")
}

// lineAt returns a line of the text, counted from 1; nothing if there is none.
func lineAt(text string, line int) []rune {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return nil
	}
	return []rune(lines[line-1])
}
