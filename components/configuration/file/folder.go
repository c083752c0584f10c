package file

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/internal/atomicfile"
)

// folder is a folder with a file for each item.
type folder struct {
	path  string
	appID string
}

// files returns the files of items, by where these stand.
func (f folder) files() (map[configuration.ID]string, error) {
	found := make(map[configuration.ID]string)
	err := f.walk(nil, func(id configuration.ID, path string) error {
		if other, twice := found[id]; twice {
			return fmt.Errorf("%s and %s are the same item: keep one", other, path)
		}
		found[id] = path
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return found, nil
}

// walk calls on for the files below the folders, of which there are two levels.
func (f folder) walk(names []string, on func(id configuration.ID, path string) error) error {
	dir := filepath.Join(f.path, filepath.Join(names...))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // Kubernetes' own, or a file that is being written
		}
		path, deeper := filepath.Join(dir, e.Name()), append(slices.Clone(names), e.Name())
		info, err := os.Stat(path) // of what a link leads to
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // gone meanwhile
		case err != nil:
			return err
		case info.IsDir() && len(names) < 2:
			err = f.walk(deeper, on)
		case info.Mode().IsRegular():
			err = on(f.place(deeper), path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// place is where the item of a file stands.
func (f folder) place(names []string) configuration.ID {
	id := configuration.ID{AppID: f.appID, Group: defaultGroup, Label: defaultLabel}
	for i, name := range names {
		text, err := url.PathUnescape(name)
		if err != nil {
			text = name
		}
		switch {
		case i == len(names)-1:
			id.Key = text
		case i == 0:
			id.Group = text
		default:
			id.Label = text
		}
	}
	return id
}

// fileOf is the file of an item.
func (f folder) fileOf(id configuration.ID) string {
	switch {
	case id.Label != defaultLabel:
		return filepath.Join(f.path, escape(id.Group), escape(id.Label), escape(id.Key))
	case id.Group != defaultGroup:
		return filepath.Join(f.path, escape(id.Group), escape(id.Key))
	}
	return filepath.Join(f.path, escape(id.Key))
}

// escape makes a text the name of a file that place reads back.
func escape(text string) string {
	name := url.PathEscape(text)
	if strings.HasPrefix(name, ".") {
		name = "%2E" + name[1:]
	}
	return name
}

func (f folder) stamp() (string, time.Time, error) {
	files, err := f.files()
	if err != nil {
		return "", time.Time{}, err
	}
	var b strings.Builder
	var latest time.Time
	for _, id := range slices.SortedFunc(maps.Keys(files), configuration.ID.Compare) {
		info, err := os.Stat(files[id])
		if err != nil {
			continue // gone meanwhile
		}
		fmt.Fprintf(&b, "%q %s\n", files[id], look(info))
		if info.ModTime().After(latest) {
			latest = info.ModTime()
		}
	}
	return "files:" + b.String(), latest, nil
}

func (f folder) read() (map[configuration.ID]configuration.Item, error) {
	files, err := f.files()
	if err != nil {
		return nil, err
	}
	items := make(map[configuration.ID]configuration.Item, len(files))
	for id, path := range files {
		data, err := readFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the configuration: %w", err)
		}
		items[id] = configuration.Item{Key: id.Key, Group: id.Group, Label: id.Label, Content: string(data)}
	}
	return items, nil
}

func (f folder) check(id configuration.ID, item configuration.Item) error {
	switch path := f.fileOf(id); {
	case len(item.Tags) > 0:
		return fmt.Errorf("%w: an item in a folder of files has no tags: leave them out, or use one file", configuration.ErrNotSupported)
	case id.AppID != f.appID:
		return fmt.Errorf("%w: the items in the folder %s are those of application %q: use one file for several", configuration.ErrNotSupported, f.path, f.appID)
	default:
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return fmt.Errorf("%w: the key %q would be the file %s, which is a folder: choose another key", configuration.ErrInvalid, id.Key, path)
		}
	}
	return nil
}

func (f folder) write(all map[configuration.ID]configuration.Item, changed []configuration.ID) error {
	files, err := f.files()
	if err != nil {
		return err
	}
	slices.SortFunc(changed, configuration.ID.Compare)
	for _, id := range changed {
		path, there := files[id]
		item, stays := all[id]
		switch {
		case !stays && there:
			err = os.Remove(path)
		case !stays:
			continue
		default:
			if !there {
				path = f.fileOf(id)
				err = os.MkdirAll(filepath.Dir(path), 0o750)
			}
			if err == nil {
				err = atomicfile.Write(path, []byte(item.Content), newMode)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
