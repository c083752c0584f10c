package local

import (
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // what an etag is made of
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// uploadFile is what an upload is known by, in its folder; its parts are files
// beside it, <number>_<md5>.
const uploadFile = "upload.json"

// upload is an upload under way.
type upload struct {
	ID        string    `json:"id"`
	Bucket    string    `json:"bucket"`
	Initiated time.Time `json:"initiated"`
	Object    record    `json:"object"`
}

// CreateUpload begins an object that is uploaded in parts.
func (s *store) CreateUpload(ctx context.Context, req *objectstore.CreateUploadRequest) (*objectstore.CreateUploadResult, error) {
	_, err := keyFolder(req.Bucket, req.Key)
	if err = errors.Join(err, checkRule(req.ACL), checkTags(req.Tags), noEncryption(req.CustomerKey, req.Encryption)); err != nil {
		return nil, err
	}
	if req.LegalHold != "" || req.LockMode != "" || !req.RetainUntil.IsZero() {
		return nil, fmt.Errorf("%w: a local store does not lock objects", objectstore.ErrNotSupported)
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	u := &upload{ID: rand.Text(), Bucket: req.Bucket, Initiated: time.Now(), Object: record{
		Key: req.Key, Headers: req.Headers, Expires: req.Expires, StorageClass: req.StorageClass, ACL: req.ACL,
		Metadata: req.Metadata, Tags: req.Tags, Type: typeMultipart,
	}}
	data, err := json.Marshal(u)
	if err != nil {
		return nil, fmt.Errorf("object store: the upload of %q: %w", req.Key, err)
	}
	content, err := s.spool(ctx, strings.NewReader(string(data)))
	if err != nil {
		return nil, err
	}
	if err := s.place(uploadsDir+"/"+u.ID, content.path, uploadFile); err != nil {
		s.remove(content.path)
		return nil, err
	}
	return &objectstore.CreateUploadResult{Bucket: req.Bucket, Key: req.Key, UploadID: u.ID}, nil
}

// uploadFolder returns the folder of an upload; an id that is none of ours has none.
func uploadFolder(id string) (string, bool) {
	bad := func(c rune) bool { return (c < 'A' || c > 'Z') && (c < '2' || c > '7') }
	return uploadsDir + "/" + id, id != "" && !strings.ContainsFunc(id, bad)
}

// loadUpload finds an upload by its id, and checks that it is of that object.
func (s *store) loadUpload(bucket, key, id string) (*upload, string, error) {
	if err := objectstore.CheckName(bucket, key); err != nil {
		return nil, "", err
	}
	gone := fmt.Errorf("%w: there is no upload %q of %s/%s: it was completed, or given up, or never begun", objectstore.ErrNotFound, id, bucket, key)
	folder, ok := uploadFolder(id)
	if !ok {
		return nil, "", gone
	}
	u, err := s.readUpload(folder)
	if err != nil {
		return nil, "", err
	}
	if u == nil || u.Bucket != bucket || u.Object.Key != key {
		return nil, "", gone
	}
	return u, folder, nil
}

// readUpload reads what an upload is known by; nil if it is not there.
func (s *store) readUpload(folder string) (*upload, error) {
	data, err := s.root.ReadFile(folder + "/" + uploadFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, s.explain(err)
	}
	var u upload
	if err := json.Unmarshal(data, &u); err != nil {
		return nil, fmt.Errorf("object store in %s: %s/%s is damaged: %w", s.where, folder, uploadFile, err)
	}
	return &u, nil
}

// part is a part as it lies in the folder of its upload.
type part struct {
	objectstore.Part
	file string
	md5  []byte
}

// parts returns the parts of an upload in the order of their numbers. Of several
// with one number the newest counts.
func (s *store) parts(folder string) ([]part, error) {
	entries, err := s.readDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, s.explain(err)
	}
	var all []part
	for _, e := range entries {
		number, sum, ok := strings.Cut(e.Name(), "_")
		n, err := strconv.Atoi(number)
		if !ok || err != nil {
			continue
		}
		digest, err := hex.DecodeString(sum)
		if err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // replaced meanwhile
		}
		p := part{file: e.Name(), md5: digest}
		p.PartNumber, p.ETag, p.Size, p.LastModified = n, strconv.Quote(sum), info.Size(), info.ModTime()
		if last := len(all) - 1; last >= 0 && all[last].PartNumber == n {
			if p.LastModified.After(all[last].LastModified) {
				all[last] = p
			}
			continue
		}
		all = append(all, p)
	}
	return all, nil
}

