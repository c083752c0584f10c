package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/cluster"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/dns"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/listener"
)

// Apply puts a new snapshot in the place of the current one, whole or not at
// all: requests under way finish under the rules they began with, those that
// begin after it, also on connections that are open already, follow the new
// ones. A socket whose address stays in use stays open, whichever listener has
// it then. The snapshot must have passed Validate.
func (s *Server) Apply(ctx context.Context, snapshot *config.Snapshot) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	return s.apply(ctx, snapshot)
}

// apply is Apply; applying is held.
func (s *Server) apply(ctx context.Context, snapshot *config.Snapshot) error {
	s.mu.Lock()
	before, stopped := s.clusters, s.stopped
	current, packets := maps.Clone(s.listeners), maps.Clone(s.packets)
	s.mu.Unlock()
	if stopped {
		return errStopped
	}

	clusters, err := cluster.NewManager(snapshot.Clusters,
		s.clusterTables(), before, s.opts.Paths.Clusters)
	if err != nil {
		return err
	}
	p := &plan{s: s, snapshot: snapshot, first: before == nil, removed: current, packetsRemoved: packets}
	if err = p.make(ctx, clusters); err == nil && !p.commit(clusters) { //nolint:contextcheck // what it starts lives longer than ctx
		err = errStopped
	}
	if err != nil {
		p.undo()
		return err
	}
	for _, st := range p.replaced {
		st.release() // may write to a disk
	}
	if before != nil {
		before.Retire(clusters)
	}
	return nil
}

func (s *Server) clusterTables() cluster.Tables {
	return cluster.Tables{
		Balancers: s.opts.Balancers, Protocols: s.opts.Protocols, Dial: s.opts.Dial, Extensions: s.opts.TLSExtensions,
		DNS: dns.Env{Log: s.opts.Log}, Log: s.opts.Log,
	}
}

// plan is what an Apply will do, all of it made and opened already.
type plan struct {
	s        *Server
	snapshot *config.Snapshot
	// first is the one that the server begins with. Only that waits for a port: of
	// the others all that changes the server, or ends it, would have to wait.
	first bool

	updated []update
	added   []addition
	removed map[string]*frontend
	// replaced are the stacks that commit took out of use.
	replaced []*stack
	// The same for listeners for datagrams; one that changes is another.
	packetsAdded   []*datagrams
	packetsRemoved map[string]*datagrams
}

// update is a listener that stays, with its new stack.
type update struct {
	front *frontend
	cfg   config.Listener
	stack *stack
}

// addition is a new listener. It has a socket of its own unless it takes over another's.
type addition struct {
	front *frontend
	takes *frontend // nil for none
}

// make builds and opens everything, or says all that is wrong.
func (p *plan) make(ctx context.Context, clusters *cluster.Manager) error {
	s, snapshot := p.s, p.snapshot
	var problems decode.Problems
	seen := make(map[string]bool)
	sockets := make(map[string]*frontend) // those that a new listener can take over
	for _, f := range p.removed {
		if key := socketKey(f.cfg); key != "" {
			sockets[key] = f
		}
	}
	for i, cfg := range snapshot.Listeners {
		path := pathOf(s.opts.Paths, s.opts.Paths.Listeners, cfg.Name, i)
		if seen[cfg.Name] {
			problems = append(problems, decode.Problem{Path: path + ".name", Message: fmt.Sprintf("the name %q is taken", cfg.Name), Remedy: "names are unique"})
			continue
		}
		seen[cfg.Name] = true
		if cfg.Network == udpNetwork {
			if err := p.planDatagrams(ctx, cfg, path); err != nil {
				problems = append(problems, decode.AsProblems(err, path)...)
			}
			continue
		}
		st, err := s.build(snapshot, cfg, clusters, path)
		if err != nil {
			problems = append(problems, decode.AsProblems(err, path)...)
			continue
		}
		old := p.removed[cfg.Name]
		if old != nil && old.current.Load().kind == st.kind && sameAddress(old.cfg, cfg) {
			p.updated = append(p.updated, update{old, cfg, st})
			delete(p.removed, cfg.Name)
			delete(sockets, socketKey(cfg))
			continue
		}
		p.added = append(p.added, addition{front: s.newFrontend(cfg, st, p.first)})
	}
	for i := range p.added {
		a := &p.added[i]
		cfg := a.front.cfg
		a.takes = sockets[socketKey(cfg)]
		if old := p.removed[cfg.Name]; old != nil && cfg.BindPort && sameAddress(old.cfg, cfg) {
			a.takes = old // also where the system chose the port
		}
		delete(sockets, socketKey(cfg))
		if a.takes != nil {
			continue
		}
		if err := a.front.listener.Bind(ctx); err != nil {
			problems = append(problems, p.bindProblem(a.front, err))
		}
	}
	return problems.Err()
}

