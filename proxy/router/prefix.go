package router

import "strings"

// prefixTree finds the routes whose prefix a path has: walking down along the
// path, it meets them at the nodes. Each node stands for the text on the way
// to it.
type prefixTree struct {
	text     string  // what this node adds to its parent's text
	routes   []int32 // the routes with this very prefix, ascending
	firsts   string  // the first byte of each child's text
	children []*prefixTree
}

// child returns the child whose text path begins with, or nil.
func (n *prefixTree) child(path string) *prefixTree {
	if path == "" {
		return nil
	}
	i := strings.IndexByte(n.firsts, path[0])
	if i < 0 || !strings.HasPrefix(path, n.children[i].text) {
		return nil
	}
	return n.children[i]
}

// add adds a route; the routes of one prefix come in ascending order.
func (n *prefixTree) add(prefix string, route int32) {
	for prefix != "" {
		i := strings.IndexByte(n.firsts, prefix[0])
		if i < 0 {
			n.firsts += prefix[:1]
			n.children = append(n.children, &prefixTree{text: prefix, routes: []int32{route}})
			return
		}
		c := n.children[i]
		common := 0
		for common < len(c.text) && common < len(prefix) && c.text[common] == prefix[common] {
			common++
		}
		if common < len(c.text) {
			lower := *c
			lower.text = c.text[common:]
			*c = prefixTree{text: c.text[:common], firsts: lower.text[:1], children: []*prefixTree{&lower}}
		}
		n, prefix = c, prefix[common:]
	}
	n.routes = append(n.routes, route)
}
