package expression

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// mosnFunctions returns the functions that MOSN adds to CEL, as far as they
// only read. Each may be called as f(x) and x.f().
func mosnFunctions() []cel.EnvOption {
	return []cel.EnvOption{
		change("toLower", strings.ToLower),
		change("toUpper", strings.ToUpper),
		change("reverse", reverse),
		cel.Function("match",
			cel.Overload("match_string_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType, cel.BinaryBinding(match)),
			cel.MemberOverload("string_match_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType, cel.BinaryBinding(match))),
	}
}

// change declares a function from text to text.
func change(name string, f func(string) string) cel.EnvOption {
	binding := cel.UnaryBinding(func(v ref.Val) ref.Val {
		s, ok := v.(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(v)
		}
		return types.String(f(string(s)))
	})
	return cel.Function(name,
		cel.Overload(name+"_string", []*cel.Type{cel.StringType}, cel.StringType, binding),
		cel.MemberOverload("string_"+name, []*cel.Type{cel.StringType}, cel.StringType, binding))
}

func reverse(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}

// match compares a text with a pattern: "prefix*", "*suffix", or the text itself.
func match(value, pattern ref.Val) ref.Val {
	s, ok := value.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(value)
	}
	p, ok := pattern.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(pattern)
	}
	if prefix, ok := strings.CutSuffix(string(p), "*"); ok {
		return types.Bool(strings.HasPrefix(string(s), prefix))
	}
	if suffix, ok := strings.CutPrefix(string(p), "*"); ok {
		return types.Bool(strings.HasSuffix(string(s), suffix))
	}
	return types.Bool(s == p)
}
