package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Resolver looks names up. It is safe for concurrent use, and needs no closing.
type Resolver struct {
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	settings func() *settings
	hosts    *file[hostsTable]
}

// Lookup is the ability to look names up that a Watcher and a Dialer need; a
// *Resolver has it. See Resolver.Lookup.
type Lookup interface {
	Lookup(ctx context.Context, name string, family Family) ([]netip.Addr, time.Duration, error)
}

// NotFoundError says that DNS has an answer, and that it is: none.
type NotFoundError struct {
	Name string
	// Exists: there is such a name, but it has no address of the family.
	Exists bool
	Family Family
}

// Error says what there is not.
func (e *NotFoundError) Error() string {
	if e.Exists {
		return fmt.Sprintf("%s has no address of family %s in DNS", e.Name, e.Family)
	}
	return fmt.Sprintf("%s is not known to DNS", e.Name)
}

const (
	// localTTL is for how long an answer from the hosts file holds.
	localTTL = 5 * time.Second
	// maxTTL is the longest that any answer holds (RFC 8767 section 4).
	maxTTL = 7 * 24 * time.Hour
	// maxLinks is how many aliases (CNAME) are followed.
	maxLinks = 16
)

// Lookup returns the addresses of a name, at least one, sorted, each once, and
// for how long they hold: seven days for what is itself an address. It ends when
// ctx does; else it takes at most attempts * timeout for each server, each
// domain of the search list, each family, and each alias that a server gives
// without saying what it stands for.
//
// A name is asked for as resolv.conf(5) has it: with fewer dots than ndots,
// below each domain of the search list first, else as it is first; as it is
// alone if it ends with a dot. The first that has addresses is the answer.
//
// The error is a *NotFoundError when the servers say that there is no address.
// When one of the names on the way was refused by all servers while the others
// do not exist, or when no server answered, it is another; a name later in the
// search list is not asked for when none answered, as it may be another service.
// With Auto, a failure to find out about IPv6 alone does not count.
func (r *Resolver) Lookup(ctx context.Context, name string, family Family) ([]netip.Addr, time.Duration, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{ip.Unmap()}, maxTTL, nil
	}
	if !validName(name) {
		return nil, 0, fmt.Errorf("%q is no name for DNS", name)
	}
	if list := r.hosts.get().lookup(name, family); len(list) > 0 {
		return unique(list), localTTL, nil
	}
	s := r.settings()
	missing := &NotFoundError{Name: name, Family: family}
	var refused error
	for _, full := range s.candidates(name) {
		list, ttl, err := r.find(ctx, s, full, family)
		if err == nil {
			return unique(list), ttl, nil
		}
		var none *NotFoundError
		switch {
		case errors.As(err, &none):
			missing.Exists = missing.Exists || none.Exists
		case errors.As(err, new(*refusedError)):
			refused = err
		default:
			return nil, 0, fmt.Errorf("looking up %s: %w", name, err)
		}
	}
	if refused != nil {
		return nil, 0, fmt.Errorf("looking up %s: %w", name, refused)
	}
	return nil, 0, missing
}

// candidates returns the full names that a name may stand for, in order.
func (s *settings) candidates(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var list []string
	for _, domain := range s.search {
		full := name + "."
		if domain != "" {
			full += domain + "."
		}
		if validName(full) && !slices.Contains(list, full) {
			list = append(list, full)
		}
	}
	asItIs := name + "."
	if slices.Contains(list, asItIs) { // the search list has the root
		return list
	}
	if strings.Count(name, ".") >= s.ndots {
		return slices.Insert(list, 0, asItIs)
	}
	return append(list, asItIs)
}

// unique sorts addresses and takes out what is there twice.
func unique(list []netip.Addr) []netip.Addr {
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}
