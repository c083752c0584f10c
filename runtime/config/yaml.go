package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// maxYAMLKeys bounds the keys of one section: the parser's time grows with
// their square.
const maxYAMLKeys = 10_000

// parseYAML reads a YAML text of one document: aliases and merge keys are
// filled in, no key twice, numbers as in JSON.
func parseYAML(file, text string) (any, *mark, error) {
	tokens := lexer.Tokenize(text)
	if err := boundYAML(file, tokens); err != nil {
		return nil, nil, err
	}
	parsed, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, nil, yamlError(file, text, err)
	}
	r := &yamlReader{file: file, anchors: map[string]ast.Node{}, open: map[string]bool{}}
	var body ast.Node
	for _, doc := range parsed.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.CommentType:
		case body != nil:
			return nil, nil, inFile(file, lineOf(doc.Body), "a second document begins here", "keep one document in the file")
		default:
			body = doc.Body
		}
	}
	if body == nil {
		return nil, nil, nil
	}
	value, m, err := r.value(body, 0)
	if err != nil {
		return nil, nil, err
	}
	if len(r.problems) > 0 {
		return nil, nil, r.problems
	}
	return value, m, nil
}

func yamlError(file, text string, err error) error {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil && e.GetToken().Position != nil {
		at, remedy := e.GetToken().Position, ""
		if at.Line > strings.Count(strings.TrimRight(text, " \t\r\n"), "\n") {
			remedy = "is it only half written?" // nothing comes after the line
		}
		return inFile(file, at.Line, fmt.Sprintf("column %d: not valid YAML: %s", at.Column, e.GetMessage()), remedy)
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return inFile(file, 0, "not valid YAML: "+line, "")
}

// boundYAML refuses texts that would cost the parser too much: its time and its
// stack grow with the nesting, and with the square of a section's keys.
func boundYAML(file string, tokens token.Tokens) error {
	type section struct{ column, keys int }
	var open []section
	flow, chain := 0, 0
	for _, t := range tokens {
		column := t.Position.Column
		key := false
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
			chain++
		case token.MappingEndType, token.SequenceEndType:
			flow = max(flow-1, 0)
			chain = 0
		case token.MappingKeyType:
			chain++
			key = true
		case token.SequenceEntryType:
			chain++
			for len(open) > 0 && flow == 0 && open[len(open)-1].column > column {
				open = open[:len(open)-1]
			}
		case token.AnchorType, token.TagType:
			chain++
		case token.MappingValueType:
			key = true
			if t.Prev != nil {
				column = t.Prev.Position.Column
			}
		default:
			if t.Prev == nil || t.Prev.Type != token.AnchorType { // an anchor's name is part of it
				chain = 0
			}
		}
		if flow > maxNesting || chain > 2*maxNesting || len(open) > maxNesting {
			return inFile(file, t.Position.Line, fmt.Sprintf("more than %d sections and lists inside each other", maxNesting), "")
		}
		if !key || flow > 0 {
			continue
		}
		for len(open) > 0 && open[len(open)-1].column > column {
			open = open[:len(open)-1]
		}
		if len(open) == 0 || open[len(open)-1].column < column {
			open = append(open, section{column: column})
		}
		top := &open[len(open)-1]
		if top.keys++; top.keys > maxYAMLKeys {
			return inFile(file, t.Position.Line, fmt.Sprintf("more than %d keys in one section", maxYAMLKeys), "write a file this large as JSON")
		}
	}
	return nil
}

// yamlReader turns YAML nodes into plain values.
type yamlReader struct {
	file     string
	anchors  map[string]ast.Node
	open     map[string]bool // anchors whose value is being read, to find circles
	nodes    int
	problems decode.Problems
}

// lineOf returns the line of a node; 0 when it has none.
func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	// A section's own token is the ":" of its first key, which is on the right line.
	return n.GetToken().Position.Line
}

// jsonNumber is what a plain word must look like to be a number in JSON.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// leadingZero is a number that YAML 1.1 reads as octal and YAML 1.2 as decimal.
var leadingZero = regexp.MustCompile(`^[-+]?0[0-9_]+$`)

func (r *yamlReader) fail(n ast.Node, remedy, format string, args ...any) error {
	return inFile(r.file, lineOf(n), fmt.Sprintf(format, args...), remedy)
}

