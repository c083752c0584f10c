package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// mostIncluded is the most files that a folder in the configuration may have.
const mostIncluded = 10_000

// include puts the files of the folders that the document names in the place of
// the folders: clusters_configs has a file for each of cluster_manager.clusters,
// router_configs one for each of a router's virtual_hosts. They come in the
// order of their names. A relative folder is one below the working directory.
func (d *document) include(lookup func(string) (string, bool)) decode.Problems {
	root, ok := d.root.(map[string]any)
	if !ok {
		return nil // decoding will say so
	}
	i := includer{lookup: lookup}
	if m, ok := root["cluster_manager"].(map[string]any); ok {
		i.folder(m, d.marks.child("cluster_manager"), "cluster_manager", "clusters_configs", "clusters")
	}
	servers, _ := root["servers"].([]any)
	for s, server := range servers {
		server, _ := server.(map[string]any)
		routers, _ := server["routers"].([]any)
		for r, router := range routers {
			router, ok := router.(map[string]any)
			if !ok {
				continue
			}
			at := decode.At(decode.Join(decode.At("servers", s), "routers"), r)
			i.folder(router, d.marks.child("servers").item(s).child("routers").item(r), at, "router_configs", "virtual_hosts")
		}
	}
	return i.problems
}

type includer struct {
	lookup   func(string) (string, bool)
	problems decode.Problems
}

func (i *includer) fail(path, remedy, format string, args ...any) {
	i.problems = append(i.problems, decode.Problem{Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

// folder reads the folder that section names under key into the list called into.
func (i *includer) folder(section map[string]any, marks *mark, path, key, into string) {
	name, _ := section[key].(string)
	if name == "" {
		return
	}
	at := decode.Join(path, key)
	if list, _ := section[into].([]any); len(list) > 0 {
		i.fail(at, "keep one of them", "has both %s and %s", key, into)
		return
	}
	name, message, remedy := expandText(name, i.lookup)
	if message != "" {
		i.fail(at, remedy, "%s", message)
		return
	}
	files, err := os.ReadDir(name)
	if err != nil {
		if e, ok := errors.AsType[*os.PathError](err); ok {
			err = e.Err
		}
		i.fail(at, "name a folder that can be read", "%s: %v", name, err)
		return
	}
	files = slices.DeleteFunc(files, func(f os.DirEntry) bool {
		_, err := format(f.Name())
		return f.IsDir() || err != nil
	})
	if len(files) > mostIncluded {
		i.fail(at, "is it the right folder?", "%s has %d files, more than %d", name, len(files), mostIncluded)
		return
	}
	list := make([]any, 0, len(files))
	places := &mark{line: marks.child(key).at()}
	for _, f := range files {
		file := filepath.Join(name, f.Name())
		data, err := read(file)
		if err == nil {
			var doc *document
			if doc, err = parse(file, data); err == nil {
				doc.marks.file = file
				list, places.items = append(list, doc.root), append(places.items, doc.marks)
				continue
			}
		}
		i.problems = append(i.problems, decode.AsProblems(err, at)...)
	}
	delete(section, key)
	section[into] = list
	if marks != nil {
		marks.keys[into] = places
	}
}

// child returns the place of a key of a section; nil if there is none.
func (m *mark) child(key string) *mark {
	if m == nil {
		return nil
	}
	return m.keys[key]
}

// item returns the place of an entry of a list; nil if there is none.
func (m *mark) item(i int) *mark {
	if m == nil || i >= len(m.items) {
		return nil
	}
	return m.items[i]
}

// at returns the line of the place, 0 if it is not known.
func (m *mark) at() int {
	if m == nil {
		return 0
	}
	return m.line
}