// bindProblem says what is wrong with a socket, and where that is written.
func (p *plan) bindProblem(f *frontend, err error) decode.Problem {
	paths := p.s.opts.Paths
	problem := decode.Problem{Message: err.Error()}
	if be, ok := errors.AsType[*listener.BindError](err); ok {
		problem.Remedy = be.Remedy
		problem.Message = fmt.Sprintf("listener %q cannot listen on %s: %v", be.Listener, be.Address, be.Err)
	}
	if problem.Path = paths.Made[f.cfg.Name]; problem.Path != "" {
		return problem // what made the listener is its address
	}
	for i := range p.snapshot.Listeners {
		if p.snapshot.Listeners[i].Name == f.cfg.Name {
			problem.Path = decode.At(paths.Listeners, i) + ".address"
			break
		}
	}
	return problem
}

// commit puts the plan in force. It reports false, and does nothing, when the
// server was stopped meanwhile; nothing else can fail.
func (p *plan) commit(clusters *cluster.Manager) bool {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	for _, u := range p.updated {
		p.replaced = append(p.replaced, u.front.update(u.cfg, u.stack))
	}
	for name, f := range p.removed {
		delete(s.listeners, name)
		s.retiring[f] = struct{}{}
	}
	for _, a := range p.added {
		s.listeners[a.front.cfg.Name] = a.front
		if a.takes != nil && !a.front.listener.TakeOver(a.takes.listener) {
			s.opts.Log.Warn("a listener was stopped while it was replaced", "listener", a.takes.listener.Name())
		}
		s.start(a.front)
	}
	for _, f := range p.removed {
		f.listener.StopAccepting() // its socket is closed when Apply returns
		s.work.Go(func() { s.retire(f) })
	}
	for name, d := range p.packetsRemoved {
		d.end()
		delete(s.packets, name)
	}
	for _, d := range p.packetsAdded {
		s.packets[d.cfg.Name] = d
		s.startDatagrams(d)
	}
	s.clusters, s.snapshot = clusters, p.snapshot
	clusters.Start(s.base)
	return true
}

// undo gives back what was made.
func (p *plan) undo() {
	for _, a := range p.added {
		a.front.close()
	}
	for _, u := range p.updated {
		u.stack.release()
	}
	for _, d := range p.packetsAdded {
		d.end()
	}
}

// retire ends a listener that is no longer configured.
func (s *Server) retire(f *frontend) {
	ctx, cancel := context.WithTimeout(s.base, s.opts.RetireTimeout)
	defer cancel()
	if err := f.listener.Drain(ctx); err != nil {
		s.opts.Log.Warn("a listener was removed before its connections had ended", "error", err)
	}
	s.closeFront(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.retiring, f)
}

// sameAddress reports whether the socket of one listener is what the other asks for.
func sameAddress(a, b config.Listener) bool {
	return a.BindPort == b.BindPort && (!a.BindPort || a.Address == b.Address && a.Network == b.Network &&
		a.ReusePort == b.ReusePort && reflect.DeepEqual(a.UseOriginalDst, b.UseOriginalDst))
}

// socketKey is the same for listeners that ask for the same socket; "" for one
// that has none, or one of its own.
func socketKey(cfg config.Listener) string {
	if !cfg.BindPort {
		return ""
	}
	if path, unix := strings.CutPrefix(cfg.Address, "unix:"); unix || cfg.Network == "unix" {
		return "unix:" + filepath.Clean(path)
	}
	if _, port, err := net.SplitHostPort(cfg.Address); err != nil || port == "0" {
		return ""
	}
	return cfg.Address
}
