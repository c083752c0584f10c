package configuration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Check returns an error of ErrInvalid when the item cannot be saved anywhere.
func (i Item) Check() error {
	switch {
	case i.Key == "":
		return fmt.Errorf("%w: an item has no key: every item needs one", ErrInvalid)
	case i.Key == Any || i.Group == Any || i.Label == Any:
		return fmt.Errorf("%w: item %q in group %q, label %q: %q means all when reading, and names nothing", ErrInvalid, i.Key, i.Group, i.Label, Any)
	}
	return nil
}

// CheckDelete returns an error of ErrInvalid when what is to be removed is not
// said exactly.
func (s Scope) CheckDelete(keys []string) error {
	for _, key := range keys {
		if err := (Item{Key: key, Group: s.Group, Label: s.Label}).Check(); err != nil {
			return err
		}
	}
	return nil
}

// ID is where an item stands.
type ID struct {
	AppID, Group, Label, Key string
}

// Compare orders by group, label, key and application.
func (id ID) Compare(other ID) int {
	return cmp.Or(strings.Compare(id.Group, other.Group), strings.Compare(id.Label, other.Label),
		strings.Compare(id.Key, other.Key), strings.Compare(id.AppID, other.AppID))
}

// Selection says which items are meant. The zero value means those without
// application, group and label.
type Selection struct {
	scope Scope
	keys  map[string]bool // nil: all
}

// Select makes a Selection as Get and Watch have it: no keys are all keys.
func Select(scope Scope, keys []string) Selection {
	s := Selection{scope: scope}
	if len(keys) == 0 || slices.Contains(keys, Any) {
		return s
	}
	s.keys = make(map[string]bool, len(keys))
	for _, key := range keys {
		s.keys[key] = true
	}
	return s
}

// Keys returns the keys that are asked for, sorted, each once; none are all of
// them.
func Keys(keys []string) []string {
	if slices.Contains(keys, Any) {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(keys)))
}

// Has says whether the item there is selected.
func (s Selection) Has(id ID) bool {
	return id.AppID == s.scope.AppID &&
		(s.scope.Group == Any || s.scope.Group == id.Group) &&
		(s.scope.Label == Any || s.scope.Label == id.Label) &&
		(s.keys == nil || s.keys[id.Key])
}

// Or returns the scope with the defaults in the place of what is "".
func (s Scope) Or(group, label string) Scope {
	s.Group, s.Label = cmp.Or(s.Group, group), cmp.Or(s.Label, label)
	return s
}

// Or returns the item with the defaults in the place of what is "".
func (i Item) Or(group, label string) Item {
	i.Group, i.Label = cmp.Or(i.Group, group), cmp.Or(i.Label, label)
	return i
}

// Sort brings items into the order that Get promises.
func Sort(items []Item) {
	slices.SortFunc(items, func(a, b Item) int {
		return ID{Group: a.Group, Label: a.Label, Key: a.Key}.Compare(ID{Group: b.Group, Label: b.Label, Key: b.Key})
	})
}

// Silence returns err, but when ctx's time is up an error of ErrUnavailable which
// says that who did not answer in it: what a component tells of its health.
func Silence(ctx context.Context, err error, who string) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: %s does not answer in time", ErrUnavailable, who)
	}
	return err
}

// Addresses returns a store's `address`, the servers; there must be one.
func Addresses(cfg components.Config) ([]string, error) {
	var list []string
	if v, ok := cfg.Rest["address"]; ok {
		if _, err := decode.Into(&list, v, decode.Join(cfg.Path, "address")); err != nil {
			return nil, err
		}
	}
	list = slices.DeleteFunc(slices.Clone(list), func(a string) bool { return strings.TrimSpace(a) == "" })
	for i, a := range list {
		list[i] = strings.TrimSpace(a)
	}
	if len(list) == 0 {
		return nil, decode.Problems{{Path: decode.Join(cfg.Path, "address"), Message: "is missing", Remedy: `where the servers are, for example ["127.0.0.1:2379"]`}}
	}
	return list, nil
}

// Timeout returns a store's `timeout`, in seconds or as a Go duration; fallback
// when there is none.
func Timeout(cfg components.Config, fallback time.Duration) (time.Duration, error) {
	text := ""
	if v, ok := cfg.Rest["timeout"]; ok {
		text = strings.TrimSpace(fmt.Sprint(v))
	}
	if text == "" {
		return fallback, nil
	}
	d, err := time.ParseDuration(text)
	if seconds, no := strconv.ParseFloat(text, 64); no == nil && seconds < 1e9 {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || d <= 0 {
		return 0, decode.Problems{{Path: decode.Join(cfg.Path, "timeout"), Message: fmt.Sprintf("%q is no time above zero", text), Remedy: `seconds or a Go duration: "10" or "10s"`}}
	}
	return d, nil
}
