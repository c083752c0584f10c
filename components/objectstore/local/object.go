package local

import (
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // what an etag is made of
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// rules are the predefined access rules.
var rules = [...]string{
	"private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read",
	"bucket-owner-read", "bucket-owner-full-control", "default",
}

func checkRule(acl string) error {
	if acl != "" && !slices.Contains(rules[:], acl) {
		return fmt.Errorf("%w: unknown access rule %q: the known ones are %s", objectstore.ErrInvalid, acl, strings.Join(rules[:], ", "))
	}
	return nil
}

// noEncryption refuses what this store cannot do and must not pretend to.
func noEncryption(key objectstore.CustomerKey, encryption string) error {
	if key != (objectstore.CustomerKey{}) || encryption != "" {
		return fmt.Errorf("%w: a local store does not encrypt", objectstore.ErrNotSupported)
	}
	return nil
}

func noSignedURL(url string) error {
	if url != "" {
		return fmt.Errorf("%w: a local store has no signed URLs", objectstore.ErrNotSupported)
	}
	return nil
}

// maxTags is the most tags of an object, as in S3.
const maxTags = 10

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return fmt.Errorf("%w: %d tags; the most is %d", objectstore.ErrInvalid, len(tags), maxTags)
	}
	if _, ok := tags[""]; ok {
		return fmt.Errorf("%w: a tag has no name", objectstore.ErrInvalid)
	}
	return nil
}

// Put writes an object.
func (s *store) Put(ctx context.Context, req *objectstore.PutRequest, r io.Reader) (*objectstore.PutResult, error) {
	folder, err := keyFolder(req.Bucket, req.Key)
	if err = errors.Join(err, checkRule(req.ACL), checkTags(req.Tags), noSignedURL(req.SignedURL), noEncryption(objectstore.CustomerKey{}, req.Encryption)); err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	content, err := s.spool(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := sized(content, req.ContentLength); err != nil {
		s.remove(content.path)
		return nil, err
	}
	rec := &record{
		Key: req.Key, ETag: content.etag(), Headers: req.Headers, Expires: req.Expires, StorageClass: req.StorageClass,
		ACL: req.ACL, Metadata: req.Metadata, Tags: req.Tags, Type: typeNormal,
	}
	defer s.lockObject(folder)()
	if err := s.commit(folder, rec, &content); err != nil {
		return nil, err
	}
	return &objectstore.PutResult{ETag: rec.ETag, VersionID: rec.version()}, nil
}

// openVersion opens the version that ref names. A writer may be quicker than we
// are; then the newer version counts.
func (s *store) openVersion(ref objectstore.Ref) (*record, *os.File, error) {
	for range tries {
		rec, folder, err := s.find(ref)
		if err != nil {
			return nil, nil, err
		}
		f, err := s.open(folder, rec)
		if err == nil {
			return rec, f, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, s.explain(err)
		}
	}
	return nil, nil, fmt.Errorf("object store in %s: the content of %s/%s is missing", s.where, ref.Bucket, ref.Key)
}

// Get opens an object, or a part of it.
func (s *store) Get(ctx context.Context, req *objectstore.GetRequest) (*objectstore.GetResult, error) {
	if err := errors.Join(noSignedURL(req.SignedURL), noEncryption(req.CustomerKey, "")); err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	rec, f, err := s.openVersion(req.Ref)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*objectstore.GetResult, error) {
		_ = f.Close()
		return nil, err
	}
	if err := req.Hold(rec.ETag, rec.Modified); err != nil {
		return fail(err)
	}
	start, n, partial, err := rec.extent(req)
	if err != nil {
		return fail(err)
	}
	out := &objectstore.GetResult{Object: rec.describe()}
	out.ContentLength = n
	if partial {
		out.ContentRange = fmt.Sprintf("bytes %d-%d/%d", start, start+n-1, rec.Size)
	}
	override(&out.Headers, req.Override)
	out.Expires = cmp.Or(req.OverrideExpires, out.Expires)
	out.Reported = out.Describe()
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		return fail(s.explain(err))
	}
	// Not beyond the size: an append that failed may have left more.
	out.Body = &body{reader: reader{ctx: ctx, r: io.LimitReader(f, n)}, f: f, left: n}
	return out, nil
}

