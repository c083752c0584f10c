package subset

import (
	"maps"
	"slices"

	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// plan is what a configuration says about subsets, in the form that hosts are
// sorted by. It does not change.
type plan struct {
	keys     map[string]int32 // the names of labels that count, by their number
	sorted   []string         // the same in order
	root     step             // selectors, as a tree of their sorted names
	fallBack int
	byLabels []stream.Label // of the default subset
}

// step is a place in the tree of selectors: what follows after the same names.
type step struct {
	key  int32 // the name that leads here
	end  bool  // a selector ends here
	next []*step
}

func newPlan(cfg config.Subsets) *plan {
	p := &plan{keys: make(map[string]int32), fallBack: cfg.FallBackPolicy}
	for _, names := range cfg.Selectors {
		p.sorted = append(p.sorted, names...)
	}
	if cfg.FallBackPolicy == fallBackDefault {
		p.sorted = slices.AppendSeq(p.sorted, maps.Keys(cfg.Default))
		for key, value := range cfg.Default {
			p.byLabels = append(p.byLabels, stream.Label{Key: key, Value: value})
		}
		stream.SortLabels(p.byLabels)
	}
	slices.Sort(p.sorted)
	p.sorted = slices.Compact(p.sorted)
	for i, name := range p.sorted {
		p.keys[name] = int32(i)
	}
	for _, names := range cfg.Selectors {
		at := &p.root
		for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
			at = at.to(p.keys[name])
		}
		at.end = len(names) > 0
	}
	return p
}

// to returns the step by a name, which it makes if need be.
func (s *step) to(key int32) *step {
	for _, n := range s.next {
		if n.key == key {
			return n
		}
	}
	n := &step{key: key}
	s.next = append(s.next, n)
	return n
}

// none stands for the value of a label that a host does not have.
const none int32 = -1

// index holds which hosts have which labels. It does not change once made.
type index struct {
	plan   *plan
	values []map[string]int32 // by the number of the name: values to their numbers, which are unique among all
	labels []stream.Label     // by the number of the value
	rows   []int32            // for each host: the number of its value for each name, or none
	nodes  []node
	// edges leads from a node, by the value of one more name, to the next.
	edges map[edge]int32
}

// node is the hosts that have certain values for certain names.
type node struct {
	hosts  []int32 // their places, in the order of the cluster
	parent int32   // the node with one name less
	value  int32   // the value of that name
	end    bool    // the names are those of a selector
}

// edge is the number of a node and that of a value, 32 bits each.
type edge uint64

func edgeOf(node, value int32) edge { return edge(uint32(node))<<32 | edge(uint32(value)) }

func newIndex(p *plan, hosts []*upstream.Host) *index {
	x := &index{plan: p, values: make([]map[string]int32, len(p.sorted)), edges: make(map[edge]int32)}
	for i := range x.values {
		x.values[i] = make(map[string]int32)
	}
	x.number(hosts)
	all := make([]int32, len(hosts))
	for i := range all {
		all[i] = int32(i)
	}
	x.nodes = []node{{hosts: all, parent: none, value: none}}
	x.deal(0, &p.root, make([]int32, len(x.labels)))
	return x
}

// number fills in rows. Labels and names are both sorted, so that one pass over
// both finds the labels that count.
func (x *index) number(hosts []*upstream.Host) {
	names := x.plan.sorted
	x.rows = make([]int32, len(hosts)*len(names))
	for i := range x.rows {
		x.rows[i] = none
	}
	for i, h := range hosts {
		row := x.rows[i*len(names):][:len(names)]
		k := 0
		for _, l := range h.Labels {
			for k < len(names) && names[k] < l.Key {
				k++
			}
			if k == len(names) {
				break
			}
			if names[k] != l.Key {
				continue
			}
			v, ok := x.values[k][l.Value]
			if !ok {
				v = int32(len(x.labels))
				x.values[k][l.Value] = v
				x.labels = append(x.labels, l)
			}
			row[k] = v
		}
	}
}

// deal makes the nodes below one, for the selectors that go on from s. count has
// a zero for each value, and is left so.
func (x *index) deal(from int32, s *step, count []int32) {
	width := len(x.plan.sorted)
	for _, next := range s.next {
		hosts := x.nodes[from].hosts
		// How many hosts have which of the values?
		var seen []int32
		total := int32(0)
		for _, h := range hosts {
			if v := x.rows[int(h)*width+int(next.key)]; v != none {
				if count[v] == 0 {
					seen = append(seen, v)
				}
				count[v]++
				total++
			}
		}
		// Each value gets a node, and a place for so many hosts.
		first := int32(len(x.nodes))
		room := make([]int32, total)
		for i, v := range seen {
			n := count[v]
			x.nodes = append(x.nodes, node{hosts: room[:0:n], parent: from, value: v, end: next.end})
			x.edges[edgeOf(from, v)] = first + int32(i)
			room = room[n:]
			count[v] = first + int32(i) // from here on, the value's node
		}
		for _, h := range hosts {
			if v := x.rows[int(h)*width+int(next.key)]; v != none {
				n := &x.nodes[count[v]]
				n.hosts = append(n.hosts, h)
			}
		}
		for _, v := range seen {
			count[v] = 0
		}
		if len(next.next) > 0 {
			for n := first; n < first+int32(len(seen)); n++ {
				x.deal(n, next, count)
			}
		}
	}
}

// find returns the node of the hosts with exactly the names of labels, which are
// sorted by key, and their values; none if these are not the names of a
// selector or no host has the values.
func (x *index) find(labels []stream.Label) int32 {
	at := int32(0)
	for i := range labels {
		key, ok := x.plan.keys[labels[i].Key]
		if !ok {
			return none
		}
		value, ok := x.values[key][labels[i].Value]
		if !ok {
			return none
		}
		if at, ok = x.edges[edgeOf(at, value)]; !ok {
			return none
		}
	}
	if !x.nodes[at].end {
		return none
	}
	return at
}

// path returns the labels of a node, sorted by key.
func (x *index) path(n int32) []stream.Label {
	var labels []stream.Label
	for ; n > 0; n = x.nodes[n].parent {
		labels = append(labels, x.labels[x.nodes[n].value])
	}
	slices.Reverse(labels)
	return labels
}

// having returns the places of the hosts that have all the labels, whose names
// are among those that count.
func (x *index) having(labels []stream.Label) []int32 {
	hosts := x.nodes[0].hosts
	width := len(x.plan.sorted)
	for _, l := range labels {
		key := x.plan.keys[l.Key]
		value, ok := x.values[key][l.Value]
		if !ok {
			return nil
		}
		var left []int32
		for _, h := range hosts {
			if x.rows[int(h)*width+int(key)] == value {
				left = append(left, h)
			}
		}
		hosts = left
	}
	return hosts
}
