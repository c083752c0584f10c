package pluggable

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
	s3v1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/s3"
	objectstorev1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/objectstore"
)

// objectStore is an object store in a process of its own. It speaks with it as an
// application does with the API, and has every ability: a process that lacks one says
// UNIMPLEMENTED. Uploads are in objectstore_upload.go.
type objectStore struct {
	*link
	client s3v1.ObjectStorageServiceClient
}

func newObjectStore(ctx context.Context, l *link, socket Socket, env components.Env, cfg components.Config) (objectstore.Store, error) {
	if name := s3v1.ObjectStorageService_ServiceDesc.ServiceName; !socket.serves(name) {
		l.close()
		return nil, l.failure("its process serves " + objectstorev1.ObjectStore_ServiceDesc.ServiceName + " but not " + name + ", which does the work")
	}
	if err := l.startOwn(ctx, objectstorev1.ObjectStore_ServiceDesc, "objectstore", env, cfg, nil); err != nil {
		return nil, err
	}
	return &objectStore{l, s3v1.NewObjectStorageServiceClient(l)}, nil
}

func (s *objectStore) said(ctx context.Context, err error) error {
	if bad, ok := errors.AsType[*sourceError](err); ok {
		return fmt.Errorf("reading the content: %w", bad.err)
	}
	return s.explain(ctx, err, kindErrors{closed: objectstore.ErrClosed, codes: map[codes.Code]error{
		codes.InvalidArgument: objectstore.ErrInvalid, codes.NotFound: objectstore.ErrNotFound, codes.FailedPrecondition: objectstore.ErrPrecondition,
		codes.PermissionDenied: objectstore.ErrPermission, codes.Unauthenticated: objectstore.ErrPermission,
		codes.ResourceExhausted: objectstore.ErrFull, codes.Unimplemented: objectstore.ErrNotSupported,
	}})
}

// seconds is a time in a message.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// moment is the time of a message.
func moment(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0)
}

func ownerOf(o *s3v1.Owner) objectstore.Owner {
	return objectstore.Owner{DisplayName: o.GetDisplayName(), ID: o.GetId()}
}

func source(r objectstore.Ref) *s3v1.CopySource {
	return &s3v1.CopySource{CopySourceBucket: r.Bucket, CopySourceKey: r.Key, CopySourceVersionId: r.VersionID}
}

// Put implements objectstore.Store.
func (s *objectStore) Put(ctx context.Context, req *objectstore.PutRequest, r io.Reader) (*objectstore.PutResult, error) {
	if req.SignedURL == "" {
		if err := objectstore.CheckName(req.Bucket, req.Key); err != nil {
			return nil, err
		}
	}
	first := &s3v1.PutObjectInput{
		StoreName: s.instance, Bucket: req.Bucket, Key: req.Key, Acl: req.ACL, BucketKeyEnabled: req.BucketKeyEnabled, CacheControl: req.CacheControl,
		ContentDisposition: req.ContentDisposition, ContentEncoding: req.ContentEncoding, Expires: seconds(req.Expires), ServerSideEncryption: req.Encryption,
		SignedUrl: req.SignedURL, Meta: req.Metadata, Tagging: req.Tags, StorageClass: req.StorageClass, ContentLength: req.ContentLength,
	}
	resp, err := upload(ctx, r, s.client.PutObject, pieces(first, func(m *s3v1.PutObjectInput, data []byte) { m.Body = data }))
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.PutResult{
		BucketKeyEnabled: resp.GetBucketKeyEnabled(), ETag: resp.GetEtag(), Expiration: resp.GetExpiration(),
		RequestCharged: resp.GetRequestCharged(), VersionID: resp.GetVersionId(), Metadata: resp.GetMetadata(),
	}, nil
}

// pieces makes the messages of an upload: the first one, then new ones.
func pieces[M any](first *M, set func(m *M, data []byte)) func(data []byte) *M {
	return func(data []byte) *M {
		m := first
		if m == nil {
			m = new(M)
		}
		first = nil
		set(m, data)
		return m
	}
}

