package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/custom"
	"github.com/ottavo-runtime/ottavo/components/pluggable"
	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// pluggables is what was found of components in processes of their own. The zero
// value: nobody has looked.
type pluggables struct {
	folders  []pluggable.Folder
	sockets  []pluggable.Socket
	problems []pluggable.Problem
	// clashes are the types of a section that cannot be used, with the reason.
	clashes map[clash]string
	customs []components.Row[custom.Component]
}

type clash struct{ section, typ string }

// Discover looks for components in processes of their own and returns the tables
// with the types that these offer, for config.Load (by ConfigOptions) and New, and
// warnings: sockets that offer nothing. It looks once, for five seconds at most, in
// the folders that the environment names, or in those by default.
//
// A type that is there already, or is offered twice, is not decided by chance: a
// configuration that uses it is wrong.
func (t Tables) Discover(ctx context.Context, lookupEnv func(string) (string, bool)) (Tables, decode.Problems) {
	p := &pluggables{folders: pluggable.Folders(lookupEnv), clashes: make(map[clash]string)}
	p.sockets, p.problems = pluggable.Discover(ctx, p.folders)
	var warnings decode.Problems
	for _, bad := range p.problems {
		warnings = append(warnings, decode.Problem{Path: bad.Path, Message: bad.Err.Error(), Remedy: "no component comes from here"})
	}
	for _, s := range p.sockets {
		rows, known := pluggable.RowsOf(s)
		if !known {
			warnings = append(warnings, decode.Problem{Path: s.Path, Message: "its process serves no component: " + some(s.Services), Remedy: "no component comes from here"})
			continue
		}
		add(p, s, config.SecretStores, &t.Secrets, rows.Secrets)
		add(p, s, config.ConfigStores, &t.Configurations, rows.Configurations)
		add(p, s, config.CustomComponents, &p.customs, rows.Customs)
		add(p, s, config.Hellos, &t.Hellos, rows.Hellos)
		add(p, s, config.States, &t.States, rows.States)
		add(p, s, config.Bindings, &t.Bindings, rows.Bindings)
		add(p, s, config.PubSubs, &t.Brokers, rows.Brokers)
		add(p, s, config.Files, &t.Files, rows.Files)
		add(p, s, config.ObjectStores, &t.ObjectStores, rows.ObjectStores)
		add(p, s, config.Locks, &t.Locks, rows.Locks)
		add(p, s, config.Sequencers, &t.Sequencers, rows.Sequencers)
		add(p, s, config.Ciphers, &t.Ciphers, rows.Ciphers)
		add(p, s, config.EmailSenders, &t.EmailSenders, rows.EmailSenders)
		add(p, s, config.PhoneCallers, &t.PhoneCallers, rows.PhoneCallers)
		add(p, s, config.SMSSenders, &t.SMSSenders, rows.SMSSenders)
	}
	t.pluggables = p
	return t, warnings
}

// add adds rows to those that there are.
func add[T any](p *pluggables, s pluggable.Socket, section string, have *[]components.Row[T], found []components.Row[T]) {
	for _, row := range found {
		i := slices.IndexFunc(*have, func(r components.Row[T]) bool { return r.Type == row.Type })
		*have = slices.Clone(*have) // the caller's stays as it is
		if i < 0 {
			*have = append(*have, row)
			continue
		}
		other := "is built in"
		for _, o := range p.sockets {
			if (*have)[i].Doc == pluggable.Doc(o) {
				other = "comes from the socket " + o.Path
			}
		}
		text := fmt.Sprintf("the type %q is not clear: it %s, and the socket %s offers it, too; rename the socket's file", row.Type, other, s.Path)
		p.clashes[clash{section, row.Type}] = text
		(*have)[i].New = func(context.Context, components.Env, components.Config) (none T, err error) {
			return none, fmt.Errorf("%s", text)
		}
	}
}

// check returns what is wrong with every use of a type; nil: nothing.
func (p *pluggables) check(section, typ string) func(config.Component, func(decode.Problem)) error {
	if p == nil || p.clashes[clash{section, typ}] == "" {
		return nil
	}
	return func(c config.Component, _ func(decode.Problem)) error {
		return decode.Problems{{Path: decode.Join(c.Path, "type"), Message: p.clashes[clash{section, typ}]}}
	}
}

// elsewhere says where a type that is unknown was looked for, and what there is of
// its name.
func (p *pluggables) elsewhere(typ string) string {
	if p == nil {
		return ""
	}
	for _, bad := range p.problems {
		if bad.Type == typ {
			return fmt.Sprintf("the socket %s has the name, but: %v", bad.Path, bad.Err)
		}
	}
	for _, s := range p.sockets {
		if s.Type == typ {
			return fmt.Sprintf("the socket %s has the name, but its process serves no component of this kind: %s", s.Path, some(s.Services))
		}
	}
	paths := make([]string, len(p.folders))
	for i, f := range p.folders {
		paths[i] = f.Path
	}
	return fmt.Sprintf("a component in a process of its own would have the socket %s.sock in %s", typ, strings.Join(paths, " or "))
}

// some lists a few services.
func some(services []string) string {
	const most = 5
	if len(services) > most {
		return strings.Join(services[:most], ", ") + fmt.Sprintf(" and %d more", len(services)-most)
	}
	return strings.Join(services, ", ")
}

// customRows are the rows for a user's own kind, of which there are these
// components; false when nobody brings any.
func (t Tables) customRows(kind string, list []config.Component) ([]components.Row[custom.Component], bool) {
	rows, known := t.Customs[kind]
	if t.pluggables == nil {
		return rows, known
	}
	for _, row := range t.pluggables.customs {
		known = known || slices.ContainsFunc(list, func(c config.Component) bool { return c.Type == row.Type })
	}
	return slices.Concat(rows, t.pluggables.customs), known
}