// UploadPart uploads one part.
func (s *store) UploadPart(ctx context.Context, req *objectstore.UploadPartRequest, r io.Reader) (*objectstore.PartResult, error) {
	sum, err := objectstore.ParseMD5(req.ContentMD5)
	if err = errors.Join(err, objectstore.CheckPart(req.PartNumber), noEncryption(req.CustomerKey, "")); err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if _, _, err := s.loadUpload(req.Bucket, req.Key, req.UploadID); err != nil {
		return nil, err
	}
	content, err := s.spool(ctx, r)
	if err != nil {
		return nil, err
	}
	err = sized(content, req.ContentLength)
	if err == nil && sum != nil && string(sum) != string(content.md5) {
		err = fmt.Errorf("%w: the part has another MD5 than content_md5 says", objectstore.ErrInvalid)
	}
	if err == nil {
		err = s.keepPart(req.Bucket, req.Key, req.UploadID, req.PartNumber, content)
	}
	if err != nil {
		s.remove(content.path)
		return nil, err
	}
	return &objectstore.PartResult{ETag: content.etag()}, nil
}

// keepPart makes content a part, in place of the one with its number.
func (s *store) keepPart(bucket, key, id string, number int, content spooled) error {
	defer s.lockUpload(id)()
	_, folder, err := s.loadUpload(bucket, key, id) // still
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%05d_%x", number, content.md5)
	if err := s.root.Rename(content.path, folder+"/"+name); err != nil {
		return s.explain(err)
	}
	entries, err := s.readDir(folder)
	if err != nil {
		return s.explain(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), name[:6]) && e.Name() != name {
			s.remove(folder + "/" + e.Name())
		}
	}
	return s.explain(s.syncDirs(folder))
}

// CopyPart makes a part of a range of an object.
func (s *store) CopyPart(ctx context.Context, req *objectstore.CopyPartRequest) (*objectstore.CopyPartResult, error) {
	if err := errors.Join(objectstore.CheckPart(req.PartNumber), objectstore.CheckSource(req.Source)); err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if _, _, err := s.loadUpload(req.Bucket, req.Key, req.UploadID); err != nil {
		return nil, err
	}
	rec, f, err := s.openVersion(req.Source)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	size := cmp.Or(req.Size, rec.Size-req.Start)
	if req.Start < 0 || size < 0 || size > rec.Size-req.Start {
		return nil, fmt.Errorf("%w: bytes from %d, %d of them, of a source that has %d", objectstore.ErrInvalid, req.Start, req.Size, rec.Size)
	}
	content, err := s.spool(ctx, io.NewSectionReader(f, req.Start, size))
	if err != nil {
		return nil, err
	}
	if err := s.keepPart(req.Bucket, req.Key, req.UploadID, req.PartNumber, content); err != nil {
		s.remove(content.path)
		return nil, err
	}
	return &objectstore.CopyPartResult{
		PartResult: objectstore.PartResult{ETag: content.etag()}, LastModified: time.Now(), SourceVersionID: rec.version(),
	}, nil
}

// CompleteUpload puts the parts together.
func (s *store) CompleteUpload(ctx context.Context, req *objectstore.CompleteUploadRequest) (*objectstore.CompleteUploadResult, error) {
	if err := req.Check(); err != nil {
		return nil, err
	}
	folder, err := keyFolder(req.Bucket, req.Key)
	if err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	defer s.lockUpload(req.UploadID)()
	u, dir, err := s.loadUpload(req.Bucket, req.Key, req.UploadID)
	if err != nil {
		return nil, err
	}
	there, err := s.parts(dir)
	if err != nil {
		return nil, err
	}
	chosen := make([]part, len(req.Parts))
	for i, want := range req.Parts {
		j := slices.IndexFunc(there, func(p part) bool { return p.PartNumber == want.PartNumber })
		if j < 0 || strings.Trim(want.ETag, `"`) != strings.Trim(there[j].ETag, `"`) {
			return nil, fmt.Errorf("%w: the upload has no part %d with the etag %s", objectstore.ErrInvalid, want.PartNumber, want.ETag)
		}
		chosen[i] = there[j]
	}
	rec := u.Object
	content, err := s.join(ctx, dir, chosen, &rec)
	if err != nil {
		return nil, err
	}
	defer s.lockObject(folder)()
	if err := s.commit(folder, &rec, &content); err != nil {
		return nil, err
	}
	s.removeUpload(dir)
	return &objectstore.CompleteUploadResult{Bucket: req.Bucket, Key: req.Key, ETag: rec.ETag, VersionID: rec.version()}, nil
}

// join writes the parts to one file, and notes their sizes and their etag.
func (s *store) join(ctx context.Context, dir string, chosen []part, rec *record) (spooled, error) {
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, p := range chosen {
			if err := s.pour(pw, dir+"/"+p.file); err != nil {
				pw.CloseWithError(err)
				return
			}
		}
		_ = pw.Close() // never fails
	}()
	content, err := s.spool(ctx, pr)
	pr.CloseWithError(io.ErrClosedPipe)
	<-done
	if err != nil {
		return content, err
	}
	sum := md5.New() //nolint:gosec // what an etag is made of
	for _, p := range chosen {
		rec.Parts = append(rec.Parts, p.Size)
		_, _ = sum.Write(p.md5)
	}
	rec.ETag = strconv.Quote(fmt.Sprintf("%x-%d", sum.Sum(nil), len(chosen)))
	return content, nil
}