// Get implements objectstore.Store.
func (s *objectStore) Get(ctx context.Context, req *objectstore.GetRequest) (*objectstore.GetResult, error) {
	if req.SignedURL == "" {
		if err := req.Check(); err != nil {
			return nil, err
		}
	}
	in := &s3v1.GetObjectInput{
		StoreName: s.instance, Bucket: req.Bucket, Key: req.Key, VersionId: req.VersionID, ExpectedBucketOwner: req.ExpectedBucketOwner, RequestPayer: req.RequestPayer,
		IfMatch: req.IfMatch, IfNoneMatch: req.IfNoneMatch, IfModifiedSince: seconds(req.IfModifiedSince), IfUnmodifiedSince: seconds(req.IfUnmodifiedSince),
		PartNumber: int64(req.PartNumber), Start: req.Start, End: req.End,
		ResponseCacheControl: req.Override.CacheControl, ResponseContentDisposition: req.Override.ContentDisposition, ResponseContentEncoding: req.Override.ContentEncoding,
		ResponseContentLanguage: req.Override.ContentLanguage, ResponseContentType: req.Override.ContentType, ResponseExpires: req.OverrideExpires,
		SseCustomerAlgorithm: req.Algorithm, SseCustomerKey: req.Secret, SseCustomerKeyMd5: req.KeyMD5, AcceptEncoding: req.AcceptEncoding, SignedUrl: req.SignedURL,
	}
	d, err := download(ctx, func(ctx context.Context) (grpc.ServerStreamingClient[s3v1.GetObjectOutput], error) {
		return s.client.GetObject(ctx, in)
	}, (*s3v1.GetObjectOutput).GetBody, s.said)
	if err != nil {
		return nil, err
	}
	o := d.first
	out := &objectstore.GetResult{Body: d, Object: objectstore.Object{
		Headers: objectstore.Headers{
			CacheControl: o.GetCacheControl(), ContentDisposition: o.GetContentDisposition(), ContentEncoding: o.GetContentEncoding(),
			ContentLanguage: o.GetContentLanguage(), ContentType: o.GetContentType(),
		},
		ContentLength: o.GetContentLength(), ContentRange: o.GetContentRange(), DeleteMarker: o.GetDeleteMarker(), ETag: o.GetEtag(),
		Expiration: o.GetExpiration(), Expires: o.GetExpires(), LastModified: moment(o.GetLastModified()), VersionID: o.GetVersionId(),
		TagCount: int(o.GetTagCount()), StorageClass: o.GetStorageClass(), PartsCount: int(o.GetPartsCount()), Metadata: o.GetMetadata(),
	}}
	out.Reported = out.Describe()
	return out, nil
}

// Head implements objectstore.Store.
func (s *objectStore) Head(ctx context.Context, req *objectstore.HeadRequest) (*objectstore.Object, error) {
	if err := req.Check(); err != nil {
		return nil, err
	}
	resp, err := s.client.HeadObject(ctx, &s3v1.HeadObjectInput{
		StoreName: s.instance, Bucket: req.Bucket, Key: req.Key, VersionId: req.VersionID, ExpectedBucketOwner: req.ExpectedBucketOwner, RequestPayer: req.RequestPayer,
		IfMatch: req.IfMatch, IfNoneMatch: req.IfNoneMatch, IfModifiedSince: seconds(req.IfModifiedSince), IfUnmodifiedSince: seconds(req.IfUnmodifiedSince),
		PartNumber: int32(req.PartNumber), ChecksumMode: req.ChecksumMode, WithDetails: req.Details, //nolint:gosec // a part's number fits
		SseCustomerAlgorithm: req.Algorithm, SseCustomerKey: req.Secret, SseCustomerKeyMd5: req.KeyMD5,
	})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return described(resp.GetResultMetadata()), nil
}

// described is what an object's headers say of it, as objectstore.Object.Describe
// writes them. What is no number or time is left out.
func described(reported map[string]string) *objectstore.Object {
	h := make(map[string]string, len(reported))
	o := &objectstore.Object{Reported: reported}
	for name, value := range reported {
		name = http.CanonicalHeaderKey(name)
		h[name] = value
		if meta, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok {
			if o.Metadata == nil {
				o.Metadata = make(map[string]string)
			}
			o.Metadata[strings.ToLower(meta)] = value
		}
	}
	o.Headers = objectstore.Headers{
		CacheControl: h["Cache-Control"], ContentDisposition: h["Content-Disposition"], ContentEncoding: h["Content-Encoding"],
		ContentLanguage: h["Content-Language"], ContentType: h["Content-Type"],
	}
	o.ETag, o.Expires, o.VersionID, o.StorageClass = h["Etag"], h["Expires"], h["X-Amz-Version-Id"], h["X-Amz-Storage-Class"]
	o.Expiration, o.ContentRange, o.DeleteMarker = h["X-Amz-Expiration"], h["Content-Range"], h["X-Amz-Delete-Marker"] == "true"
	o.ContentLength, _ = strconv.ParseInt(h["Content-Length"], 10, 64)
	o.TagCount, _ = strconv.Atoi(h["X-Amz-Tagging-Count"])
	o.PartsCount, _ = strconv.Atoi(h["X-Amz-Mp-Parts-Count"])
	if at, err := http.ParseTime(h["Last-Modified"]); err == nil {
		o.LastModified = at
	}
	return o
}

