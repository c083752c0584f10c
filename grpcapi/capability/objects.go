package capability

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// Operations of Objects in an Error.
const (
	ObjectPut            Op = "put"
	ObjectGet            Op = "get"
	ObjectHead           Op = "head"
	ObjectDelete         Op = "delete"
	ObjectDeleteMany     Op = "delete many"
	ObjectCopy           Op = "copy"
	ObjectList           Op = "list"
	ObjectPutTags        Op = "put tags"
	ObjectGetTags        Op = "get tags"
	ObjectDeleteTags     Op = "delete tags"
	ObjectPutACL         Op = "put acl"
	ObjectGetACL         Op = "get acl"
	ObjectCreateUpload   Op = "create upload"
	ObjectUploadPart     Op = "upload part"
	ObjectCopyPart       Op = "copy part"
	ObjectCompleteUpload Op = "complete upload"
	ObjectAbortUpload    Op = "abort upload"
	ObjectListUploads    Op = "list uploads"
	ObjectListParts      Op = "list parts"
	ObjectListVersions   Op = "list versions"
	ObjectSignURL        Op = "sign url"
	ObjectLimit          Op = "limit bandwidth"
	ObjectAppend         Op = "append"
	ObjectRestore        Op = "restore"
)

// Objects reads and writes objects in the stores it was made from. Contents flow
// through; none is held here. What a store cannot do is an Error of the kind
// NotSupported.
type Objects struct {
	stores map[string]*objectStore
}

// objectStore is a store with the limits that were set for it.
type objectStore struct {
	objectstore.Store
	download, upload bandwidth
}

// NewObjects takes them by their names. The map is copied.
func NewObjects(stores map[string]objectstore.Store) *Objects {
	o := &Objects{stores: make(map[string]*objectStore, len(stores))}
	for name, s := range stores {
		o.stores[name] = &objectStore{Store: s}
	}
	return o
}

// target is what a call is about, for its Error.
type target struct {
	op            Op
	store, bucket string
	key           string
}

func (t target) name() string { return strings.TrimPrefix(t.bucket+"/"+t.key, "/") }

// object runs f on the store that t names.
func object[R any](ctx context.Context, o *Objects, t target, f func(*objectStore) (R, error)) (R, error) {
	var stores map[string]*objectStore
	if o != nil {
		stores = o.stores
	}
	s, err := find(stores, ObjectsName, t.op, t.store)
	if err != nil {
		var none R
		return none, err
	}
	r, err := f(s)
	return r, objectError(ctx, t, err)
}

// able runs f on the store that t names if it has that ability.
func able[A, R any](ctx context.Context, o *Objects, t target, f func(A) (R, error)) (R, error) {
	return object(ctx, o, t, func(s *objectStore) (R, error) {
		a, ok := s.Store.(A)
		if !ok {
			var none R
			return none, &Error{
				Kind: NotSupported, Capability: ObjectsName, Op: t.op, Component: t.store,
				Msg: fmt.Sprintf("the object store %s cannot do this: %s", t.store, t.op),
			}
		}
		return f(a)
	})
}

// Put writes an object from what r yields; see File.Put for errors of r.
func (o *Objects) Put(ctx context.Context, store string, req *objectstore.PutRequest, r io.Reader) (*objectstore.PutResult, error) {
	t := target{ObjectPut, store, req.Bucket, req.Key}
	return object(ctx, o, t, func(s *objectStore) (*objectstore.PutResult, error) {
		if err := errors.Join(checkExpires(req.Expires), checkLength(req.ContentLength)); err != nil {
			return nil, err
		}
		return s.Put(ctx, req, s.upload.slow(ctx, r))
	})
}

// Get opens an object; the caller closes its Body, whose errors are Errors.
func (o *Objects) Get(ctx context.Context, store string, req *objectstore.GetRequest) (*objectstore.GetResult, error) {
	t := target{ObjectGet, store, req.Bucket, req.Key}
	return object(ctx, o, t, func(s *objectStore) (*objectstore.GetResult, error) {
		out, err := s.Get(ctx, req)
		if err != nil {
			return nil, err
		}
		out.Body = &content{
			ReadCloser: struct {
				io.Reader
				io.Closer
			}{s.download.slow(ctx, out.Body), out.Body},
			explain: func(err error) error { return objectError(ctx, t, err) },
		}
		return out, nil
	})
}

