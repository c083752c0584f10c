package subset

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// The values of fall_back_policy.
const (
	fallBackNone = iota
	fallBackAny
	fallBackDefault
)

// Check returns what is wrong with a configuration, which stands at path.
func Check(cfg config.Subsets, path string) (warnings, errs decode.Problems) {
	at := func(key string) string { return decode.Join(path, key) }
	warn := func(path, remedy, message string) {
		warnings = append(warnings, decode.Problem{Path: path, Message: message, Remedy: remedy})
	}
	switch cfg.FallBackPolicy {
	case fallBackNone, fallBackAny:
		if len(cfg.Default) > 0 {
			warn(at("default_subset"), "set fall_back_policy: 2 to use it", fmt.Sprintf("has no effect with fall_back_policy %d", cfg.FallBackPolicy))
		}
	case fallBackDefault:
		if len(cfg.Default) == 0 {
			warn(at("default_subset"), "list labels, or set fall_back_policy: 1", "has no labels: all hosts belong to it")
		}
	default:
		errs = append(errs, decode.Problem{
			Path: at("fall_back_policy"), Message: fmt.Sprintf("unknown policy %d", cfg.FallBackPolicy),
			Remedy: "0 no host, 1 any host, 2 those of default_subset",
		})
	}
	if len(cfg.Selectors) == 0 {
		warn(at("subset_selectors"), "list the names of labels that routes ask for: [[version]]", "there is no selector: no request finds hosts by labels")
	}
	for i, names := range cfg.Selectors {
		if len(names) == 0 {
			warn(decode.At(at("subset_selectors"), i), "name a label, or remove it", "has no names, and no effect")
		}
	}
	return warnings, errs
}

// Policy returns a policy that chooses among the hosts that have the labels of
// the request (stream.Request.Labels), by inner. cfg has no errors (Check).
//
// A host of the subset that was tried already is preferred to those that
// fall_back_policy leads to.
//
// A Picker of it takes over from the one before, for each subset, what inner's
// has learned there, by labels; that for a subset is made when a request needs
// it first. It is a lb.Reporter if inner's is, which must not depend on the
// hosts: an outcome is told to the Picker of the subset that the host was picked
// from. (A host can be in several, and Done does not say in which. As many
// outcomes as there were picks go to each; among attempts at one host at the same
// time, which outcome goes where is left open: it is the same host.)
func Policy(cfg config.Subsets, inner lb.Policy) lb.Policy {
	plan := newPlan(cfg)
	return lb.PolicyFunc(func(hosts []*upstream.Host, before lb.Picker) lb.Picker {
		p := newPicker(plan, inner, hosts, before)
		if p.all.get().reporter == nil {
			return p
		}
		return newReporter(p)
	})
}

// picker chooses among the hosts with certain labels.
type picker struct {
	policy  lb.Policy
	hosts   []*upstream.Host
	index   *index
	subsets []subset // by node; those that are none's end stay empty
	all     *subset
	// instead is where requests go that find no host by their labels; nil: nowhere.
	instead *subset
}

// subset is some of the hosts, and the Picker among them.
type subset struct {
	p      *picker
	places []int32 // of the hosts; nil in that of all hosts
	mu     sync.Mutex
	before lb.Picker             // what the Picker is to take over from; guarded by mu
	made   atomic.Pointer[inner] // nil: not needed so far
}

// inner is the Picker of a subset.
type inner struct {
	lb.Picker
	reporter lb.Reporter // the same; nil if it is none
}