func (s *store) pour(w io.Writer, file string) error {
	f, err := s.root.Open(file)
	if err != nil {
		return s.explain(err)
	}
	defer func() { _ = f.Close() }()
	_, err = io.Copy(w, f)
	return err
}

// removeUpload removes an upload; what it is known by goes first.
func (s *store) removeUpload(dir string) {
	s.remove(dir + "/" + uploadFile)
	if err := s.root.RemoveAll(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Warn("parts of an upload that is over stay", "folder", s.where, "upload", dir, "error", err)
	}
}

// AbortUpload gives an upload up.
func (s *store) AbortUpload(ctx context.Context, req *objectstore.AbortUploadRequest) (*objectstore.AbortUploadResult, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	defer s.lockUpload(req.UploadID)()
	_, dir, err := s.loadUpload(req.Bucket, req.Key, req.UploadID)
	if err != nil {
		return nil, err
	}
	s.removeUpload(dir)
	return &objectstore.AbortUploadResult{}, nil
}

// ListUploads lists the uploads of a bucket, in the order of keys and ids.
func (s *store) ListUploads(ctx context.Context, req *objectstore.ListUploadsRequest) (*objectstore.ListUploadsResult, error) {
	encode, err := encoder(req.EncodingType)
	if err = errors.Join(err, objectstore.CheckBucket(req.Bucket), objectstore.CheckLimit(req.MaxUploads)); err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	all, err := s.uploadsOf(ctx, req.Bucket, req.Prefix)
	if err != nil {
		return nil, err
	}
	out := &objectstore.ListUploadsResult{
		Bucket: req.Bucket, Delimiter: req.Delimiter, EncodingType: req.EncodingType, KeyMarker: req.KeyMarker,
		UploadIDMarker: req.UploadIDMarker, Prefix: req.Prefix, MaxUploads: limit(req.MaxUploads),
	}
	lastKey, lastID := "", ""
	for _, u := range all {
		key, id, common := u.Object.Key, u.ID, false
		if i := strings.Index(key[len(req.Prefix):], req.Delimiter); req.Delimiter != "" && i >= 0 {
			key, id, common = key[:len(req.Prefix)+i+len(req.Delimiter)], "", true
		}
		if key < req.KeyMarker || key == req.KeyMarker && (req.UploadIDMarker == "" || id <= req.UploadIDMarker) || common && key == lastKey {
			continue
		}
		if len(out.Uploads)+len(out.CommonPrefixes) == out.MaxUploads {
			out.Truncated, out.NextKeyMarker, out.NextUploadIDMarker = true, encode(lastKey), lastID
			break
		}
		lastKey, lastID = key, id
		if common {
			out.CommonPrefixes = append(out.CommonPrefixes, encode(key))
			continue
		}
		out.Uploads = append(out.Uploads, objectstore.Upload{
			Key: encode(key), UploadID: id, Initiated: u.Initiated, Owner: owner, Initiator: owner,
			StorageClass: cmp.Or(u.Object.StorageClass, defaultClass),
		})
	}
	return out, nil
}

// uploadsOf returns the uploads of a bucket whose keys begin with prefix, sorted.
func (s *store) uploadsOf(ctx context.Context, bucket, prefix string) ([]*upload, error) {
	entries, err := s.readDir(uploadsDir)
	if err != nil {
		return nil, s.explain(err)
	}
	var all []*upload
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		u, err := s.readUpload(uploadsDir + "/" + e.Name())
		if err != nil {
			return nil, err
		}
		if u != nil && u.Bucket == bucket && strings.HasPrefix(u.Object.Key, prefix) {
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(x, y *upload) int {
		return cmp.Or(strings.Compare(x.Object.Key, y.Object.Key), strings.Compare(x.ID, y.ID))
	})
	return all, nil
}

// ListParts lists the parts of an upload.
func (s *store) ListParts(ctx context.Context, req *objectstore.ListPartsRequest) (*objectstore.ListPartsResult, error) {
	if err := objectstore.CheckLimit(req.MaxParts); err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	_, dir, err := s.loadUpload(req.Bucket, req.Key, req.UploadID)
	if err != nil {
		return nil, err
	}
	all, err := s.parts(dir)
	if err != nil {
		return nil, err
	}
	out := &objectstore.ListPartsResult{Bucket: req.Bucket, Key: req.Key, UploadID: req.UploadID, MaxParts: limit(req.MaxParts)}
	for _, p := range all {
		if p.PartNumber <= req.PartNumberMarker {
			continue
		}
		if len(out.Parts) == out.MaxParts {
			out.Truncated, out.NextPartNumberMarker = true, strconv.Itoa(out.Parts[len(out.Parts)-1].PartNumber)
			break
		}
		out.Parts = append(out.Parts, p.Part)
	}
	return out, nil
}