func (r *yamlReader) value(n ast.Node, depth int) (any, *mark, error) {
	if r.nodes++; r.nodes > maxNodes {
		return nil, nil, r.fail(n, "is it the right file?", "more than %d values", maxNodes)
	}
	if depth > maxNesting {
		return nil, nil, r.fail(n, "", "more than %d sections and lists inside each other", maxNesting)
	}
	m := &mark{line: lineOf(n)}
	switch n := n.(type) {
	case nil, *ast.NullNode, *ast.CommentNode, *ast.CommentGroupNode:
		return nil, m, nil
	case *ast.MappingNode:
		return r.section(n, n.Values, depth)
	case *ast.MappingValueNode:
		return r.section(n, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out := make([]any, 0, len(n.Values))
		for _, v := range n.Values {
			value, inner, err := r.value(v, depth+1)
			if err != nil {
				return nil, nil, err
			}
			out, m.items = append(out, value), append(m.items, inner)
		}
		return out, m, nil
	case *ast.AnchorNode:
		name := n.Name.GetToken().Value
		r.open[name] = true
		value, m, err := r.value(n.Value, depth+1)
		delete(r.open, name)
		r.anchors[name] = n.Value
		return value, m, err
	case *ast.AliasNode:
		target, err := r.alias(n)
		if err != nil {
			return nil, nil, err
		}
		value, m, err := r.value(target, depth+1)
		if err == nil {
			m.line = lineOf(n)
		}
		return value, m, err
	case *ast.TagNode:
		return r.tagged(n, depth)
	default:
		value, err := r.scalar(n)
		return value, m, err
	}
}

func (r *yamlReader) alias(n *ast.AliasNode) (ast.Node, error) {
	name := n.Value.GetToken().Value
	target, ok := r.anchors[name]
	switch {
	case r.open[name]:
		return nil, r.fail(n, "", "the alias *%s is inside what it stands for", name)
	case !ok:
		return nil, r.fail(n, fmt.Sprintf("mark the value with &%s first", name), "unknown alias *%s", name)
	}
	return target, nil
}

// tagged obeys the tags that force a type; other tags mean nothing here.
func (r *yamlReader) tagged(n *ast.TagNode, depth int) (any, *mark, error) {
	tag := n.Start.Value
	switch tag {
	case "!!map", "!!seq", "!!int", "!!float", "!!bool", "!!null":
		return r.value(n.Value, depth+1)
	case "!!str":
		switch v := n.Value.(type) {
		case *ast.StringNode, *ast.LiteralNode:
			return r.value(v, depth+1)
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
			return v.GetToken().Value, &mark{line: lineOf(n)}, nil
		case nil, *ast.NullNode:
			return "", &mark{line: lineOf(n)}, nil
		}
	}
	return nil, nil, r.fail(n, "remove it", "the tag %s is not understood here", tag)
}

func (r *yamlReader) scalar(n ast.Node) (any, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		if n.Token.Type == token.StringType && jsonNumber.MatchString(n.Value) {
			// Numbers that only JSON writes this way: 1e3, very large ones.
			value, ok := number(n.Value)
			if !ok {
				return nil, r.fail(n, "", "the number is too large")
			}
			return value, nil
		}
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.IntegerNode:
		if leadingZero.MatchString(n.Token.Value) {
			return nil, r.fail(n, "put it in quotes for a text, write 0o… for an octal number", "a number with a leading zero is octal for some and decimal for others")
		}
		switch v := n.Value.(type) {
		case int64:
			return v, nil
		case uint64:
			if v <= math.MaxInt64 {
				return int64(v), nil
			}
			return v, nil
		}
	case *ast.FloatNode:
		return n.Value, nil
	case *ast.InfinityNode:
		return n.Value, nil
	case *ast.NanNode:
		return math.NaN(), nil
	}
	return nil, r.fail(n, "", "a %s is not understood here", n.Type())
}

func (r *yamlReader) section(n ast.Node, values []*ast.MappingValueNode, depth int) (any, *mark, error) {
	out := make(map[string]any, len(values))
	m := &mark{line: lineOf(n), keys: make(map[string]*mark, len(values))}
	merged, mergedMarks := map[string]any{}, map[string]*mark{}
	for _, pair := range values {
		if _, ok := pair.Key.(*ast.MergeKeyNode); ok {
			if err := r.merge(pair.Value, merged, mergedMarks, depth); err != nil {
				return nil, nil, err
			}
			continue
		}
		key, line, err := r.key(pair.Key)
		if err != nil {
			return nil, nil, err
		}
		value, inner, err := r.value(pair.Value, depth+1)
		if err != nil {
			return nil, nil, err
		}
		if first, twice := m.keys[key]; twice {
			r.problems = append(r.problems, duplicate(r.file, key, first.line, line))
			continue
		}
		inner.line = line
		out[key], m.keys[key] = value, inner
	}
	for key, value := range merged {
		if _, own := out[key]; !own {
			out[key], m.keys[key] = value, mergedMarks[key]
		}
	}
	return out, m, nil
}

// merge adds what a merge key ("<<") brings: a section, or a list of them of
// which the first that has a key wins.
func (r *yamlReader) merge(n ast.Node, into map[string]any, marks map[string]*mark, depth int) error {
	value, m, err := r.value(n, depth+1)
	if err != nil {
		return err
	}
	sources, places := []any{value}, []*mark{m}
	if list, ok := value.([]any); ok {
		sources, places = list, m.items
	}
	for i, source := range sources {
		section, ok := source.(map[string]any)
		if !ok {
			return r.fail(n, "write <<: *name", "only a section can be merged")
		}
		for key, value := range section {
			if _, has := into[key]; !has {
				into[key], marks[key] = value, places[i].keys[key]
			}
		}
	}
	return nil
}

// key returns a key's text and line. Numbers and booleans are taken as written.
func (r *yamlReader) key(n ast.MapKeyNode) (string, int, error) {
	var node ast.Node = n
	if wrapped, ok := node.(*ast.MappingKeyNode); ok {
		node = wrapped.Value
	}
	for {
		anchor, ok := node.(*ast.AnchorNode)
		if !ok {
			break
		}
		node = anchor.Value
	}
	var key string
	switch k := node.(type) {
	case *ast.StringNode:
		key = k.Value
	case *ast.LiteralNode:
		key = k.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		key = k.GetToken().Value
	default:
		return "", 0, r.fail(n, "write a word", "this cannot be a key")
	}
	if len(key) > maxKeyLen {
		return "", 0, r.fail(n, "", "a key of more than %d bytes", maxKeyLen)
	}
	return key, lineOf(node), nil
}
