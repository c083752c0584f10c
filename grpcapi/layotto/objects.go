package layotto

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/components/objectstore"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	s3v1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/s3"
)

// objectChunk is the most content in one message of GetObject, in bytes.
const objectChunk = 1 << 20

// objectServer answers spec.proto.extension.v1.s3.ObjectStorageService, together
// with the methods in objects_upload.go.
type objectServer struct {
	s3v1.UnimplementedObjectStorageServiceServer
	objects *capability.Objects
	chunks  *chunks
}

// converted converts a result that is there, or the error.
func converted[R, M any](r *R, err error, convert func(*R) *M) (*M, error) {
	if err != nil {
		return nil, toStatus(err)
	}
	return convert(r), nil
}

// PutObject writes an object from a stream of pieces.
func (o *objectServer) PutObject(stream grpc.ClientStreamingServer[s3v1.PutObjectInput, s3v1.PutObjectOutput]) error {
	first, content, err := firstPiece(stream.Recv, (*s3v1.PutObjectInput).GetBody, capability.ObjectsName, capability.ObjectPut)
	if err != nil {
		return toStatus(err)
	}
	out, err := o.objects.Put(stream.Context(), first.GetStoreName(), &objectstore.PutRequest{
		Bucket: first.GetBucket(), Key: first.GetKey(), ACL: first.GetAcl(), BucketKeyEnabled: first.GetBucketKeyEnabled(),
		Headers: objectstore.Headers{
			CacheControl: first.GetCacheControl(), ContentDisposition: first.GetContentDisposition(), ContentEncoding: first.GetContentEncoding(),
		},
		Expires: fromUnix(first.GetExpires()), Encryption: first.GetServerSideEncryption(), SignedURL: first.GetSignedUrl(),
		Metadata: first.GetMeta(), Tags: first.GetTagging(), StorageClass: first.GetStorageClass(), ContentLength: first.GetContentLength(),
	}, content)
	if err != nil {
		return toStatus(err)
	}
	return stream.SendAndClose(&s3v1.PutObjectOutput{
		BucketKeyEnabled: out.BucketKeyEnabled, Etag: valid(out.ETag), Expiration: valid(out.Expiration),
		RequestCharged: valid(out.RequestCharged), VersionId: valid(out.VersionID), Metadata: validMap(out.Metadata),
	})
}

// GetObject reads an object as a stream of pieces, each of which describes the
// object; there is at least one.
func (o *objectServer) GetObject(req *s3v1.GetObjectInput, stream grpc.ServerStreamingServer[s3v1.GetObjectOutput]) error {
	out, err := o.objects.Get(stream.Context(), req.GetStoreName(), &objectstore.GetRequest{
		Ref:   objectstore.Ref{Bucket: req.GetBucket(), Key: req.GetKey(), VersionID: req.GetVersionId()},
		Terms: objectstore.Terms{ExpectedBucketOwner: req.GetExpectedBucketOwner(), RequestPayer: req.GetRequestPayer()},
		CustomerKey: objectstore.CustomerKey{
			Algorithm: req.GetSseCustomerAlgorithm(), Secret: req.GetSseCustomerKey(), KeyMD5: req.GetSseCustomerKeyMd5(),
		},
		Conditions: objectstore.Conditions{
			IfMatch: req.GetIfMatch(), IfNoneMatch: req.GetIfNoneMatch(),
			IfModifiedSince: fromUnix(req.GetIfModifiedSince()), IfUnmodifiedSince: fromUnix(req.GetIfUnmodifiedSince()),
		},
		PartNumber: int(req.GetPartNumber()), Start: req.GetStart(), End: req.GetEnd(),
		Override: objectstore.Headers{
			CacheControl: req.GetResponseCacheControl(), ContentDisposition: req.GetResponseContentDisposition(),
			ContentEncoding: req.GetResponseContentEncoding(), ContentLanguage: req.GetResponseContentLanguage(),
			ContentType: req.GetResponseContentType(),
		},
		OverrideExpires: req.GetResponseExpires(), AcceptEncoding: req.GetAcceptEncoding(), SignedURL: req.GetSignedUrl(),
	})
	if err != nil {
		return toStatus(err)
	}
	defer func() { _ = out.Body.Close() }()
	// One message for all pieces: it is encoded before Send returns.
	m := &s3v1.GetObjectOutput{
		CacheControl: valid(out.CacheControl), ContentDisposition: valid(out.ContentDisposition),
		ContentEncoding: valid(out.ContentEncoding), ContentLanguage: valid(out.ContentLanguage),
		ContentLength: out.ContentLength, ContentRange: valid(out.ContentRange), ContentType: valid(out.ContentType),
		DeleteMarker: out.DeleteMarker, Etag: valid(out.ETag), Expiration: valid(out.Expiration), Expires: valid(out.Expires),
		LastModified: unix(out.LastModified), VersionId: valid(out.VersionID), TagCount: int64(out.TagCount),
		StorageClass: valid(out.StorageClass), PartsCount: int64(out.PartsCount), Metadata: validMap(out.Metadata),
	}
	n, err := o.chunks.each(out.Body, func(data []byte) error {
		m.Body = data
		return stream.Send(m)
	})
	if err == nil && n == 0 {
		err = stream.Send(m)
	}
	return toStatus(err)
}

