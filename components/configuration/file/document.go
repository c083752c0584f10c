package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/internal/atomicfile"
)

// maxFile is how large a file may be, in bytes.
const maxFile = 16 << 20

// newMode is the mode of files that are made.
const newMode = 0o640

// itemsKey is the key of the list in a file's long form.
const itemsKey = "items"

// document is one file with all items.
type document struct {
	path   string
	appID  string // of items that name none
	create bool   // it may be missing
	long   bool   // the form it was read in
	known  bool   // it was there once: it is not to be missing any more
}

// record is an item in the long form.
type record struct {
	Key     string            `json:"key" yaml:"key"`
	Content string            `json:"content" yaml:"content"`
	Group   string            `json:"group,omitempty" yaml:"group,omitempty"`
	Label   string            `json:"label,omitempty" yaml:"label,omitempty"`
	AppID   *string           `json:"app_id,omitempty" yaml:"app_id,omitempty"`
	Tags    map[string]string `json:"tags,omitempty" yaml:"tags,omitempty"`
}

func (d *document) json() bool { return strings.EqualFold(filepath.Ext(d.path), ".json") }

func (d *document) stamp() (string, time.Time, error) {
	info, err := os.Stat(d.path)
	switch {
	case d.create && !d.known && errors.Is(err, fs.ErrNotExist):
		return "none", time.Time{}, nil
	case err != nil:
		return "", time.Time{}, fmt.Errorf("cannot read the configuration: %w", err)
	case !info.Mode().IsRegular():
		return "", time.Time{}, fmt.Errorf("cannot read the configuration: %s is no regular file", d.path)
	}
	return look(info), info.ModTime(), nil
}

// look says how a file looks, without reading it.
func look(info fs.FileInfo) string {
	return fmt.Sprintf("%d bytes of %d", info.Size(), info.ModTime().UnixNano())
}

func (d *document) read() (map[configuration.ID]configuration.Item, error) {
	data, err := readFile(d.path)
	if d.create && !d.known && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	records, long, err := parse(data, d.json())
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %s: %w", d.path, err)
	}
	items := make(map[configuration.ID]configuration.Item, len(records))
	for _, r := range records {
		item := configuration.Item{Key: r.Key, Content: r.Content, Group: r.Group, Label: r.Label, Tags: r.Tags}.Or(defaultGroup, defaultLabel)
		id := configuration.ID{AppID: d.appID, Group: item.Group, Label: item.Label, Key: item.Key}
		if r.AppID != nil {
			id.AppID = *r.AppID
		}
		if err := item.Check(); err != nil {
			return nil, fmt.Errorf("cannot read the configuration: %s: %w", d.path, err)
		}
		if _, twice := items[id]; twice {
			return nil, fmt.Errorf("cannot read the configuration: %s: the key %q is there twice in group %q, label %q: keep one", d.path, item.Key, item.Group, item.Label)
		}
		items[id] = item
	}
	d.long, d.known = long, true
	return items, nil
}

// readFile reads a file, unless it is too large.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, more than %d: divide it", path, info.Size(), maxFile)
	}
	return os.ReadFile(path)
}

// parse reads a file's text and says whether it is in the long form.
func parse(data []byte, isJSON bool) (records []record, long bool, err error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, false, nil
	}
	if isJSON {
		return parseJSON(data)
	}
	return parseYAML(data)
}

func parseJSON(data []byte) ([]record, bool, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(data, &top); err != nil {
		return nil, false, fmt.Errorf("not valid JSON with keys and contents: %w", err)
	}
	if list, ok := top[itemsKey]; ok && bytes.HasPrefix(bytes.TrimSpace(list), []byte("[")) && len(top) == 1 {
		var records []record
		decoder := json.NewDecoder(bytes.NewReader(list))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&records); err != nil {
			return nil, false, fmt.Errorf("%s: %w", itemsKey, err)
		}
		return records, true, nil
	}
	records := make([]record, 0, len(top))
	for key, raw := range top {
		content := string(raw)
		var text *string
		if err := json.Unmarshal(raw, &text); err == nil {
			content = ""
			if text != nil {
				content = *text
			}
		}
		records = append(records, record{Key: key, Content: content})
	}
	return records, false, nil
}

func parseYAML(data []byte) ([]record, bool, error) {
	var top map[string]yaml.Node
	if err := yaml.Unmarshal(data, &top); err != nil {
		return nil, false, fmt.Errorf("not valid YAML with keys and contents: %w", err)
	}
	if list, ok := top[itemsKey]; ok && list.Kind == yaml.SequenceNode && len(top) == 1 {
		var whole struct {
			Items []record `yaml:"items"`
		}
		decoder := yaml.NewDecoder(bytes.NewReader(data))
		decoder.KnownFields(true)
		if err := decoder.Decode(&whole); err != nil {
			return nil, false, err
		}
		return whole.Items, true, nil
	}
	records := make([]record, 0, len(top))
	for key, node := range top {
		content, err := yamlContent(&node)
		if err != nil {
			return nil, false, fmt.Errorf("line %d: %q: %w", node.Line, key, err)
		}
		records = append(records, record{Key: key, Content: content})
	}
	return records, false, nil
}

// yamlContent is the text of a value: a scalar as it is written, anything else as
// JSON.
func yamlContent(node *yaml.Node) (string, error) {
	for range 100 {
		if node.Kind != yaml.AliasNode || node.Alias == nil {
			break
		}
		node = node.Alias
	}
	if node.Kind == yaml.ScalarNode {
		if node.ShortTag() == "!!null" {
			return "", nil
		}
		return node.Value, nil
	}
	var value any
	if err := node.Decode(&value); err != nil {
		return "", err
	}
	out, err := json.Marshal(value)
	return string(out), err
}

func (*document) check(configuration.ID, configuration.Item) error { return nil }

func (d *document) write(all map[configuration.ID]configuration.Item, _ []configuration.ID) error {
	// A file stays in its form for as long as that can hold its items.
	long := d.long
	for id, item := range all {
		if id.AppID != d.appID || id.Group != defaultGroup || id.Label != defaultLabel || len(item.Tags) > 0 || id.Key == itemsKey {
			long = true
		}
	}
	var text any
	if long {
		text = map[string]any{itemsKey: d.records(all)}
	} else {
		contents := make(map[string]string, len(all))
		for id, item := range all {
			contents[id.Key] = item.Content
		}
		text = contents
	}
	var out []byte
	var err error
	if d.json() {
		out, err = json.MarshalIndent(text, "", "  ")
		out = append(out, '\n')
	} else {
		out, err = yaml.Marshal(text)
	}
	if err != nil {
		return err
	}
	if len(out) > maxFile {
		return fmt.Errorf("%w: %s would have %d bytes, more than %d: use another file", configuration.ErrInvalid, d.path, len(out), maxFile)
	}
	if err := atomicfile.Write(d.path, out, newMode); err != nil {
		return err
	}
	d.long, d.known = long, true
	return nil
}

// records returns items in the long form, sorted.
func (d *document) records(all map[configuration.ID]configuration.Item) []record {
	ids := slices.SortedFunc(maps.Keys(all), configuration.ID.Compare)
	records := make([]record, len(ids))
	for i, id := range ids {
		r := record{Key: id.Key, Content: all[id].Content, Tags: all[id].Tags}
		if id.Group != defaultGroup {
			r.Group = id.Group
		}
		if id.Label != defaultLabel {
			r.Label = id.Label
		}
		if id.AppID != d.appID {
			r.AppID = &id.AppID
		}
		records[i] = r
	}
	return records
}
