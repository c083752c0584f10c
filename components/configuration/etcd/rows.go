package etcd

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ottavo-runtime/ottavo/components/configuration"
)

func checkApp(id string) error {
	if id == "" {
		return fmt.Errorf("%w: there is no application id, under which etcd has the items: send app_id, or set app.app_id", configuration.ErrInvalid)
	}
	return nil
}

// escape makes a text one part of a row's key. Everything but "/" stays as it is,
// except what would be read as an escape.
func escape(part string) string { return escaper.Replace(part) }

func unescape(part string) string { return unescaper.Replace(part) }

var (
	escaper   = strings.NewReplacer("/", "%2F", "%2F", "%252F", "%2f", "%252f", "%25", "%2525")
	unescaper = strings.NewReplacer("%2F", "/", "%2f", "/", "%25", "%")
)

// appRow is what all rows of an application begin with.
func appRow(appID string) string { return "/" + escape(appID) + "/" }

// rowOf is the row of an item; without a key what all rows of its group and label
// begin with.
func rowOf(id configuration.ID) string {
	return appRow(id.AppID) + escape(id.Group) + "/" + escape(id.Label) + "/" + escape(id.Key)
}

// tagPart is the last part of a tag's row.
func tagPart(name, value string) string {
	return strings.ReplaceAll(url.PathEscape(name), "=", "%3D") + "=" + url.PathEscape(value)
}

// tag reads it back. Layotto writes the value only.
func tag(part string) (name, value string) {
	name, value, named := strings.Cut(part, "=")
	if !named {
		text := unescape(part)
		return text, text
	}
	n, err1 := url.PathUnescape(name)
	v, err2 := url.PathUnescape(value)
	if err := cmp.Or(err1, err2); err != nil {
		return name, value
	}
	return n, v
}

// saveOps puts an item's rows and removes the rows of tags that it no longer has.
func saveOps(row string, item configuration.Item) []clientv3.Op {
	tags := make([]string, 0, len(item.Tags))
	for name, value := range item.Tags {
		tags = append(tags, row+"/"+tagPart(name, value))
	}
	slices.Sort(tags)
	ops := []clientv3.Op{clientv3.OpPut(row, item.Content)}
	// The gaps between the rows that stay: etcd does not take a range that holds
	// a row which is put in the same transaction.
	from, end := row+"/", clientv3.GetPrefixRangeEnd(row+"/")
	for _, tag := range tags {
		ops = append(ops, clientv3.OpPut(tag, item.Content), clientv3.OpDelete(from, clientv3.WithRange(tag)))
		from = tag + "\x00"
	}
	return append(ops, clientv3.OpDelete(from, clientv3.WithRange(end)))
}

// rows are the rows of an application, brought into items.
type rows struct {
	appID string
	by    map[configuration.ID]*itemRows
}

// itemRows are the rows of an item.
type itemRows struct {
	content string
	there   bool                // there is a row of the item itself, not of tags only
	tags    map[string]struct{} // last parts of rows
}

func newRows(appID string) *rows {
	return &rows{appID: appID, by: make(map[configuration.ID]*itemRows)}
}

// place finds out what a row is of; false when it is nothing of ours.
func (r *rows) place(row string) (id configuration.ID, tag string, ok bool) {
	rest, ours := strings.CutPrefix(row, appRow(r.appID))
	if !ours {
		return id, "", false
	}
	parts := strings.Split(rest, "/")
	if len(parts) < 3 || len(parts) > 4 || parts[2] == "" {
		return id, "", false
	}
	id = configuration.ID{AppID: r.appID, Group: unescape(parts[0]), Label: unescape(parts[1]), Key: unescape(parts[2])}
	if len(parts) == 4 {
		return id, parts[3], parts[3] != ""
	}
	return id, "", true
}

// put notes a row and returns the item that it is of.
func (r *rows) put(row, value string) (configuration.ID, bool) {
	id, tag, ok := r.place(row)
	if !ok {
		return id, false
	}
	it := r.by[id]
	if it == nil {
		it = &itemRows{tags: make(map[string]struct{})}
		r.by[id] = it
	}
	if tag != "" {
		it.tags[tag] = struct{}{}
	} else {
		it.content, it.there = value, true
	}
	return id, true
}

// remove notes that a row is gone and returns the item that it was of.
func (r *rows) remove(row string) (configuration.ID, bool) {
	id, tag, ok := r.place(row)
	it := r.by[id]
	if !ok || it == nil {
		return id, false
	}
	if tag != "" {
		delete(it.tags, tag)
	} else {
		it.content, it.there = "", false
	}
	if !it.there && len(it.tags) == 0 {
		delete(r.by, id)
	}
	return id, true
}

// item returns what there is, one that is Deleted if there is nothing.
func (r *rows) item(id configuration.ID) configuration.Item {
	item := configuration.Item{Key: id.Key, Group: id.Group, Label: id.Label}
	it := r.by[id]
	if it == nil || !it.there {
		item.Deleted = true
		return item
	}
	item.Content = it.content
	for _, part := range slices.Sorted(maps.Keys(it.tags)) {
		name, value := tag(part)
		if item.Tags == nil {
			item.Tags = make(map[string]string, len(it.tags))
		}
		item.Tags[name] = value
	}
	return item
}

// items returns the selected items, sorted.
func (r *rows) items(sel configuration.Selection) []configuration.Item {
	found := make([]configuration.Item, 0, len(r.by))
	for id := range r.by {
		if item := r.item(id); !item.Deleted && sel.Has(id) {
			found = append(found, item)
		}
	}
	configuration.Sort(found)
	return found
}
