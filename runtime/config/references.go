package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// reference is a component's need of another one of its own section.
type reference struct {
	path, name string
}

// within returns what a component of the section refers to in the same section, and
// so cannot be made before.
func within(section string, c Component) []reference {
	var refs []reference
	switch section {
	case SecretStores:
		for i, r := range c.SecretRefs {
			refs = append(refs, reference{decode.Join(decode.At(decode.Join(c.Path, "secret_ref"), i), "store_name"), r.StoreName})
		}
		if n := c.ComponentRef.SecretStore; n != "" {
			refs = append(refs, reference{decode.Join(decode.Join(c.Path, "component_ref"), "secret_store"), n})
		}
	case ConfigStores:
		if n := c.ComponentRef.ConfigStore; n != "" {
			refs = append(refs, reference{decode.Join(decode.Join(c.Path, "component_ref"), "config_store"), n})
		}
	}
	return refs
}

// InOrder returns the components of a section in an order in which each comes after
// those of the section that it refers to, as a secret store may to another one; apart
// from that by name.
func (r *Runtime) InOrder(section string) []Component {
	order, _ := inOrder(section, r.Components[section])
	return order
}

// inOrder does that. Components that refer to each other in circles come in some order.
func inOrder(section string, list []Component) (order []Component, circles []circle) {
	byName := make(map[string]Component, len(list))
	for _, c := range list {
		byName[c.Name] = c
	}
	done := make(map[string]bool, len(list))
	var way []string // the components that wait for what they refer to
	var visit func(c Component)
	visit = func(c Component) {
		if done[c.Name] {
			return
		}
		way = append(way, c.Name)
		for _, ref := range within(section, c) {
			if i := slices.Index(way, ref.name); i >= 0 {
				circles = append(circles, circle{path: ref.path, names: append(slices.Clone(way[i:]), ref.name)})
			} else if next, there := byName[ref.name]; there {
				visit(next)
			}
		}
		way = way[:len(way)-1]
		done[c.Name] = true
		order = append(order, c)
	}
	for _, c := range list {
		visit(c)
	}
	return order, circles
}

// circle is a chain of references that ends where it begins.
type circle struct {
	path  string   // of the last one
	names []string // the first one again at the end
}

// references checks that what components refer to is there, and can be there in time.
func (b *builder) references() {
	has := func(section, name string) bool {
		return slices.ContainsFunc(b.cfg.Runtime.Components[section], func(c Component) bool { return c.Name == name })
	}
	for _, section := range slices.Sorted(maps.Keys(b.cfg.Runtime.Components)) {
		for _, c := range b.cfg.Runtime.Components[section] {
			for i, r := range c.SecretRefs {
				at := decode.At(decode.Join(c.Path, "secret_ref"), i)
				switch {
				case !has(SecretStores, r.StoreName):
					b.fail(decode.Join(at, "store_name"), b.names(SecretStores), "there is no secret store %q", r.StoreName)
				case r.Key == "":
					b.fail(decode.Join(at, "key"), "write which secret", "is missing")
				}
			}
			at := decode.Join(c.Path, "component_ref")
			if n := c.ComponentRef.SecretStore; n != "" && !has(SecretStores, n) {
				b.fail(decode.Join(at, "secret_store"), b.names(SecretStores), "there is no secret store %q", n)
			}
			switch n := c.ComponentRef.ConfigStore; {
			case n == "":
			case !has(ConfigStores, n):
				b.fail(decode.Join(at, "config_store"), b.names(ConfigStores), "there is no configuration store %q", n)
			case section == SecretStores:
				b.warn(decode.Join(at, "config_store"), "remove it", "has no effect: secret stores are made before configuration stores")
			}
		}
		_, circles := inOrder(section, b.cfg.Runtime.Components[section])
		for _, c := range circles {
			remedy := "remove one of these references"
			if section == SecretStores {
				remedy = "take one of these settings from the environment, as ${VARIABLE}"
			}
			if len(c.names) <= 2 {
				b.fail(c.path, remedy, "%q refers to itself, so that it cannot be made", c.names[0])
				continue
			}
			b.fail(c.path, remedy, "the components refer to each other in a circle, so that none can be made first: %s", strings.Join(c.names, " -> "))
		}
	}
}