// body is the content of an object that is being read.
type body struct {
	reader
	f    *os.File
	left int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.reader.Read(p)
	b.left -= int64(n)
	if errors.Is(err, io.EOF) && b.left > 0 {
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *body) Close() error { return b.f.Close() }

// extent returns which bytes a request is about.
func (r *record) extent(req *objectstore.GetRequest) (start, n int64, partial bool, err error) {
	if req.PartNumber == 0 {
		return req.Range(r.Size)
	}
	parts := r.Parts
	if len(parts) == 0 {
		parts = []int64{r.Size}
	}
	if req.PartNumber < 0 || req.PartNumber > len(parts) {
		return 0, 0, false, fmt.Errorf("%w: the object has %d parts, and part %d is asked for", objectstore.ErrInvalid, len(parts), req.PartNumber)
	}
	for _, size := range parts[:req.PartNumber-1] {
		start += size
	}
	return start, parts[req.PartNumber-1], true, nil
}

func override(h *objectstore.Headers, by objectstore.Headers) {
	h.CacheControl = cmp.Or(by.CacheControl, h.CacheControl)
	h.ContentDisposition = cmp.Or(by.ContentDisposition, h.ContentDisposition)
	h.ContentEncoding = cmp.Or(by.ContentEncoding, h.ContentEncoding)
	h.ContentLanguage = cmp.Or(by.ContentLanguage, h.ContentLanguage)
	h.ContentType = cmp.Or(by.ContentType, h.ContentType)
}

// defaultClass is the storage class of objects that were given none.
const defaultClass = "STANDARD"

func (r *record) describe() objectstore.Object {
	o := objectstore.Object{
		Headers: r.Headers, ContentLength: r.Size, DeleteMarker: r.DeleteMarker, ETag: r.ETag, LastModified: r.Modified,
		VersionID: r.version(), TagCount: len(r.Tags), StorageClass: cmp.Or(r.StorageClass, defaultClass), PartsCount: len(r.Parts),
		Metadata: maps.Clone(r.Metadata),
	}
	if !r.Expires.IsZero() {
		o.Expires = r.Expires.UTC().Format(http.TimeFormat)
	}
	return o
}

// Head describes an object.
func (s *store) Head(ctx context.Context, req *objectstore.HeadRequest) (*objectstore.Object, error) {
	if err := noEncryption(req.CustomerKey, ""); err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	rec, _, err := s.find(req.Ref)
	if err != nil {
		return nil, err
	}
	if err := req.Hold(rec.ETag, rec.Modified); err != nil {
		return nil, err
	}
	o := rec.describe()
	if req.PartNumber != 0 {
		if _, o.ContentLength, _, err = rec.extent(&objectstore.GetRequest{PartNumber: req.PartNumber}); err != nil {
			return nil, err
		}
	}
	o.Reported = o.Describe()
	return &o, nil
}

// Delete removes an object or a version of it.
func (s *store) Delete(ctx context.Context, req *objectstore.DeleteRequest) (*objectstore.DeleteResult, error) {
	folder, err := keyFolder(req.Bucket, req.Key)
	if err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return s.delete(folder, req.Ref)
}

func (s *store) delete(folder string, ref objectstore.Ref) (*objectstore.DeleteResult, error) {
	defer s.lockObject(folder)()
	all, err := s.loadAll(folder)
	if err != nil {
		return nil, err
	}
	if ref.VersionID != "" {
		i := slices.IndexFunc(all, func(r *record) bool { return r.is(ref.VersionID) })
		if i < 0 {
			return &objectstore.DeleteResult{VersionID: ref.VersionID}, nil
		}
		return &objectstore.DeleteResult{VersionID: ref.VersionID, DeleteMarker: all[i].DeleteMarker}, s.drop(folder, all[i])
	}
	if len(all) == 0 || all[0].DeleteMarker {
		return &objectstore.DeleteResult{}, nil
	}
	if !s.versioning && len(all) == 1 && all[0].Null {
		return &objectstore.DeleteResult{}, s.drop(folder, all[0])
	}
	mark := &record{Key: ref.Key, DeleteMarker: true}
	if err := s.commit(folder, mark, nil); err != nil {
		return nil, err
	}
	return &objectstore.DeleteResult{DeleteMarker: true, VersionID: cmp.Or(mark.version(), nullVersion)}, nil
}

// DeleteMany removes several objects.
func (s *store) DeleteMany(ctx context.Context, req *objectstore.DeleteManyRequest) (*objectstore.DeleteManyResult, error) {
	if err := req.Check(); err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	out := &objectstore.DeleteManyResult{}
	for _, ref := range req.Objects {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ref.Bucket = req.Bucket
		folder, err := keyFolder(ref.Bucket, ref.Key)
		var d *objectstore.DeleteResult
		if err == nil {
			d, err = s.delete(folder, ref)
		}
		if err != nil {
			out.Failed = append(out.Failed, objectstore.NotDeleted{Key: ref.Key, VersionID: ref.VersionID, Code: "InternalError", Message: err.Error()})
			continue
		}
		if req.Quiet {
			continue
		}
		deleted := objectstore.Deleted{Key: ref.Key, VersionID: ref.VersionID, DeleteMarker: d.DeleteMarker}
		if d.DeleteMarker {
			deleted.DeleteMarkerVersionID = d.VersionID
		}
		out.Deleted = append(out.Deleted, deleted)
	}
	return out, nil
}

// Copy copies an object.
func (s *store) Copy(ctx context.Context, req *objectstore.CopyRequest) (*objectstore.CopyResult, error) {
	if err := errors.Join(objectstore.CheckSource(req.Source), checkTags(req.Tags)); err != nil {
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
	source, f, err := s.openVersion(req.Source)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	rec := &record{
		Key: req.Key, Headers: source.Headers, Expires: source.Expires, StorageClass: source.StorageClass,
		Metadata: source.Metadata, Tags: source.Tags, Type: typeNormal,
	}
	switch req.MetadataDirective {
	case "", "COPY":
	case "REPLACE":
		rec.Metadata = req.Metadata
	default:
		return nil, fmt.Errorf("%w: metadata_directive %q: must be COPY or REPLACE", objectstore.ErrInvalid, req.MetadataDirective)
	}
	if req.Tags != nil {
		rec.Tags = req.Tags
	}
	if !req.Expires.IsZero() {
		rec.Expires = req.Expires
	}
	content, err := s.spool(ctx, io.LimitReader(f, source.Size))
	if err != nil {
		return nil, err
	}
	rec.ETag = content.etag()
	defer s.lockObject(folder)()
	if err := s.commit(folder, rec, &content); err != nil {
		return nil, err
	}
	return &objectstore.CopyResult{ETag: rec.ETag, LastModified: rec.Modified, VersionID: rec.version()}, nil
}

// Append appends to an object. What is read goes to a file of its own first, so
// that a reader of ours that is slow holds up nobody, and one that fails changes
// nothing.
func (s *store) Append(ctx context.Context, req *objectstore.AppendRequest, r io.Reader) (*objectstore.AppendResult, error) {
	folder, err := keyFolder(req.Bucket, req.Key)
	sum, merr := objectstore.ParseMD5(req.ContentMD5)
	if err = errors.Join(err, merr, checkRule(req.ACL), checkTags(req.Tags), noEncryption(objectstore.CustomerKey{}, req.Encryption)); err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	content, err := s.spool(ctx, r)
	if err != nil {
		return nil, err
	}
	defer s.remove(content.path)
	if sum != nil && string(sum) != string(content.md5) {
		return nil, fmt.Errorf("%w: the content has another MD5 than content_md5 says", objectstore.ErrInvalid)
	}
	defer s.lockObject(folder)()
	rec, err := s.newest(folder)
	if err != nil {
		return nil, err
	}
	if rec == nil || rec.DeleteMarker {
		if req.Position != 0 {
			return nil, fmt.Errorf("%w: position %d, and the object does not exist: its position is 0", objectstore.ErrPrecondition, req.Position)
		}
		fresh := &record{
			Key: req.Key, ETag: content.etag(), Headers: req.Headers, Expires: req.Expires, StorageClass: req.StorageClass,
			ACL: req.ACL, Metadata: req.Metadata, Tags: req.Tags, Type: typeAppendable,
		}
		return &objectstore.AppendResult{Position: content.size}, s.commit(folder, fresh, &content)
	}
	if rec.Type != typeAppendable {
		return nil, fmt.Errorf("%w: %s/%s was not made by appending, so nothing can be appended", objectstore.ErrPrecondition, req.Bucket, req.Key)
	}
	if req.Position != rec.Size {
		return nil, fmt.Errorf("%w: position %d, and the object ends at %d", objectstore.ErrPrecondition, req.Position, rec.Size)
	}
	if err := s.extend(ctx, folder, rec, content); err != nil {
		return nil, err
	}
	return &objectstore.AppendResult{Position: rec.Size}, nil
}

// extend appends content to a version. It counts when the record says so; what
// stands behind the size of the record is nobody's.
func (s *store) extend(ctx context.Context, folder string, rec *record, content spooled) error {
	from, err := s.root.Open(content.path)
	if err != nil {
		return s.explain(err)
	}
	defer func() { _ = from.Close() }()
	to, err := s.root.OpenFile(folder+"/"+rec.ID+contentSuffix, os.O_WRONLY, 0)
	if err != nil {
		return s.explain(err)
	}
	defer func() { _ = to.Close() }()
	if _, err := to.Seek(rec.Size, io.SeekStart); err != nil {
		return s.explain(err)
	}
	if _, err := io.Copy(writer{s, to}, &reader{ctx: ctx, r: from}); err != nil {
		_ = to.Truncate(rec.Size) // or the next append writes over it
		return err
	}
	if err := to.Sync(); err != nil {
		return s.explain(err)
	}
	longer := *rec
	sum := md5.New() //nolint:gosec // what an etag is made of
	_, _ = sum.Write([]byte(rec.ETag))
	_, _ = sum.Write(content.md5)
	longer.Size, longer.Modified = rec.Size+content.size, time.Now()
	longer.ETag = strconv.Quote(hex.EncodeToString(sum.Sum(nil)))
	if err := s.save(folder, &longer); err != nil {
		return err
	}
	*rec = longer
	return nil
}
