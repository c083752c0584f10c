package objectstore

import (
	"context"
	"errors"
	"io"
	"time"
)

// Store is the contract. All methods are safe for concurrent use and return
// promptly when ctx ends, with ctx's error. Requests must not be changed by the
// store, nor by the caller while a method runs; results belong to the caller.
type Store interface {
	// Put writes an object from what r yields and replaces what is there (or adds
	// a version). It reads r to its end and not beyond, from one goroutine, and not
	// after it has returned. When r, ctx or the backend fails there is nothing new,
	// and an error of r is wrapped by the one returned.
	Put(ctx context.Context, req *PutRequest, r io.Reader) (*PutResult, error)
	// Get opens an object, or a part of it. The caller closes Body; ctx counts until then.
	Get(ctx context.Context, req *GetRequest) (*GetResult, error)
	// Head tells what Get would, without the content.
	Head(ctx context.Context, req *HeadRequest) (*Object, error)
	// Delete removes an object or a version; one that is not there is no error.
	Delete(ctx context.Context, req *DeleteRequest) (*DeleteResult, error)
	// DeleteMany removes several objects of one bucket. What could not be removed
	// is told by Failed of the result, not by an error.
	DeleteMany(ctx context.Context, req *DeleteManyRequest) (*DeleteManyResult, error)
	// Copy copies an object inside the store.
	Copy(ctx context.Context, req *CopyRequest) (*CopyResult, error)
	// List lists the objects of a bucket in the order of their keys.
	List(ctx context.Context, req *ListRequest) (*ListResult, error)
	// Close releases everything. Operations after it fail with ErrClosed. It is safe twice.
	Close() error
}

// Tagger is an ability: tags, which can be changed without writing the object.
type Tagger interface {
	// PutTags replaces all tags and returns the version that has them.
	PutTags(ctx context.Context, ref Ref, tags map[string]string) (*TagResult, error)
	GetTags(ctx context.Context, ref Ref, terms Terms) (*TagResult, error)
	DeleteTags(ctx context.Context, ref Ref, terms Terms) (*TagResult, error)
}

// RuleWriter is an ability: to give an object one of the predefined access rules.
type RuleWriter interface {
	PutACL(ctx context.Context, ref Ref, acl string) (*RuleResult, error)
}

// RuleReader is an ability: to tell which of the predefined access rules an object has.
type RuleReader interface {
	GetACL(ctx context.Context, ref Ref) (*RuleResult, error)
}

// Multipart is an ability: objects that are uploaded in parts. The object does
// not exist before CompleteUpload.
type Multipart interface {
	CreateUpload(ctx context.Context, req *CreateUploadRequest) (*CreateUploadResult, error)
	// UploadPart reads r as Store.Put does.
	UploadPart(ctx context.Context, req *UploadPartRequest, r io.Reader) (*PartResult, error)
	CopyPart(ctx context.Context, req *CopyPartRequest) (*CopyPartResult, error)
	CompleteUpload(ctx context.Context, req *CompleteUploadRequest) (*CompleteUploadResult, error)
	AbortUpload(ctx context.Context, req *AbortUploadRequest) (*AbortUploadResult, error)
	ListUploads(ctx context.Context, req *ListUploadsRequest) (*ListUploadsResult, error)
	ListParts(ctx context.Context, req *ListPartsRequest) (*ListPartsResult, error)
}

// Versioner is an ability: to list the versions of objects.
type Versioner interface {
	ListVersions(ctx context.Context, req *ListVersionsRequest) (*ListVersionsResult, error)
}

// Signer is an ability: URLs that let whoever has them read or write one object.
type Signer interface {
	// SignURL makes a URL for the HTTP method ("GET", "PUT") that is good for that long.
	SignURL(ctx context.Context, bucket, key, method string, good time.Duration) (url string, err error)
}

// Appender is an ability: to append to an object, which is created if need be.
type Appender interface {
	// Append reads r as Put does. When it fails, the object ends where it ended before.
	Append(ctx context.Context, req *AppendRequest, r io.Reader) (*AppendResult, error)
}

// Restorer is an ability: to make archived objects readable for some days.
type Restorer interface {
	Restore(ctx context.Context, req *RestoreRequest) (*RestoreResult, error)
}

// Errors of a store; test with errors.Is.
var (
	// ErrInvalid: the request itself is wrong.
	ErrInvalid = errors.New("invalid request")
	// ErrNotFound: there is no such object, version, bucket or upload.
	ErrNotFound = errors.New("there is no such object")
	// ErrPrecondition: a condition of the request does not hold.
	ErrPrecondition = errors.New("a condition of the request does not hold")
	// ErrPermission: the store refuses; wrong credentials too.
	ErrPermission = errors.New("permission denied")
	// ErrFull: there is no room for the content.
	ErrFull = errors.New("the object store is full")
	// ErrNotSupported: the store lacks what the request needs.
	ErrNotSupported = errors.New("not supported by this object store")
	ErrClosed       = errors.New("object store is closed")
)
