package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// errFull ends a walk when the page is full.
var errFull = errors.New("the page is full")

// walker goes through the keys of a bucket in their order.
type walker struct {
	s   *store
	ctx context.Context
	// prefix is what keys begin with. Keys before from, and from itself, are
	// passed over, unless inclusive.
	prefix, delimiter, from string
	inclusive               bool
	// marks counts marks of deletion as something that is there.
	marks bool
	// key is called with every key and its folder, common with what stands for
	// several; both return errFull to end the walk.
	key    func(key, folder string) error
	common func(prefix string) error

	rolled string // the common prefix that we are in
}

func (w *walker) bucket(name string) error {
	dir := bucketsDir + "/" + name
	if _, err := w.s.root.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: there is no bucket %q", objectstore.ErrNotFound, name)
	} else if err != nil {
		return w.s.explain(err)
	}
	if err := w.folder(dir, ""); !errors.Is(err, errFull) {
		return err
	}
	return nil
}

func (w *walker) folder(dir, above string) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	entries, err := w.s.readDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	if err != nil {
		return w.s.explain(err)
	}
	type item struct {
		key, file string
		isFolder  bool
	}
	items := make([]item, 0, len(entries))
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), folderSuffix); ok {
			if part, ok := unescape(name); ok {
				items = append(items, item{above + part + "/", e.Name(), true})
			}
		} else if name, ok := strings.CutSuffix(e.Name(), objectSuffix); ok {
			if part, ok := unescape(name); ok {
				items = append(items, item{above + part, e.Name(), false})
			}
		}
	}
	slices.SortFunc(items, func(x, y item) int {
		// The key "a/" and the folder of "a/b" have the same text; the key comes first.
		return cmp.Or(strings.Compare(x.key, y.key), cmp.Compare(len(x.file), len(y.file)))
	})
	for _, it := range items {
		switch {
		case it.isFolder && w.wants(it.key):
			err = w.folder(dir+"/"+it.file, it.key)
		case !it.isFolder:
			err = w.object(it.key, dir+"/"+it.file)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wants tells whether anything that begins with that may be asked for.
func (w *walker) wants(start string) bool {
	switch {
	case !strings.HasPrefix(start, w.prefix) && !strings.HasPrefix(w.prefix, start):
		return false
	case w.rolled != "" && strings.HasPrefix(start, w.rolled):
		return false
	}
	return w.from <= start || strings.HasPrefix(w.from, start)
}

func (w *walker) object(key, folder string) error {
	switch {
	case !strings.HasPrefix(key, w.prefix):
		return nil
	case w.rolled != "" && strings.HasPrefix(key, w.rolled):
		return nil
	case key < w.from, key == w.from && !w.inclusive:
		return nil
	}
	if w.delimiter != "" {
		if i := strings.Index(key[len(w.prefix):], w.delimiter); i >= 0 {
			common := key[:len(w.prefix)+i+len(w.delimiter)]
			if common == w.from { // told by the page before
				w.rolled = common
				return nil
			}
			if visible, err := w.visible(folder); err != nil || !visible {
				return err
			}
			if err := w.common(common); err != nil {
				return err
			}
			w.rolled = common
			return nil
		}
	}
	return w.key(key, folder)
}

// visible tells whether there is anything in the folder of a key that would be listed.
func (w *walker) visible(folder string) (bool, error) {
	rec, err := w.s.newest(folder)
	return rec != nil && (!rec.DeleteMarker || w.marks), err
}

// encoder returns what keys in an answer are put through.
func encoder(encodingType string) (func(string) string, error) {
	switch encodingType {
	case "":
		return func(s string) string { return s }, nil
	case "url":
		return url.QueryEscape, nil
	}
	return nil, fmt.Errorf("%w: encoding_type %q: must be url or empty", objectstore.ErrInvalid, encodingType)
}

// limit is the most entries of a page.
func limit(asked int) int {
	if asked == 0 {
		return objectstore.MaxKeys
	}
	return min(asked, objectstore.MaxKeys)
}

// List lists the objects of a bucket.
func (s *store) List(ctx context.Context, req *objectstore.ListRequest) (*objectstore.ListResult, error) {
	encode, err := encoder(req.EncodingType)
	if err = errors.Join(err, objectstore.CheckBucket(req.Bucket), objectstore.CheckLimit(req.MaxKeys)); err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	most := limit(req.MaxKeys)
	out := &objectstore.ListResult{
		Bucket: req.Bucket, Delimiter: req.Delimiter, EncodingType: req.EncodingType, Marker: req.Marker,
		Prefix: req.Prefix, MaxKeys: most,
	}
	last := ""
	room := func(name string) error {
		if len(out.Objects)+len(out.CommonPrefixes) == most {
			out.Truncated, out.NextMarker = true, encode(last)
			return errFull
		}
		last = name
		return nil
	}
	w := &walker{s: s, ctx: ctx, prefix: req.Prefix, delimiter: req.Delimiter, from: req.Marker}
	w.common = func(prefix string) error {
		if err := room(prefix); err != nil {
			return err
		}
		out.CommonPrefixes = append(out.CommonPrefixes, encode(prefix))
		return nil
	}
	w.key = func(key, folder string) error {
		rec, err := s.newest(folder)
		if err != nil || rec == nil || rec.DeleteMarker {
			return err
		}
		if err := room(key); err != nil {
			return err
		}
		e := objectstore.Entry{
			Key: encode(key), ETag: rec.ETag, LastModified: rec.Modified, Size: rec.Size,
			StorageClass: cmp.Or(rec.StorageClass, defaultClass), Type: rec.Type,
		}
		if req.FetchOwner {
			e.Owner = owner
		}
		out.Objects = append(out.Objects, e)
		return nil
	}
	return out, w.bucket(req.Bucket)
}

// ListVersions lists the versions of the objects of a bucket.
func (s *store) ListVersions(ctx context.Context, req *objectstore.ListVersionsRequest) (*objectstore.ListVersionsResult, error) {
	encode, err := encoder(req.EncodingType)
	if err = errors.Join(err, objectstore.CheckBucket(req.Bucket), objectstore.CheckLimit(req.MaxKeys)); err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	most := limit(req.MaxKeys)
	out := &objectstore.ListVersionsResult{
		Bucket: req.Bucket, Delimiter: req.Delimiter, EncodingType: req.EncodingType, KeyMarker: req.KeyMarker,
		VersionIDMarker: req.VersionIDMarker, Prefix: req.Prefix, MaxKeys: most,
	}
	lastKey, lastID := "", ""
	room := func(key, id string) error {
		if len(out.Versions)+len(out.DeleteMarkers)+len(out.CommonPrefixes) == most {
			out.Truncated, out.NextKeyMarker, out.NextVersionIDMarker = true, encode(lastKey), lastID
			return errFull
		}
		lastKey, lastID = key, id
		return nil
	}
	w := &walker{
		s: s, ctx: ctx, prefix: req.Prefix, delimiter: req.Delimiter, from: req.KeyMarker, marks: true,
		inclusive: req.VersionIDMarker != "" || req.KeyMarker == "",
	}
	w.common = func(prefix string) error {
		if err := room(prefix, ""); err != nil {
			return err
		}
		out.CommonPrefixes = append(out.CommonPrefixes, encode(prefix))
		return nil
	}
	w.key = func(key, folder string) error {
		all, err := s.loadAll(folder)
		if err != nil {
			return err
		}
		passed := key != req.KeyMarker || req.VersionIDMarker == ""
		for i, rec := range all {
			id := cmp.Or(rec.version(), nullVersion)
			if !passed {
				passed = id == req.VersionIDMarker || rec.ID < req.VersionIDMarker
				if id == req.VersionIDMarker || !passed {
					continue
				}
			}
			if err := room(key, id); err != nil {
				return err
			}
			v := objectstore.Version{Key: encode(key), VersionID: id, Latest: i == 0, LastModified: rec.Modified, Owner: owner}
			if rec.DeleteMarker {
				out.DeleteMarkers = append(out.DeleteMarkers, v)
				continue
			}
			v.ETag, v.Size, v.StorageClass = rec.ETag, rec.Size, cmp.Or(rec.StorageClass, defaultClass)
			out.Versions = append(out.Versions, v)
		}
		return nil
	}
	return out, w.bucket(req.Bucket)
}