// Delete implements objectstore.Store.
func (s *objectStore) Delete(ctx context.Context, req *objectstore.DeleteRequest) (*objectstore.DeleteResult, error) {
	if err := req.Check(); err != nil {
		return nil, err
	}
	resp, err := s.client.DeleteObject(ctx, &s3v1.DeleteObjectInput{StoreName: s.instance, Bucket: req.Bucket, Key: req.Key, VersionId: req.VersionID, RequestPayer: req.RequestPayer})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.DeleteResult{DeleteMarker: resp.GetDeleteMarker(), RequestCharged: resp.GetRequestCharged(), VersionID: resp.GetVersionId(), Metadata: resp.GetMetadata()}, nil
}

// DeleteMany implements objectstore.Store. The process says what was deleted, unless
// it is asked to be quiet; what it does not name then has failed.
func (s *objectStore) DeleteMany(ctx context.Context, req *objectstore.DeleteManyRequest) (*objectstore.DeleteManyResult, error) {
	if err := req.Check(); err != nil {
		return nil, err
	}
	in := &s3v1.DeleteObjectsInput{StoreName: s.instance, Bucket: req.Bucket, RequestPayer: req.RequestPayer, Delete: &s3v1.Delete{Quiet: req.Quiet}}
	for _, o := range req.Objects {
		in.Delete.Objects = append(in.Delete.Objects, &s3v1.ObjectIdentifier{Key: o.Key, VersionId: o.VersionID})
	}
	resp, err := s.client.DeleteObjects(ctx, in)
	if err != nil {
		return nil, s.said(ctx, err)
	}
	out := &objectstore.DeleteManyResult{Metadata: resp.GetMetadata()}
	gone := make(map[string]bool, len(resp.GetDeleted()))
	for _, d := range resp.GetDeleted() {
		gone[d.GetKey()] = true
		out.Deleted = append(out.Deleted, objectstore.Deleted{
			Key: d.GetKey(), VersionID: d.GetVersionId(), DeleteMarker: d.GetDeleteMarker(), DeleteMarkerVersionID: d.GetDeleteMarkerVersionId(),
		})
	}
	for _, o := range req.Objects {
		if !req.Quiet && !gone[o.Key] {
			out.Failed = append(out.Failed, objectstore.NotDeleted{Key: o.Key, VersionID: o.VersionID, Message: "the store does not say that it was deleted"})
		}
	}
	return out, nil
}

// Copy implements objectstore.Store.
func (s *objectStore) Copy(ctx context.Context, req *objectstore.CopyRequest) (*objectstore.CopyResult, error) {
	if err := cmp.Or(objectstore.CheckName(req.Bucket, req.Key), objectstore.CheckSource(req.Source)); err != nil {
		return nil, err
	}
	resp, err := s.client.CopyObject(ctx, &s3v1.CopyObjectInput{
		StoreName: s.instance, Bucket: req.Bucket, Key: req.Key, CopySource: source(req.Source), Tagging: req.Tags, Expires: seconds(req.Expires),
		MetadataDirective: req.MetadataDirective, Metadata: req.Metadata,
	})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.CopyResult{
		ETag: resp.GetCopyObjectResult().GetEtag(), LastModified: moment(resp.GetCopyObjectResult().GetLastModified()),
		VersionID: resp.GetVersionId(), Expiration: resp.GetExpiration(), Metadata: resp.GetMetadata(),
	}, nil
}

// List implements objectstore.Store.
func (s *objectStore) List(ctx context.Context, req *objectstore.ListRequest) (*objectstore.ListResult, error) {
	if err := cmp.Or(objectstore.CheckBucket(req.Bucket), objectstore.CheckLimit(req.MaxKeys)); err != nil {
		return nil, err
	}
	resp, err := s.client.ListObjects(ctx, &s3v1.ListObjectsInput{
		StoreName: s.instance, Bucket: req.Bucket, Delimiter: req.Delimiter, Prefix: req.Prefix, EncodingType: req.EncodingType, Marker: req.Marker,
		MaxKeys: int32(min(req.MaxKeys, 1<<30)), FetchOwner: req.FetchOwner, ExpectedBucketOwner: req.ExpectedBucketOwner, RequestPayer: req.RequestPayer, //nolint:gosec // it fits
	})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	out := &objectstore.ListResult{
		Bucket: resp.GetName(), Delimiter: resp.GetDelimiter(), EncodingType: resp.GetEncodingType(), Marker: resp.GetMarker(), Prefix: resp.GetPrefix(),
		MaxKeys: int(resp.GetMaxKeys()), CommonPrefixes: resp.GetCommonPrefixes(), NextMarker: resp.GetNextMarker(), Truncated: resp.GetIsTruncated(), Metadata: resp.GetMetadata(),
	}
	for _, o := range resp.GetContents() {
		out.Objects = append(out.Objects, objectstore.Entry{
			Key: o.GetKey(), ETag: o.GetEtag(), LastModified: moment(o.GetLastModified()), Owner: ownerOf(o.GetOwner()), Size: o.GetSize(),
			StorageClass: o.GetStorageClass(), Type: o.GetType(),
		})
	}
	return out, nil
}

