package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// expand returns a copy of a tree in which ${NAME} and ${NAME:-default} in
// string values are replaced by environment variables. "$${" stands for "${".
// What a variable holds is not expanded again. A variable that is not set and
// has no default is a problem; one that is set to "" counts as set, except that
// a default takes its place, as in a shell.
func expand(tree any, path string, lookup func(string) (string, bool)) (any, decode.Problems) {
	switch v := tree.(type) {
	case string:
		out, message, remedy := expandText(v, lookup)
		if message != "" {
			return v, decode.Problems{{Path: path, Message: message, Remedy: remedy}}
		}
		return out, nil
	case map[string]any:
		var problems decode.Problems
		out := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			value, ps := expand(v[key], decode.Join(path, key), lookup)
			out[key] = value
			problems = append(problems, ps...)
		}
		return out, problems
	case []any:
		var problems decode.Problems
		out := make([]any, len(v))
		for i := range v {
			value, ps := expand(v[i], decode.At(path, i), lookup)
			out[i] = value
			problems = append(problems, ps...)
		}
		return out, problems
	default:
		return v, nil
	}
}

// expandText expands one string. message says what is wrong, "" nothing.
func expandText(s string, lookup func(string) (string, bool)) (out, message, remedy string) {
	if !strings.Contains(s, "${") {
		return s, "", ""
	}
	var b strings.Builder
	for {
		start := strings.Index(s, "${")
		if start < 0 {
			b.WriteString(s)
			return b.String(), "", ""
		}
		if start > 0 && s[start-1] == '$' {
			b.WriteString(s[:start-1])
			b.WriteString("${")
			s = s[start+2:]
			continue
		}
		b.WriteString(s[:start])
		inside, rest, closed := strings.Cut(s[start+2:], "}")
		if !closed {
			return "", `"${" without "}"`, `close it, or write "$${" for the two characters themselves`
		}
		name, fallback, hasFallback := strings.Cut(inside, ":-")
		if !variableName(name) {
			// Not shown: it may be part of a password that holds "${" by chance.
			return "", "what stands between \"${\" and \"}\" is no name of an environment variable", `write ${NAME} or ${NAME:-default}, or "$${" for the two characters themselves`
		}
		value, set := lookup(name)
		switch {
		case hasFallback && value == "":
			value = fallback
		case !set:
			return "", fmt.Sprintf("the environment variable %s is not set", name), fmt.Sprintf("set it, or write ${%s:-default}", name)
		}
		b.WriteString(value)
		s = rest
	}
}

func variableName(name string) bool {
	for i, r := range name {
		switch {
		case r == '_', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
		case i > 0 && r >= '0' && r <= '9':
		default:
			return false
		}
	}
	return name != ""
}