// Head describes an object.
func (o *Objects) Head(ctx context.Context, store string, req *objectstore.HeadRequest) (*objectstore.Object, error) {
	t := target{ObjectHead, store, req.Bucket, req.Key}
	return object(ctx, o, t, func(s *objectStore) (*objectstore.Object, error) { return s.Head(ctx, req) })
}

// Exists tells whether there is such an object, or version.
func (o *Objects) Exists(ctx context.Context, store string, ref objectstore.Ref) (bool, error) {
	_, err := o.Head(ctx, store, &objectstore.HeadRequest{Ref: ref})
	if e, ok := AsError(err); ok && e.Kind == NotFound {
		return false, nil
	}
	return err == nil, err
}

// Delete removes an object or a version of it.
func (o *Objects) Delete(ctx context.Context, store string, req *objectstore.DeleteRequest) (*objectstore.DeleteResult, error) {
	t := target{ObjectDelete, store, req.Bucket, req.Key}
	return object(ctx, o, t, func(s *objectStore) (*objectstore.DeleteResult, error) { return s.Delete(ctx, req) })
}

// DeleteMany removes several objects. If some could not be removed the error says
// which, and the result which were.
func (o *Objects) DeleteMany(ctx context.Context, store string, req *objectstore.DeleteManyRequest) (*objectstore.DeleteManyResult, error) {
	t := target{ObjectDeleteMany, store, req.Bucket, ""}
	out, err := object(ctx, o, t, func(s *objectStore) (*objectstore.DeleteManyResult, error) { return s.DeleteMany(ctx, req) })
	if err != nil || len(out.Failed) == 0 {
		return out, err
	}
	first := out.Failed[0]
	return out, &Error{
		Kind: Internal, Capability: ObjectsName, Op: t.op, Component: store, Key: t.name(),
		Msg: fmt.Sprintf("%d of %d objects could not be deleted, the first is %q: %s: %s", len(out.Failed), len(req.Objects), first.Key, first.Code, first.Message),
	}
}

// Copy copies an object.
func (o *Objects) Copy(ctx context.Context, store string, req *objectstore.CopyRequest) (*objectstore.CopyResult, error) {
	t := target{ObjectCopy, store, req.Bucket, req.Key}
	return object(ctx, o, t, func(s *objectStore) (*objectstore.CopyResult, error) {
		if err := checkExpires(req.Expires); err != nil {
			return nil, err
		}
		return s.Copy(ctx, req)
	})
}

// List lists the objects of a bucket.
func (o *Objects) List(ctx context.Context, store string, req *objectstore.ListRequest) (*objectstore.ListResult, error) {
	t := target{ObjectList, store, req.Bucket, ""}
	return object(ctx, o, t, func(s *objectStore) (*objectstore.ListResult, error) { return s.List(ctx, req) })
}

// PutTags replaces all tags of an object.
func (o *Objects) PutTags(ctx context.Context, store string, ref objectstore.Ref, tags map[string]string) (*objectstore.TagResult, error) {
	return able(ctx, o, target{ObjectPutTags, store, ref.Bucket, ref.Key}, func(a objectstore.Tagger) (*objectstore.TagResult, error) {
		return a.PutTags(ctx, ref, tags)
	})
}

// GetTags reads the tags of an object.
func (o *Objects) GetTags(ctx context.Context, store string, ref objectstore.Ref, terms objectstore.Terms) (*objectstore.TagResult, error) {
	return able(ctx, o, target{ObjectGetTags, store, ref.Bucket, ref.Key}, func(a objectstore.Tagger) (*objectstore.TagResult, error) {
		return a.GetTags(ctx, ref, terms)
	})
}

// DeleteTags removes the tags of an object.
func (o *Objects) DeleteTags(ctx context.Context, store string, ref objectstore.Ref, terms objectstore.Terms) (*objectstore.TagResult, error) {
	return able(ctx, o, target{ObjectDeleteTags, store, ref.Bucket, ref.Key}, func(a objectstore.Tagger) (*objectstore.TagResult, error) {
		return a.DeleteTags(ctx, ref, terms)
	})
}