// PutTags implements objectstore.Tagger.
func (s *objectStore) PutTags(ctx context.Context, ref objectstore.Ref, tags map[string]string) (*objectstore.TagResult, error) {
	if err := ref.Check(); err != nil {
		return nil, err
	}
	resp, err := s.client.PutObjectTagging(ctx, &s3v1.PutObjectTaggingInput{StoreName: s.instance, Bucket: ref.Bucket, Key: ref.Key, VersionId: ref.VersionID, Tags: tags})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.TagResult{VersionID: resp.GetVersionId(), Metadata: resp.GetResultMetadata()}, nil
}

// GetTags implements objectstore.Tagger.
func (s *objectStore) GetTags(ctx context.Context, ref objectstore.Ref, terms objectstore.Terms) (*objectstore.TagResult, error) {
	if err := ref.Check(); err != nil {
		return nil, err
	}
	resp, err := s.client.GetObjectTagging(ctx, &s3v1.GetObjectTaggingInput{
		StoreName: s.instance, Bucket: ref.Bucket, Key: ref.Key, VersionId: ref.VersionID, ExpectedBucketOwner: terms.ExpectedBucketOwner, RequestPayer: terms.RequestPayer,
	})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.TagResult{Tags: resp.GetTags(), VersionID: resp.GetVersionId(), Metadata: resp.GetResultMetadata()}, nil
}

// DeleteTags implements objectstore.Tagger.
func (s *objectStore) DeleteTags(ctx context.Context, ref objectstore.Ref, terms objectstore.Terms) (*objectstore.TagResult, error) {
	if err := ref.Check(); err != nil {
		return nil, err
	}
	resp, err := s.client.DeleteObjectTagging(ctx, &s3v1.DeleteObjectTaggingInput{
		StoreName: s.instance, Bucket: ref.Bucket, Key: ref.Key, VersionId: ref.VersionID, ExpectedBucketOwner: terms.ExpectedBucketOwner,
	})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.TagResult{VersionID: resp.GetVersionId(), Metadata: resp.GetResultMetadata()}, nil
}

// PutACL implements objectstore.RuleWriter.
func (s *objectStore) PutACL(ctx context.Context, ref objectstore.Ref, acl string) (*objectstore.RuleResult, error) {
	if err := ref.Check(); err != nil {
		return nil, err
	}
	resp, err := s.client.PutObjectCannedAcl(ctx, &s3v1.PutObjectCannedAclInput{StoreName: s.instance, Bucket: ref.Bucket, Key: ref.Key, VersionId: ref.VersionID, Acl: acl})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.RuleResult{ACL: acl, RequestCharged: resp.GetRequestCharged(), Metadata: resp.GetMetadata()}, nil
}

// GetACL implements objectstore.RuleReader.
func (s *objectStore) GetACL(ctx context.Context, ref objectstore.Ref) (*objectstore.RuleResult, error) {
	if err := ref.Check(); err != nil {
		return nil, err
	}
	resp, err := s.client.GetObjectCannedAcl(ctx, &s3v1.GetObjectCannedAclInput{StoreName: s.instance, Bucket: ref.Bucket, Key: ref.Key, VersionId: ref.VersionID})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.RuleResult{ACL: resp.GetCannedAcl(), Owner: ownerOf(resp.GetOwner()), RequestCharged: resp.GetRequestCharged(), Metadata: resp.GetMetadata()}, nil
}

// SignURL implements objectstore.Signer.
func (s *objectStore) SignURL(ctx context.Context, bucket, key, method string, good time.Duration) (string, error) {
	if err := objectstore.CheckName(bucket, key); err != nil {
		return "", err
	}
	resp, err := s.client.SignURL(ctx, &s3v1.SignURLInput{StoreName: s.instance, Bucket: bucket, Key: key, Method: method, ExpiredInSec: int64(good / time.Second)})
	return resp.GetSignedUrl(), s.said(ctx, err)
}

// Close implements objectstore.Store.
func (s *objectStore) Close() error {
	s.close()
	return nil
}
