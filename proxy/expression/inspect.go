package expression

import (
	"fmt"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// literals are the functions whose arguments must stand in the text: with
// others the caller would choose a regular expression, or the work could be the
// product of two lengths.
var literals = map[string]bool{"matches": true, "indexOf": true, "lastIndexOf": true, "split": true, "replace": true}

// inspect refuses what could become expensive by what a caller sends, and what
// variables cannot do. It reports whether the expression loops.
func inspect(tree *ast.AST) (loops bool, err error) {
	info := tree.SourceInfo()
	refuse := func(e ast.Expr, format string, args ...any) {
		if err == nil {
			at := info.GetStartLocation(e.ID())
			err = fmt.Errorf("line %d, column %d: %s", at.Line(), at.Column()+1, fmt.Sprintf(format, args...))
		}
	}
	ok := make(map[int64]bool) // places where the map of variables may stand
	var idents []ast.Expr
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.ComprehensionKind:
			loops = true
		case ast.IdentKind:
			idents = append(idents, e)
		case ast.SelectKind:
			ok[e.AsSelect().Operand().ID()] = true
		case ast.CallKind:
			call := e.AsCall()
			switch name, args := call.FunctionName(), call.Args(); {
			case name == operators.Index, name == operators.OptIndex, name == operators.OptSelect:
				ok[args[0].ID()] = args[1].Kind() == ast.LiteralKind
			case name == operators.In:
				ok[args[1].ID()] = args[0].Kind() == ast.LiteralKind
			case name == "join":
				refuse(e, "join is not available: what it makes could become very long")
			case literals[name]:
				inspectLiterals(e, name, args, refuse)
			}
		}
	}))
	for _, e := range idents {
		if name := e.AsIdent(); (name == "vars" || name == "variables") && !ok[e.ID()] {
			refuse(e, `%s is no list: ask for one variable by its name, written out, as in %s["name"]`, name, name)
		}
	}
	return loops, err
}

// inspectLiterals looks at the arguments of one of literals.
func inspectLiterals(e ast.Expr, name string, args []ast.Expr, refuse func(ast.Expr, string, ...any)) {
	if name == "matches" && !e.AsCall().IsMemberFunction() {
		args = args[1:] // the first is the text
	}
	var texts []string
	for _, a := range args {
		if a.Kind() != ast.LiteralKind {
			refuse(a, "the argument of %s must be written out, it cannot depend on the request", name)
			return
		}
		if s, ok := a.AsLiteral().(types.String); ok {
			texts = append(texts, string(s))
		}
	}
	if name == "replace" && len(texts) >= 2 && len(texts[1]) > len(texts[0]) {
		refuse(e, "replace cannot make a text longer: %q is longer than %q", texts[1], texts[0])
	}
}