// PutACL gives an object one of the predefined access rules.
func (o *Objects) PutACL(ctx context.Context, store string, ref objectstore.Ref, acl string) (*objectstore.RuleResult, error) {
	return able(ctx, o, target{ObjectPutACL, store, ref.Bucket, ref.Key}, func(a objectstore.RuleWriter) (*objectstore.RuleResult, error) {
		return a.PutACL(ctx, ref, acl)
	})
}

// GetACL tells which one an object has.
func (o *Objects) GetACL(ctx context.Context, store string, ref objectstore.Ref) (*objectstore.RuleResult, error) {
	return able(ctx, o, target{ObjectGetACL, store, ref.Bucket, ref.Key}, func(a objectstore.RuleReader) (*objectstore.RuleResult, error) {
		return a.GetACL(ctx, ref)
	})
}

// CreateUpload begins an object that is uploaded in parts.
func (o *Objects) CreateUpload(ctx context.Context, store string, req *objectstore.CreateUploadRequest) (*objectstore.CreateUploadResult, error) {
	return able(ctx, o, target{ObjectCreateUpload, store, req.Bucket, req.Key}, func(a objectstore.Multipart) (*objectstore.CreateUploadResult, error) {
		if err := checkExpires(req.Expires); err != nil {
			return nil, err
		}
		return a.CreateUpload(ctx, req)
	})
}

// UploadPart uploads a part from what r yields; see File.Put for errors of r.
func (o *Objects) UploadPart(ctx context.Context, store string, req *objectstore.UploadPartRequest, r io.Reader) (*objectstore.PartResult, error) {
	t := target{ObjectUploadPart, store, req.Bucket, req.Key}
	return object(ctx, o, t, func(s *objectStore) (*objectstore.PartResult, error) {
		return able(ctx, o, t, func(a objectstore.Multipart) (*objectstore.PartResult, error) {
			if err := checkLength(req.ContentLength); err != nil {
				return nil, err
			}
			return a.UploadPart(ctx, req, s.upload.slow(ctx, r))
		})
	})
}

// CopyPart makes a part of a range of an object.
func (o *Objects) CopyPart(ctx context.Context, store string, req *objectstore.CopyPartRequest) (*objectstore.CopyPartResult, error) {
	return able(ctx, o, target{ObjectCopyPart, store, req.Bucket, req.Key}, func(a objectstore.Multipart) (*objectstore.CopyPartResult, error) {
		return a.CopyPart(ctx, req)
	})
}

// CompleteUpload puts the parts together.
func (o *Objects) CompleteUpload(ctx context.Context, store string, req *objectstore.CompleteUploadRequest) (*objectstore.CompleteUploadResult, error) {
	return able(ctx, o, target{ObjectCompleteUpload, store, req.Bucket, req.Key}, func(a objectstore.Multipart) (*objectstore.CompleteUploadResult, error) {
		return a.CompleteUpload(ctx, req)
	})
}

// AbortUpload gives an upload up.
func (o *Objects) AbortUpload(ctx context.Context, store string, req *objectstore.AbortUploadRequest) (*objectstore.AbortUploadResult, error) {
	return able(ctx, o, target{ObjectAbortUpload, store, req.Bucket, req.Key}, func(a objectstore.Multipart) (*objectstore.AbortUploadResult, error) {
		return a.AbortUpload(ctx, req)
	})
}

// ListUploads lists the uploads of a bucket.
func (o *Objects) ListUploads(ctx context.Context, store string, req *objectstore.ListUploadsRequest) (*objectstore.ListUploadsResult, error) {
	return able(ctx, o, target{ObjectListUploads, store, req.Bucket, ""}, func(a objectstore.Multipart) (*objectstore.ListUploadsResult, error) {
		return a.ListUploads(ctx, req)
	})
}

// ListParts lists the parts of an upload.
func (o *Objects) ListParts(ctx context.Context, store string, req *objectstore.ListPartsRequest) (*objectstore.ListPartsResult, error) {
	return able(ctx, o, target{ObjectListParts, store, req.Bucket, req.Key}, func(a objectstore.Multipart) (*objectstore.ListPartsResult, error) {
		return a.ListParts(ctx, req)
	})
}

