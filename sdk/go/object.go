package ottavo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	s3v1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/s3"
)

// Bucket is a bucket of an object store of the runtime. It is safe for concurrent
// use and costs nothing to make.
//
// It has the calls that most programs need. ObjectsAPI has all 26 of the API, with
// multipart uploads, versions and access rules.
type Bucket struct {
	api           s3v1.ObjectStorageServiceClient
	store, bucket string
}

// Bucket returns a bucket of the object store with that name in the runtime's
// configuration. Whether they exist shows in the first call.
func (c *Client) Bucket(store, bucket string) *Bucket {
	return &Bucket{api: c.ObjectsAPI(), store: store, bucket: bucket}
}

// ObjectsAPI returns the generated client of object stores, for what Bucket does
// not have. Its errors are gRPC's.
func (c *Client) ObjectsAPI() s3v1.ObjectStorageServiceClient {
	return s3v1.NewObjectStorageServiceClient(c.conn)
}

// ObjectOptions is what can be said about an object that is written. The zero
// value is the usual one.
type ObjectOptions struct {
	// Size is the size of the content, if known beforehand; some stores want it.
	Size int64
	// Metadata stays with the object, and so do Tags, which can be changed alone.
	Metadata, Tags map[string]string
	// CacheControl, ContentDisposition and ContentEncoding are headers of HTTP.
	CacheControl, ContentDisposition, ContentEncoding string
	// ACL is a predefined access rule, such as "private".
	ACL string
	// StorageClass is how the object is kept, such as "STANDARD".
	StorageClass string
}

// Put writes an object from what content yields, whatever is there, at constant
// memory, and returns its etag. When it fails nothing was written; an error of
// content is wrapped. At most one ObjectOptions may be given.
func (b *Bucket) Put(ctx context.Context, key string, content io.Reader, options ...ObjectOptions) (etag string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := b.api.PutObject(ctx)
	if err != nil {
		return "", failed("PutObject", err)
	}
	o := first(options)
	req := &s3v1.PutObjectInput{ // only the first message says this
		StoreName: b.store, Bucket: b.bucket, Key: key, ContentLength: o.Size, Meta: o.Metadata, Tagging: o.Tags, Acl: o.ACL,
		CacheControl: o.CacheControl, ContentDisposition: o.ContentDisposition, ContentEncoding: o.ContentEncoding, StorageClass: o.StorageClass,
	}
	err = send(content, func(piece []byte) error {
		req.Body = piece
		err := stream.Send(req)
		req = &s3v1.PutObjectInput{}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("ottavo: PutObject: reading what is to be written to %q: %w", key, err)
	}
	resp, err := stream.CloseAndRecv()
	if err != nil {
		return "", failed("PutObject", err)
	}
	return resp.GetEtag(), nil
}

// Part is a part of an object's bytes.
type Part struct {
	// Start and End are the first and the last byte. End 0 is the end of the object.
	Start, End int64
}

// Object is an object that is open for reading. Its head is known, its content
// still comes. It must be closed.
type Object struct {
	io.ReadCloser
	Key, ETag, ContentType, ContentEncoding, VersionID string
	// Size is the size of what is read, in bytes.
	Size         int64
	LastModified time.Time
	// Metadata is what the writer left with the object.
	Metadata map[string]string
}

// Get opens an object, or a Part of it. ctx counts until it is closed. That there is
// no such object (ErrNotFound) shows here, not in the first Read.
func (b *Bucket) Get(ctx context.Context, key string, part ...Part) (*Object, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := first(part)
	stream, err := b.api.GetObject(ctx, &s3v1.GetObjectInput{StoreName: b.store, Bucket: b.bucket, Key: key, Start: p.Start, End: p.End})
	if err != nil {
		cancel()
		return nil, failed("GetObject", err)
	}
	head, err := stream.Recv()
	content, err := open("GetObject", head.GetBody(), err, cancel, func() ([]byte, error) {
		resp, err := stream.Recv()
		return resp.GetBody(), err
	})
	if err != nil {
		return nil, err
	}
	return &Object{
		ReadCloser: content, Key: key, ETag: head.GetEtag(), ContentType: head.GetContentType(), ContentEncoding: head.GetContentEncoding(),
		VersionID: head.GetVersionId(), Size: head.GetContentLength(), LastModified: objectTime(head.GetLastModified()), Metadata: head.GetMetadata(),
	}, nil
}

// Head tells about an object without reading it, in the store's words: by the names
// of its HTTP headers.
func (b *Bucket) Head(ctx context.Context, key string) (map[string]string, error) {
	resp, err := b.api.HeadObject(ctx, &s3v1.HeadObjectInput{StoreName: b.store, Bucket: b.bucket, Key: key, WithDetails: true})
	if err != nil {
		return nil, failed("HeadObject", err)
	}
	return resp.GetResultMetadata(), nil
}

// Exists tells whether there is an object under the key.
func (b *Bucket) Exists(ctx context.Context, key string) (bool, error) {
	resp, err := b.api.IsObjectExist(ctx, &s3v1.IsObjectExistInput{StoreName: b.store, Bucket: b.bucket, Key: key})
	if err != nil {
		return false, failed("IsObjectExist", err)
	}
	return resp.GetFileExist(), nil
}

// Delete removes the objects under the keys, in one call. It is no error when
// nothing is there.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	switch len(keys) {
	case 0:
		return nil
	case 1:
		_, err := b.api.DeleteObject(ctx, &s3v1.DeleteObjectInput{StoreName: b.store, Bucket: b.bucket, Key: keys[0]})
		return failed("DeleteObject", err)
	}
	ids := make([]*s3v1.ObjectIdentifier, len(keys))
	for i, key := range keys {
		ids[i] = &s3v1.ObjectIdentifier{Key: key}
	}
	_, err := b.api.DeleteObjects(ctx, &s3v1.DeleteObjectsInput{StoreName: b.store, Bucket: b.bucket, Delete: &s3v1.Delete{Objects: ids}})
	return failed("DeleteObjects", err)
}