// DeleteObject deletes an object.
func (o *objectServer) DeleteObject(ctx context.Context, req *s3v1.DeleteObjectInput) (*s3v1.DeleteObjectOutput, error) {
	out, err := o.objects.Delete(ctx, req.GetStoreName(), &objectstore.DeleteRequest{
		Ref:          objectstore.Ref{Bucket: req.GetBucket(), Key: req.GetKey(), VersionID: req.GetVersionId()},
		RequestPayer: req.GetRequestPayer(),
	})
	return converted(out, err, func(out *objectstore.DeleteResult) *s3v1.DeleteObjectOutput {
		return &s3v1.DeleteObjectOutput{
			DeleteMarker: out.DeleteMarker, RequestCharged: valid(out.RequestCharged), VersionId: valid(out.VersionID), Metadata: validMap(out.Metadata),
		}
	})
}

// CopyObject copies an object.
func (o *objectServer) CopyObject(ctx context.Context, req *s3v1.CopyObjectInput) (*s3v1.CopyObjectOutput, error) {
	out, err := o.objects.Copy(ctx, req.GetStoreName(), &objectstore.CopyRequest{
		Bucket: req.GetBucket(), Key: req.GetKey(), Source: toSource(req.GetCopySource()), Tags: req.GetTagging(),
		Expires: fromUnix(req.GetExpires()), MetadataDirective: req.GetMetadataDirective(), Metadata: req.GetMetadata(),
	})
	return converted(out, err, func(out *objectstore.CopyResult) *s3v1.CopyObjectOutput {
		return &s3v1.CopyObjectOutput{
			CopyObjectResult: &s3v1.CopyObjectResult{Etag: valid(out.ETag), LastModified: unix(out.LastModified)},
			VersionId:        valid(out.VersionID), Expiration: valid(out.Expiration), Metadata: validMap(out.Metadata),
		}
	})
}

func toSource(s *s3v1.CopySource) objectstore.Ref {
	return objectstore.Ref{Bucket: s.GetCopySourceBucket(), Key: s.GetCopySourceKey(), VersionID: s.GetCopySourceVersionId()}
}

// DeleteObjects deletes many objects.
func (o *objectServer) DeleteObjects(ctx context.Context, req *s3v1.DeleteObjectsInput) (*s3v1.DeleteObjectsOutput, error) {
	objects := make([]objectstore.Ref, len(req.GetDelete().GetObjects()))
	for i, id := range req.GetDelete().GetObjects() {
		objects[i] = objectstore.Ref{Key: id.GetKey(), VersionID: id.GetVersionId()}
	}
	out, err := o.objects.DeleteMany(ctx, req.GetStoreName(), &objectstore.DeleteManyRequest{
		Bucket: req.GetBucket(), Objects: objects, Quiet: req.GetDelete().GetQuiet(), RequestPayer: req.GetRequestPayer(),
	})
	return converted(out, err, func(out *objectstore.DeleteManyResult) *s3v1.DeleteObjectsOutput {
		m := &s3v1.DeleteObjectsOutput{Metadata: validMap(out.Metadata), Deleted: make([]*s3v1.DeletedObject, len(out.Deleted))}
		for i, d := range out.Deleted {
			m.Deleted[i] = &s3v1.DeletedObject{
				DeleteMarker: d.DeleteMarker, DeleteMarkerVersionId: valid(d.DeleteMarkerVersionID), Key: valid(d.Key), VersionId: valid(d.VersionID),
			}
		}
		return m
	})
}

