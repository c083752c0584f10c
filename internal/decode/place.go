package decode

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Step leads one level down a tree: to a key of a section, or, where Key is "", to
// an element of a list.
type Step struct {
	Key   string
	Index int
}

// ParsePath reads a path as Join and At write it: `accounts[0].accessKeySecret`,
// `topics["eu.orders"]`. Other words than Join leaves unquoted may stand unquoted
// too, as long as no dot, bracket or quote is in them.
func ParsePath(text string) ([]Step, error) {
	var steps []Step
	rest := text
	for first := true; first || rest != ""; first = false {
		switch {
		case strings.HasPrefix(rest, "["):
			step, n, err := parseBracket(rest)
			if err != nil {
				return nil, err
			}
			steps, rest = append(steps, step), rest[n:]
		case first || strings.HasPrefix(rest, "."):
			rest = strings.TrimPrefix(rest, ".")
			n := strings.IndexAny(rest, `.[]"`)
			if n < 0 {
				n = len(rest)
			}
			if n == 0 || first && strings.HasPrefix(text, ".") {
				return nil, errors.New("a key is missing in the path")
			}
			steps, rest = append(steps, Step{Key: rest[:n]}), rest[n:]
		default:
			return nil, fmt.Errorf("%q in the path is out of place", rest[:1])
		}
		if len(steps) > maxDepth {
			return nil, errors.New("the path is too long")
		}
	}
	return steps, nil
}

// parseBracket reads [0] or ["key"], and says how long it is.
func parseBracket(text string) (Step, int, error) {
	if strings.HasPrefix(text, `["`) {
		quoted, err := strconv.QuotedPrefix(text[1:])
		if err != nil || !strings.HasPrefix(text[1+len(quoted):], "]") {
			return Step{}, 0, errors.New(`a bracket in the path is not closed: write ["key"]`)
		}
		key, err := strconv.Unquote(quoted)
		if err != nil || key == "" {
			return Step{}, 0, errors.New("a key is missing in the path")
		}
		return Step{Key: key}, 2 + len(quoted), nil
	}
	end := strings.IndexByte(text, ']')
	if end < 0 {
		return Step{}, 0, errors.New("a bracket in the path is not closed: write [0]")
	}
	digits := text[1:end]
	index, err := strconv.Atoi(digits)
	if err != nil || index < 0 || strings.ContainsAny(digits, "+-") {
		return Step{}, 0, fmt.Errorf("%q in the path is no number of an element: write [0] for the first", clip(digits))
	}
	return Step{Index: index}, end + 1, nil
}

// Put returns a copy of tree, a section, with value at the place that steps lead to.
// Sections on the way are made when they are missing; a list must be there, and have
// the element. A key that is there in other case is that key. tree is not changed,
// and shares with the copy what is not on the way.
func Put(tree map[string]any, steps []Step, value any) (map[string]any, error) {
	if len(steps) == 0 || steps[0].Key == "" {
		return nil, errors.New("the path must begin with a key")
	}
	out, err := put(tree, steps, value, "")
	if err != nil {
		return nil, err
	}
	return out.(map[string]any), nil
}

func put(node any, steps []Step, value any, path string) (any, error) {
	if len(steps) == 0 {
		return value, nil
	}
	step := steps[0]
	what := "nothing"
	switch node := node.(type) {
	case nil:
		if step.Key != "" {
			below, err := put(nil, steps[1:], value, Join(path, step.Key))
			return map[string]any{step.Key: below}, err
		}
	case map[string]any:
		if step.Key == "" {
			what = "a section"
			break
		}
		key := keyIn(node, step.Key)
		below, err := put(node[key], steps[1:], value, Join(path, key))
		if err != nil {
			return nil, err
		}
		out := make(map[string]any, len(node)+1)
		maps.Copy(out, node)
		out[key] = below
		return out, nil
	case []any:
		what = fmt.Sprintf("a list of %d", len(node))
		if step.Key != "" || step.Index >= len(node) {
			break
		}
		below, err := put(node[step.Index], steps[1:], value, At(path, step.Index))
		if err != nil {
			return nil, err
		}
		out := slices.Clone(node)
		out[step.Index] = below
		return out, nil
	default:
		what = "a plain value"
	}
	if step.Key != "" {
		return nil, fmt.Errorf("%s is %s, so it has no key %q", path, what, step.Key)
	}
	return nil, fmt.Errorf("%s is %s, so it has no element [%d]", path, what, step.Index)
}

// keyIn returns key as section has it: in this case, or in another.
func keyIn(section map[string]any, key string) string {
	if _, ok := section[key]; ok {
		return key
	}
	for _, have := range slices.Sorted(maps.Keys(section)) {
		if strings.EqualFold(have, key) {
			return have
		}
	}
	return key
}
