package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// record is what is kept of one version of an object, beside its content.
type record struct {
	// ID is the name of the version's files; larger ones are newer.
	ID string `json:"id"`
	// Null says that it was written without versioning: there is one such at
	// most, and callers know it as "null" or as no version.
	Null         bool                `json:"null,omitempty"`
	DeleteMarker bool                `json:"delete_marker,omitempty"`
	Key          string              `json:"key"`
	Size         int64               `json:"size"`
	ETag         string              `json:"etag,omitempty"`
	Modified     time.Time           `json:"modified"`
	Headers      objectstore.Headers `json:"headers,omitzero"`
	Expires      time.Time           `json:"expires,omitzero"`
	StorageClass string              `json:"storage_class,omitempty"`
	ACL          string              `json:"acl,omitempty"`
	Metadata     map[string]string   `json:"metadata,omitempty"`
	Tags         map[string]string   `json:"tags,omitempty"`
	// Type is "Normal", "Appendable" or "Multipart".
	Type string `json:"type,omitempty"`
	// Parts are the sizes of the parts that it was uploaded in.
	Parts []int64 `json:"parts,omitempty"`
}

// Types of objects.
const (
	typeNormal     = "Normal"
	typeAppendable = "Appendable"
	typeMultipart  = "Multipart"
)

const (
	// suffixes of the folders that a key is made of,
	objectSuffix = ",o" // of the last part
	folderSuffix = ",d" // of the others
	// and of the files of a version.
	recordSuffix  = ".json"
	contentSuffix = ".data"

	nullVersion = "null"
)

// version is the id as callers know it.
func (r *record) version() string {
	if r.Null {
		return ""
	}
	return r.ID
}

// keyFolder returns the folder of a key. Every key has its own, and none leads
// out of the bucket's.
func keyFolder(bucket, key string) (string, error) {
	if err := objectstore.CheckName(bucket, key); err != nil {
		return "", err
	}
	parts := strings.Split(key, "/")
	var b strings.Builder
	b.WriteString(bucketsDir + "/" + bucket)
	for i, part := range parts {
		name := escape(part)
		if len(name) > 250 {
			return "", fmt.Errorf("%w: a part of the key between two slashes has %d bytes, which a file system cannot hold", objectstore.ErrInvalid, len(part))
		}
		suffix := folderSuffix
		if i == len(parts)-1 {
			suffix = objectSuffix
		}
		b.WriteString("/" + name + suffix)
	}
	return b.String(), nil
}

const hexDigits = "0123456789ABCDEF"

// escape makes a name of a file of a part of a key.
func escape(part string) string {
	var b strings.Builder
	for i := range len(part) {
		if c := part[i]; c < ' ' || c == 0x7f || c == '%' || c == ',' || c == '\\' {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
			continue
		}
		b.WriteByte(part[i])
	}
	return b.String()
}

// unescape reverses it; false for what escape would not have made.
func unescape(name string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			b.WriteByte(name[i])
			continue
		}
		if i+2 >= len(name) {
			return "", false
		}
		c, err := strconv.ParseUint(name[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(c))
		i += 2
	}
	return b.String(), true
}

// versions returns the ids of the versions in a folder, the newest first.
func (s *store) versions(folder string) ([]string, error) {
	entries, err := s.readDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, s.explain(err)
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), recordSuffix); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids, nil
}

// load reads a version's record; nil if it is not there any more.
func (s *store) load(folder, id string) (*record, error) {
	data, err := s.root.ReadFile(folder + "/" + id + recordSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, s.explain(err)
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("object store in %s: the record %s/%s%s is damaged: %w", s.where, folder, id, recordSuffix, err)
	}
	return &r, nil
}

// loadAll reads the records of all versions, the newest first.
func (s *store) loadAll(folder string) ([]*record, error) {
	ids, err := s.versions(folder)
	if err != nil {
		return nil, err
	}
	all := make([]*record, 0, len(ids))
	for _, id := range ids {
		r, err := s.load(folder, id)
		if err != nil {
			return nil, err
		}
		if r != nil {
			all = append(all, r)
		}
	}
	return all, nil
}

// tries is how often a reader looks again when a writer was quicker.
const tries = 100

// looks is how often a folder without a version is looked at before that is believed:
// while one version takes the place of another, a look may miss both.
const looks = 8

// newest returns the newest version, a mark too; nil if there is none.
func (s *store) newest(folder string) (*record, error) {
	none := 0
	for range tries {
		ids, err := s.versions(folder)
		if err != nil {
			return nil, err
		}
		if len(ids) == 0 {
			none++
			if _, err := s.root.Stat(folder); err != nil || none == looks {
				return nil, nil // what is wrong with the folder has been said by versions
			}
			continue
		}
		if r, err := s.load(folder, ids[0]); r != nil || err != nil {
			return r, err
		}
	}
	return nil, fmt.Errorf("object store in %s: %s changes too fast to be read", s.where, folder)
}