// ListVersions lists the versions of the objects of a bucket.
func (o *Objects) ListVersions(ctx context.Context, store string, req *objectstore.ListVersionsRequest) (*objectstore.ListVersionsResult, error) {
	return able(ctx, o, target{ObjectListVersions, store, req.Bucket, ""}, func(a objectstore.Versioner) (*objectstore.ListVersionsResult, error) {
		return a.ListVersions(ctx, req)
	})
}

// SignURL makes a URL that lets whoever has it read or write one object.
func (o *Objects) SignURL(ctx context.Context, store, bucket, key, method string, good time.Duration) (string, error) {
	return able(ctx, o, target{ObjectSignURL, store, bucket, key}, func(a objectstore.Signer) (string, error) {
		return a.SignURL(ctx, bucket, key, method, good)
	})
}

// Append appends what r yields to an object; see File.Put for errors of r.
func (o *Objects) Append(ctx context.Context, store string, req *objectstore.AppendRequest, r io.Reader) (*objectstore.AppendResult, error) {
	t := target{ObjectAppend, store, req.Bucket, req.Key}
	return object(ctx, o, t, func(s *objectStore) (*objectstore.AppendResult, error) {
		return able(ctx, o, t, func(a objectstore.Appender) (*objectstore.AppendResult, error) {
			if err := checkExpires(req.Expires); err != nil {
				return nil, err
			}
			return a.Append(ctx, req, s.upload.slow(ctx, r))
		})
	})
}

// Restore asks for an archived object to be made readable.
func (o *Objects) Restore(ctx context.Context, store string, req *objectstore.RestoreRequest) (*objectstore.RestoreResult, error) {
	return able(ctx, o, target{ObjectRestore, store, req.Bucket, req.Key}, func(a objectstore.Restorer) (*objectstore.RestoreResult, error) {
		return a.Restore(ctx, req)
	})
}

// LimitDownload bounds what all calls together read from a store, in bits per
// second; 0 lifts the limit. It holds for every backend, and until it is changed
// or the process ends.
func (o *Objects) LimitDownload(ctx context.Context, store string, bitsPerSecond int64) error {
	_, err := object(ctx, o, target{op: ObjectLimit, store: store}, func(s *objectStore) (struct{}, error) {
		return struct{}{}, s.download.set(bitsPerSecond)
	})
	return err
}

// LimitUpload bounds what all calls together write to a store, as LimitDownload does.
func (o *Objects) LimitUpload(ctx context.Context, store string, bitsPerSecond int64) error {
	_, err := object(ctx, o, target{op: ObjectLimit, store: store}, func(s *objectStore) (struct{}, error) {
		return struct{}{}, s.upload.set(bitsPerSecond)
	})
	return err
}

// checkExpires refuses a time that no store can write down, as HTTP has four digits
// for a year.
func checkExpires(at time.Time) error {
	if year := at.UTC().Year(); year < 1 || year > 9999 {
		return fmt.Errorf("%w: expires %d: must be seconds since 1970, before the year 10000", objectstore.ErrInvalid, at.Unix())
	}
	return nil
}

func checkLength(n int64) error {
	if n < 0 {
		return fmt.Errorf("%w: content_length %d is negative: leave it out if it is not known", objectstore.ErrInvalid, n)
	}
	return nil
}

// objectError turns what a store returned into an Error.
func objectError(ctx context.Context, t target, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := AsError(err); ok {
		return e // of the one who yields the content, or of able
	}
	kind := Internal
	switch {
	case errors.Is(err, objectstore.ErrInvalid):
		kind = InvalidArgument
	case errors.Is(err, objectstore.ErrNotFound):
		kind = NotFound
	case errors.Is(err, objectstore.ErrPrecondition):
		kind = ETagMismatch
	case errors.Is(err, objectstore.ErrPermission):
		kind = PermissionDenied
	case errors.Is(err, objectstore.ErrNotSupported):
		kind = NotSupported
	case errors.Is(err, objectstore.ErrFull):
		kind = TooLarge
	default:
		if k, ended := contextKind(ctx); ended {
			kind = k
		}
	}
	return &Error{Kind: kind, Capability: ObjectsName, Op: t.op, Component: t.store, Key: t.name(), Err: err}
}