// ListObjects lists the objects of a bucket.
func (o *objectServer) ListObjects(ctx context.Context, req *s3v1.ListObjectsInput) (*s3v1.ListObjectsOutput, error) {
	out, err := o.objects.List(ctx, req.GetStoreName(), &objectstore.ListRequest{
		Bucket: req.GetBucket(), Delimiter: req.GetDelimiter(), Prefix: req.GetPrefix(), EncodingType: req.GetEncodingType(),
		Marker: req.GetMarker(), MaxKeys: int(req.GetMaxKeys()), FetchOwner: req.GetFetchOwner(),
		Terms: objectstore.Terms{ExpectedBucketOwner: req.GetExpectedBucketOwner(), RequestPayer: req.GetRequestPayer()},
	})
	return converted(out, err, func(out *objectstore.ListResult) *s3v1.ListObjectsOutput {
		m := &s3v1.ListObjectsOutput{
			CommonPrefixes: validList(out.CommonPrefixes), Delimiter: valid(out.Delimiter), EncodingType: valid(out.EncodingType),
			IsTruncated: out.Truncated, Marker: valid(out.Marker), MaxKeys: int32(out.MaxKeys), Name: valid(out.Bucket),
			NextMarker: valid(out.NextMarker), Prefix: valid(out.Prefix), Metadata: validMap(out.Metadata),
			Contents: make([]*s3v1.Object, len(out.Objects)),
		}
		for i := range out.Objects {
			e := &out.Objects[i]
			m.Contents[i] = &s3v1.Object{
				Etag: valid(e.ETag), Key: valid(e.Key), LastModified: unix(e.LastModified), Owner: fromOwner(e.Owner),
				Size: e.Size, StorageClass: valid(e.StorageClass), Type: valid(e.Type),
			}
		}
		return m
	})
}

// HeadObject describes an object.
func (o *objectServer) HeadObject(ctx context.Context, req *s3v1.HeadObjectInput) (*s3v1.HeadObjectOutput, error) {
	out, err := o.objects.Head(ctx, req.GetStoreName(), &objectstore.HeadRequest{
		Ref:   objectstore.Ref{Bucket: req.GetBucket(), Key: req.GetKey(), VersionID: req.GetVersionId()},
		Terms: objectstore.Terms{ExpectedBucketOwner: req.GetExpectedBucketOwner(), RequestPayer: req.GetRequestPayer()},
		CustomerKey: objectstore.CustomerKey{
			Algorithm: req.GetSseCustomerAlgorithm(), Secret: req.GetSseCustomerKey(), KeyMD5: req.GetSseCustomerKeyMd5(),
		},
		Conditions: objectstore.Conditions{
			IfMatch: req.GetIfMatch(), IfNoneMatch: req.GetIfNoneMatch(),
			IfModifiedSince: fromUnix(req.GetIfModifiedSince()), IfUnmodifiedSince: fromUnix(req.GetIfUnmodifiedSince()),
		},
		PartNumber: int(req.GetPartNumber()), ChecksumMode: req.GetChecksumMode(), Details: req.GetWithDetails(),
	})
	return converted(out, err, func(out *objectstore.Object) *s3v1.HeadObjectOutput {
		return &s3v1.HeadObjectOutput{ResultMetadata: validMap(out.Reported)}
	})
}

// IsObjectExist tells whether an object exists.
func (o *objectServer) IsObjectExist(ctx context.Context, req *s3v1.IsObjectExistInput) (*s3v1.IsObjectExistOutput, error) {
	ref := objectstore.Ref{Bucket: req.GetBucket(), Key: req.GetKey(), VersionID: req.GetVersionId()}
	exists, err := o.objects.Exists(ctx, req.GetStoreName(), ref)
	if err != nil {
		return nil, toStatus(err)
	}
	return &s3v1.IsObjectExistOutput{FileExist: exists}, nil
}

// PutObjectTagging replaces all tags of an object.
func (o *objectServer) PutObjectTagging(ctx context.Context, req *s3v1.PutObjectTaggingInput) (*s3v1.PutObjectTaggingOutput, error) {
	ref := objectstore.Ref{Bucket: req.GetBucket(), Key: req.GetKey(), VersionID: req.GetVersionId()}
	out, err := o.objects.PutTags(ctx, req.GetStoreName(), ref, req.GetTags())
	return converted(out, err, func(out *objectstore.TagResult) *s3v1.PutObjectTaggingOutput {
		return &s3v1.PutObjectTaggingOutput{VersionId: valid(out.VersionID), ResultMetadata: validMap(out.Metadata)}
	})
}

// DeleteObjectTagging removes all tags of an object.
func (o *objectServer) DeleteObjectTagging(ctx context.Context, req *s3v1.DeleteObjectTaggingInput) (*s3v1.DeleteObjectTaggingOutput, error) {
	ref := objectstore.Ref{Bucket: req.GetBucket(), Key: req.GetKey(), VersionID: req.GetVersionId()}
	out, err := o.objects.DeleteTags(ctx, req.GetStoreName(), ref, objectstore.Terms{ExpectedBucketOwner: req.GetExpectedBucketOwner()})
	return converted(out, err, func(out *objectstore.TagResult) *s3v1.DeleteObjectTaggingOutput {
		return &s3v1.DeleteObjectTaggingOutput{VersionId: valid(out.VersionID), ResultMetadata: validMap(out.Metadata)}
	})
}

