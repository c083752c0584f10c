package expression

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// mosnMacros returns MOSN's other ways to write two things of CEL:
//
//	conditional(a, b, c)     a ? b : c
//	pick(m["k"], n.k, "x")   m[?"k"].orValue(n[?"k"].orValue("x"))
func mosnMacros() cel.EnvOption {
	return cel.Macros(
		cel.GlobalMacro("conditional", 3, func(f cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
			return f.NewCall(operators.Conditional, args...), nil
		}),
		cel.GlobalVarArgMacro("pick", pick))
}

// pick makes of its arguments the first of them that has a value.
func pick(f cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
	if len(args) == 0 {
		return nil, nil // no such function
	}
	out := args[len(args)-1]
	for i := len(args) - 2; i >= 0; i-- {
		switch a := args[i]; {
		case a.Kind() == ast.CallKind && a.AsCall().FunctionName() == operators.Index:
			out = f.NewMemberCall("orValue", f.NewCall(operators.OptIndex, a.AsCall().Args()...), out)
		case a.Kind() == ast.SelectKind && !a.AsSelect().IsTestOnly() && !isAttribute(a):
			s := a.AsSelect()
			out = f.NewMemberCall("orValue", f.NewCall(operators.OptSelect, s.Operand(), f.NewLiteral(types.String(s.FieldName()))), out)
		default: // always has a value
			out = a
		}
	}
	return out, nil
}

// isAttribute reports whether e is the dotted name of an attribute.
func isAttribute(e ast.Expr) bool {
	name := ""
	for e.Kind() == ast.SelectKind {
		name = "." + e.AsSelect().FieldName() + name
		e = e.AsSelect().Operand()
	}
	if e.Kind() != ast.IdentKind {
		return false
	}
	_, ok := attributes[e.AsIdent()+name]
	return ok
}