// find returns the version that ref names, which is no mark.
func (s *store) find(ref objectstore.Ref) (*record, string, error) {
	folder, err := keyFolder(ref.Bucket, ref.Key)
	if err != nil {
		return nil, "", err
	}
	var r *record
	switch ref.VersionID {
	case "":
		r, err = s.newest(folder)
	default:
		var all []*record
		all, err = s.loadAll(folder)
		if i := slices.IndexFunc(all, func(r *record) bool { return r.is(ref.VersionID) }); i >= 0 {
			r = all[i]
		}
	}
	switch {
	case err != nil:
		return nil, "", err
	case r == nil && ref.VersionID != "":
		return nil, "", fmt.Errorf("%w: %s/%s has no version %q", objectstore.ErrNotFound, ref.Bucket, ref.Key, ref.VersionID)
	case r != nil && r.DeleteMarker && ref.VersionID != "":
		return nil, "", fmt.Errorf("%w: version %s of %s/%s is the mark of a deletion", objectstore.ErrInvalid, ref.VersionID, ref.Bucket, ref.Key)
	case r == nil || r.DeleteMarker:
		return nil, "", fmt.Errorf("%w: %s/%s", objectstore.ErrNotFound, ref.Bucket, ref.Key)
	}
	return r, folder, nil
}

// is tells whether callers know the version by that id.
func (r *record) is(id string) bool { return r.Null && id == nullVersion || !r.Null && r.ID == id }

// nextID returns an id that is larger than all before.
func (s *store) nextID() string {
	for {
		last := s.last.Load()
		next := max(time.Now().UnixNano(), last+1)
		if s.last.CompareAndSwap(last, next) {
			return fmt.Sprintf("%016x", next)
		}
	}
}

// commit makes a new version of content, or without it a mark, and sets the
// record's ID, Null and Modified. The content's file is taken or removed. The
// caller holds the lock of the folder.
func (s *store) commit(folder string, r *record, content *spooled) (err error) {
	defer func() {
		if err != nil && content != nil {
			s.remove(content.path)
		}
	}()
	r.ID, r.Null, r.Modified = s.nextID(), !s.versioning, time.Now()
	if content != nil {
		r.Size = content.size
		if err := s.place(folder, content.path, r.ID+contentSuffix); err != nil {
			return err
		}
	}
	if err := s.save(folder, r); err != nil {
		s.remove(folder + "/" + r.ID + contentSuffix)
		return err
	}
	if r.Null {
		s.prune(folder, r.ID)
	}
	return nil
}

// place moves a file into a folder, which is made if need be; a deletion of
// another object may remove it again in between.
func (s *store) place(folder, from, name string) error {
	var err error
	for range tries {
		if err = s.root.MkdirAll(folder, 0o750); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err = s.root.Rename(from, folder+"/"+name); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return s.explain(err)
}

// save writes a record, new or changed, all or nothing.
func (s *store) save(folder string, r *record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("object store: the record of %q: %w", r.Key, err)
	}
	f, temp, err := s.temp()
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = s.place(folder, temp, r.ID+recordSuffix)
	}
	if err == nil {
		err = s.syncDirs(folder)
	}
	if err != nil {
		s.remove(temp)
		return s.explain(err)
	}
	return nil
}

// syncDirs makes the names in a folder, and those of the folders on the way to
// it, survive a crash of the machine.
func (s *store) syncDirs(folder string) error {
	for dir := folder; dir != "." && dir != bucketsDir; dir = path.Dir(dir) {
		if err := s.syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// prune removes the versions without versioning that are older than the one
// with that id, and contents that have no record.
func (s *store) prune(folder, id string) {
	entries, err := s.readDir(folder)
	if err != nil {
		return // the next one tries again
	}
	keep, gone := map[string]bool{id: true}, map[string]bool{}
	for _, e := range entries {
		other, ok := strings.CutSuffix(e.Name(), recordSuffix)
		if !ok || other == id {
			continue
		}
		if r, err := s.load(folder, other); err != nil || r != nil && !r.Null {
			keep[other] = true
			continue
		}
		s.remove(folder + "/" + e.Name())
		gone[other] = true
	}
	// A content without a record that is young may be about to get one, from
	// another process.
	young := fmt.Sprintf("%016x", time.Now().Add(-tempAge).UnixNano())
	for _, e := range entries {
		if other, ok := strings.CutSuffix(e.Name(), contentSuffix); ok && !keep[other] && (gone[other] || other < young) {
			s.remove(folder + "/" + e.Name())
		}
	}
}

// drop removes a version, and the folders that nothing is in any more. The
// caller holds the lock of the folder.
func (s *store) drop(folder string, r *record) error {
	if err := s.root.Remove(folder + "/" + r.ID + recordSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.explain(err)
	}
	if !r.DeleteMarker {
		s.remove(folder + "/" + r.ID + contentSuffix)
	}
	if err := s.syncDirs(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.explain(err)
	}
	// Not the bucket: it stays, as in other stores.
	for dir := folder; strings.Count(dir, "/") > 1; dir = path.Dir(dir) {
		if s.root.Remove(dir) != nil {
			break // something is in it
		}
	}
	return nil
}

// open opens the content of a version.
func (s *store) open(folder string, r *record) (*os.File, error) {
	return s.root.Open(folder + "/" + r.ID + contentSuffix)
}