// GetObjectTagging returns the tags of an object.
func (o *objectServer) GetObjectTagging(ctx context.Context, req *s3v1.GetObjectTaggingInput) (*s3v1.GetObjectTaggingOutput, error) {
	ref := objectstore.Ref{Bucket: req.GetBucket(), Key: req.GetKey(), VersionID: req.GetVersionId()}
	out, err := o.objects.GetTags(ctx, req.GetStoreName(), ref, objectstore.Terms{ExpectedBucketOwner: req.GetExpectedBucketOwner(), RequestPayer: req.GetRequestPayer()})
	return converted(out, err, func(out *objectstore.TagResult) *s3v1.GetObjectTaggingOutput {
		return &s3v1.GetObjectTaggingOutput{Tags: validMap(out.Tags), VersionId: valid(out.VersionID), ResultMetadata: validMap(out.Metadata)}
	})
}

// GetObjectCannedAcl returns which of the predefined access rules an object has.
func (o *objectServer) GetObjectCannedAcl(ctx context.Context, req *s3v1.GetObjectCannedAclInput) (*s3v1.GetObjectCannedAclOutput, error) { //nolint:staticcheck // as the API calls it
	ref := objectstore.Ref{Bucket: req.GetBucket(), Key: req.GetKey(), VersionID: req.GetVersionId()}
	out, err := o.objects.GetACL(ctx, req.GetStoreName(), ref)
	return converted(out, err, func(out *objectstore.RuleResult) *s3v1.GetObjectCannedAclOutput {
		return &s3v1.GetObjectCannedAclOutput{
			CannedAcl: valid(out.ACL), Owner: fromOwner(out.Owner), RequestCharged: valid(out.RequestCharged), Metadata: validMap(out.Metadata),
		}
	})
}

// PutObjectCannedAcl gives an object one of the predefined access rules.
func (o *objectServer) PutObjectCannedAcl(ctx context.Context, req *s3v1.PutObjectCannedAclInput) (*s3v1.PutObjectCannedAclOutput, error) { //nolint:staticcheck // as the API calls it
	ref := objectstore.Ref{Bucket: req.GetBucket(), Key: req.GetKey(), VersionID: req.GetVersionId()}
	out, err := o.objects.PutACL(ctx, req.GetStoreName(), ref, req.GetAcl())
	return converted(out, err, func(out *objectstore.RuleResult) *s3v1.PutObjectCannedAclOutput {
		return &s3v1.PutObjectCannedAclOutput{RequestCharged: valid(out.RequestCharged), Metadata: validMap(out.Metadata)}
	})
}

// UpdateDownloadBandwidthRateLimit limits how fast the component downloads.
func (o *objectServer) UpdateDownloadBandwidthRateLimit(ctx context.Context, req *s3v1.UpdateBandwidthRateLimitInput) (*emptypb.Empty, error) {
	return empty(o.objects.LimitDownload(ctx, req.GetStoreName(), req.GetAverageRateLimitInBitsPerSec()))
}

// UpdateUploadBandwidthRateLimit limits how fast the component uploads.
func (o *objectServer) UpdateUploadBandwidthRateLimit(ctx context.Context, req *s3v1.UpdateBandwidthRateLimitInput) (*emptypb.Empty, error) {
	return empty(o.objects.LimitUpload(ctx, req.GetStoreName(), req.GetAverageRateLimitInBitsPerSec()))
}

// SignURL makes a URL for one object.
func (o *objectServer) SignURL(ctx context.Context, req *s3v1.SignURLInput) (*s3v1.SignURLOutput, error) {
	good := time.Duration(min(max(req.GetExpiredInSec(), 0), maxGood)) * time.Second
	url, err := o.objects.SignURL(ctx, req.GetStoreName(), req.GetBucket(), req.GetKey(), req.GetMethod(), good)
	if err != nil {
		return nil, toStatus(err)
	}
	return &s3v1.SignURLOutput{SignedUrl: url}, nil
}

// maxGood is longer in seconds than any store signs for, and fits into a time.Duration.
const maxGood = 1 << 32

// fromUnix is a time of a message; 0 stands for none.
func fromUnix(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0)
}

// unix is a time in a message.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func fromOwner(o objectstore.Owner) *s3v1.Owner {
	if o == (objectstore.Owner{}) {
		return nil
	}
	return &s3v1.Owner{DisplayName: valid(o.DisplayName), Id: valid(o.ID)}
}

func validList(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = valid(s)
	}
	return out
}