func newPicker(plan *plan, policy lb.Policy, hosts []*upstream.Host, before lb.Picker) *picker {
	p := &picker{policy: policy, hosts: hosts, index: newIndex(plan, hosts)}
	p.subsets = make([]subset, len(p.index.nodes))
	for i := range p.subsets {
		p.subsets[i].p = p
		p.subsets[i].places = p.index.nodes[i].hosts
	}
	p.all = &p.subsets[0]
	switch plan.fallBack {
	case fallBackAny:
		p.instead = p.all
	case fallBackDefault:
		p.instead = &subset{p: p, places: p.index.having(plan.byLabels)}
	}
	if r, ok := before.(*reporter); ok {
		before = r.picker
	}
	if old, ok := before.(*picker); ok {
		p.inherit(old)
	} else {
		p.all.before = before
	}
	return p
}

// inherit notes, for each subset that was in use, what to take over from.
func (p *picker) inherit(old *picker) {
	for i := range old.subsets {
		last := old.subsets[i].last()
		if last == nil {
			continue
		}
		if i == 0 {
			p.all.before = last
		} else if n := p.index.find(old.index.path(int32(i))); n != none {
			p.subsets[n].before = last
		}
	}
	if own(p.instead, p.all) && own(old.instead, old.all) {
		p.instead.before = old.instead.last()
	}
}

// own reports whether there is a default subset.
func own(instead, all *subset) bool { return instead != nil && instead != all }

// last returns the latest Picker that there was for the subset; nil if none.
func (s *subset) last() lb.Picker {
	if m := s.made.Load(); m != nil {
		return m.Picker
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.before
}

// get returns the Picker of the subset. The first call makes it.
func (s *subset) get() *inner {
	if m := s.made.Load(); m != nil {
		return m
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.made.Load(); m != nil {
		return m
	}
	hosts := s.p.hosts
	if len(s.places) < len(hosts) {
		hosts = make([]*upstream.Host, len(s.places))
		for i, place := range s.places {
			hosts[i] = s.p.hosts[place]
		}
	}
	m := &inner{Picker: s.p.policy.Picker(hosts, s.before)}
	m.reporter, _ = m.Picker.(lb.Reporter)
	s.before = nil
	s.made.Store(m)
	return m
}

// Pick implements lb.Picker.
func (p *picker) Pick(req *stream.Request) (*upstream.Host, error) {
	h, _, err := p.pick(req)
	return h, err
}

// pick also returns the Picker that has chosen.
func (p *picker) pick(req *stream.Request) (*upstream.Host, *inner, error) {
	if len(req.Labels) == 0 {
		by := p.all.get()
		h, err := by.Pick(req)
		return h, by, err
	}
	var cause error
	if n := p.index.find(req.Labels); n != none {
		by := p.subsets[n].get()
		h, err := by.Pick(req)
		if err == nil {
			return h, by, nil
		}
		cause = err
	}
	if p.instead == nil {
		return nil, nil, p.missing(req.Labels, cause, nil)
	}
	by := p.instead.get()
	h, err := by.Pick(req)
	if err != nil {
		return nil, nil, p.missing(req.Labels, cause, err)
	}
	return h, by, nil
}

// missing says why there is no host with the labels: cause, if there are some
// that cannot be used; and why there is none in their place.
func (p *picker) missing(labels []stream.Label, cause, instead error) error {
	var text strings.Builder
	text.WriteString("no host with the labels ")
	for i, l := range labels {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(l.Key + "=" + l.Value)
	}
	switch {
	case cause != nil:
		text.WriteString(" can be used: " + stream.AsError(cause).Op)
	case !p.index.plan.selects(labels):
		text.WriteString(": no entry of subset_selectors has exactly these names")
	}
	if instead != nil {
		text.WriteString("; and of those to use instead: " + stream.AsError(instead).Op)
	}
	return &stream.Error{Kind: stream.NoHost, Retry: true, Op: text.String()}
}

// selects reports whether there is a selector of the names of labels, which are
// sorted.
func (p *plan) selects(labels []stream.Label) bool {
	at := &p.root
labels:
	for _, l := range labels {
		if key, ok := p.keys[l.Key]; ok {
			for _, n := range at.next {
				if n.key == key {
					at = n
					continue labels
				}
			}
		}
		return false
	}
	return at.end
}