// Copy makes an object of another one in the same store; fromBucket "" is this
// bucket.
func (b *Bucket) Copy(ctx context.Context, fromBucket, fromKey, key string) error {
	if fromBucket == "" {
		fromBucket = b.bucket
	}
	_, err := b.api.CopyObject(ctx, &s3v1.CopyObjectInput{
		StoreName: b.store, Bucket: b.bucket, Key: key, CopySource: &s3v1.CopySource{CopySourceBucket: fromBucket, CopySourceKey: fromKey},
	})
	return failed("CopyObject", err)
}

// ObjectInfo is an object in a list.
type ObjectInfo struct {
	Key, ETag string
	// Size is in bytes.
	Size         int64
	LastModified time.Time
	StorageClass string
}

// List yields the objects whose keys begin with the prefix, in the order of their
// keys. Pages are fetched as they are needed. After an error nothing follows.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[ObjectInfo, error] {
	return func(yield func(ObjectInfo, error) bool) {
		for marker := ""; ; {
			resp, err := b.api.ListObjects(ctx, &s3v1.ListObjectsInput{StoreName: b.store, Bucket: b.bucket, Prefix: prefix, Marker: marker})
			if err != nil {
				yield(ObjectInfo{}, failed("ListObjects", err))
				return
			}
			next := resp.GetNextMarker()
			for _, o := range resp.GetContents() {
				info := ObjectInfo{Key: o.GetKey(), ETag: o.GetEtag(), Size: o.GetSize(), LastModified: objectTime(o.GetLastModified()), StorageClass: o.GetStorageClass()}
				if !yield(info, nil) {
					return
				}
				if resp.GetNextMarker() == "" {
					next = o.GetKey() // stores that tell no marker go on after the last key
				}
			}
			switch {
			case !resp.GetIsTruncated():
				return
			case next == marker:
				yield(ObjectInfo{}, errors.New("ottavo: ListObjects: the store says that there is more, and not where"))
				return
			}
			marker = next
		}
	}
}

// Tags reads the tags of an object.
func (b *Bucket) Tags(ctx context.Context, key string) (map[string]string, error) {
	resp, err := b.api.GetObjectTagging(ctx, &s3v1.GetObjectTaggingInput{StoreName: b.store, Bucket: b.bucket, Key: key})
	if err != nil {
		return nil, failed("GetObjectTagging", err)
	}
	return resp.GetTags(), nil
}

// SetTags replaces the tags of an object.
func (b *Bucket) SetTags(ctx context.Context, key string, tags map[string]string) error {
	_, err := b.api.PutObjectTagging(ctx, &s3v1.PutObjectTaggingInput{StoreName: b.store, Bucket: b.bucket, Key: key, Tags: tags})
	return failed("PutObjectTagging", err)
}

// SignURL makes a URL that lets whoever has it read ("GET") or write ("PUT") one
// object, for that long. Not every store can.
func (b *Bucket) SignURL(ctx context.Context, key, method string, good time.Duration) (string, error) {
	resp, err := b.api.SignURL(ctx, &s3v1.SignURLInput{
		StoreName: b.store, Bucket: b.bucket, Key: key, Method: method, ExpiredInSec: int64((good + time.Second - 1) / time.Second),
	})
	if err != nil {
		return "", failed("SignURL", err)
	}
	return resp.GetSignedUrl(), nil
}

// objectTime is a time of the API, in seconds since 1970; 0 is none.
func objectTime(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
