package layotto

import (
	"context"
	"fmt"
	"net/url"

	"google.golang.org/grpc"

	"github.com/ottavo-runtime/ottavo/components/objectstore"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	s3v1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/s3"
)

// CreateMultipartUpload begins an object that is uploaded in parts.
func (o *objectServer) CreateMultipartUpload(ctx context.Context, req *s3v1.CreateMultipartUploadInput) (*s3v1.CreateMultipartUploadOutput, error) {
	out, err := o.objects.CreateUpload(ctx, req.GetStoreName(), &objectstore.CreateUploadRequest{
		Bucket: req.GetBucket(), Key: req.GetKey(),
		Terms: objectstore.Terms{ExpectedBucketOwner: req.GetExpectedBucketOwner(), RequestPayer: req.GetRequestPayer()},
		CustomerKey: objectstore.CustomerKey{
			Algorithm: req.GetSseCustomerAlgorithm(), Secret: req.GetSseCustomerKey(), KeyMD5: req.GetSseCustomerKeyMd5(),
		},
		Headers: objectstore.Headers{
			CacheControl: req.GetCacheControl(), ContentDisposition: req.GetContentDisposition(), ContentEncoding: req.GetContentEncoding(),
			ContentLanguage: req.GetContentLanguage(), ContentType: req.GetContentType(),
		},
		ACL: req.GetAcl(), BucketKeyEnabled: req.GetBucketKeyEnabled(), Expires: fromUnix(req.GetExpires()),
		GrantFullControl: req.GetGrantFullControl(), GrantRead: req.GetGrantRead(), GrantReadACP: req.GetGrantReadAcp(), GrantWriteACP: req.GetGrantWriteAcp(),
		Metadata: req.GetMetaData(), LegalHold: req.GetObjectLockLegalHoldStatus(), LockMode: req.GetObjectLockMode(),
		RetainUntil: fromUnix(req.GetObjectLockRetainUntilDate()), KMSContext: req.GetSseKmsEncryptionContext(), KMSKeyID: req.GetSseKmsKeyId(),
		Encryption: req.GetServerSideEncryption(), StorageClass: req.GetStorageClass(), Tags: req.GetTagging(), WebsiteRedirect: req.GetWebsiteRedirectLocation(),
	})
	return converted(out, err, func(out *objectstore.CreateUploadResult) *s3v1.CreateMultipartUploadOutput {
		return &s3v1.CreateMultipartUploadOutput{
			Bucket: valid(out.Bucket), Key: valid(out.Key), AbortDate: unix(out.AbortDate), AbortRuleId: valid(out.AbortRule),
			BucketKeyEnabled: out.BucketKeyEnabled, RequestCharged: valid(out.RequestCharged), SseCustomerAlgorithm: valid(out.CustomerKeyAlgorithm),
			SseCustomerKeyMd5: valid(out.CustomerKeyMD5), SseKmsEncryptionContext: valid(out.KMSContext), SseKmsKeyId: valid(out.KMSKeyID),
			ServerSideEncryption: valid(out.ServerEncryption), UploadId: valid(out.UploadID), Metadata: validMap(out.Metadata),
		}
	})
}

// UploadPart uploads one part from a stream of pieces.
func (o *objectServer) UploadPart(stream grpc.ClientStreamingServer[s3v1.UploadPartInput, s3v1.UploadPartOutput]) error {
	first, content, err := firstPiece(stream.Recv, (*s3v1.UploadPartInput).GetBody, capability.ObjectsName, capability.ObjectUploadPart)
	if err != nil {
		return toStatus(err)
	}
	out, err := o.objects.UploadPart(stream.Context(), first.GetStoreName(), &objectstore.UploadPartRequest{
		Bucket: first.GetBucket(), Key: first.GetKey(), UploadID: first.GetUploadId(),
		Terms: objectstore.Terms{ExpectedBucketOwner: first.GetExpectedBucketOwner(), RequestPayer: first.GetRequestPayer()},
		CustomerKey: objectstore.CustomerKey{
			Algorithm: first.GetSseCustomerAlgorithm(), Secret: first.GetSseCustomerKey(), KeyMD5: first.GetSseCustomerKeyMd5(),
		},
		PartNumber: int(first.GetPartNumber()), ContentLength: first.GetContentLength(), ContentMD5: first.GetContentMd5(),
	}, content)
	if err != nil {
		return toStatus(err)
	}
	return stream.SendAndClose(&s3v1.UploadPartOutput{
		BucketKeyEnabled: out.BucketKeyEnabled, Etag: valid(out.ETag), RequestCharged: valid(out.RequestCharged),
		SseCustomerAlgorithm: valid(out.CustomerKeyAlgorithm), SseCustomerKeyMd5: valid(out.CustomerKeyMD5), SseKmsKeyId: valid(out.KMSKeyID),
		ServerSideEncryption: valid(out.ServerEncryption), Metadata: validMap(out.Metadata),
	})
}

// UploadPartCopy makes one part out of a range of an object.
func (o *objectServer) UploadPartCopy(ctx context.Context, req *s3v1.UploadPartCopyInput) (*s3v1.UploadPartCopyOutput, error) {
	out, err := o.objects.CopyPart(ctx, req.GetStoreName(), &objectstore.CopyPartRequest{
		Bucket: req.GetBucket(), Key: req.GetKey(), UploadID: req.GetUploadId(), Source: toSource(req.GetCopySource()),
		PartNumber: int(req.GetPartNumber()), Start: req.GetStartPosition(), Size: req.GetPartSize(),
	})
	return converted(out, err, func(out *objectstore.CopyPartResult) *s3v1.UploadPartCopyOutput {
		return &s3v1.UploadPartCopyOutput{
			BucketKeyEnabled: out.BucketKeyEnabled, CopySourceVersionId: valid(out.SourceVersionID), RequestCharged: valid(out.RequestCharged),
			CopyPartResult:       &s3v1.CopyPartResult{Etag: valid(out.ETag), LastModified: unix(out.LastModified)},
			SseCustomerAlgorithm: valid(out.CustomerKeyAlgorithm), SseCustomerKeyMd5: valid(out.CustomerKeyMD5), SseKmsKeyId: valid(out.KMSKeyID),
			ServerSideEncryption: valid(out.ServerEncryption), Metadata: validMap(out.Metadata),
		}
	})
}

// CompleteMultipartUpload puts the parts together into the object.
func (o *objectServer) CompleteMultipartUpload(ctx context.Context, req *s3v1.CompleteMultipartUploadInput) (*s3v1.CompleteMultipartUploadOutput, error) {
	parts := make([]objectstore.CompletedPart, len(req.GetMultipartUpload().GetParts()))
	for i, p := range req.GetMultipartUpload().GetParts() {
		parts[i] = objectstore.CompletedPart{ETag: p.GetEtag(), PartNumber: int(p.GetPartNumber())}
	}
	out, err := o.objects.CompleteUpload(ctx, req.GetStoreName(), &objectstore.CompleteUploadRequest{
		Bucket: req.GetBucket(), Key: req.GetKey(), UploadID: req.GetUploadId(), Parts: parts,
		Terms: objectstore.Terms{ExpectedBucketOwner: req.GetExpectedBucketOwner(), RequestPayer: req.GetRequestPayer()},
	})
	return converted(out, err, func(out *objectstore.CompleteUploadResult) *s3v1.CompleteMultipartUploadOutput {
		return &s3v1.CompleteMultipartUploadOutput{
			Bucket: valid(out.Bucket), Key: valid(out.Key), BucketKeyEnabled: out.BucketKeyEnabled, Etag: valid(out.ETag),
			Expiration: valid(out.Expiration), Location: valid(out.Location), RequestCharged: valid(out.RequestCharged),
			SseKmsKeyId: valid(out.KMSKeyID), ServerSideEncryption: valid(out.ServerEncryption), VersionId: valid(out.VersionID),
			Metadata: validMap(out.Metadata),
		}
	})
}

// AbortMultipartUpload gives an upload up.
func (o *objectServer) AbortMultipartUpload(ctx context.Context, req *s3v1.AbortMultipartUploadInput) (*s3v1.AbortMultipartUploadOutput, error) {
	out, err := o.objects.AbortUpload(ctx, req.GetStoreName(), &objectstore.AbortUploadRequest{
		Bucket: req.GetBucket(), Key: req.GetKey(), UploadID: req.GetUploadId(),
		Terms: objectstore.Terms{ExpectedBucketOwner: req.GetExpectedBucketOwner(), RequestPayer: req.GetRequestPayer()},
	})
	return converted(out, err, func(out *objectstore.AbortUploadResult) *s3v1.AbortMultipartUploadOutput {
		return &s3v1.AbortMultipartUploadOutput{RequestCharged: valid(out.RequestCharged), Metadata: validMap(out.Metadata)}
	})
}

// ListMultipartUploads lists the uploads under way.
func (o *objectServer) ListMultipartUploads(ctx context.Context, req *s3v1.ListMultipartUploadsInput) (*s3v1.ListMultipartUploadsOutput, error) {
	out, err := o.objects.ListUploads(ctx, req.GetStoreName(), &objectstore.ListUploadsRequest{
		Bucket: req.GetBucket(), ExpectedBucketOwner: req.GetExpectedBucketOwner(), Delimiter: req.GetDelimiter(), Prefix: req.GetPrefix(),
		EncodingType: req.GetEncodingType(), KeyMarker: req.GetKeyMarker(), UploadIDMarker: req.GetUploadIdMarker(), MaxUploads: bound(req.GetMaxUploads()),
	})
	return converted(out, err, func(out *objectstore.ListUploadsResult) *s3v1.ListMultipartUploadsOutput {
		m := &s3v1.ListMultipartUploadsOutput{
			Bucket: valid(out.Bucket), CommonPrefixes: validList(out.CommonPrefixes), Delimiter: valid(out.Delimiter),
			EncodingType: valid(out.EncodingType), IsTruncated: out.Truncated, KeyMarker: valid(out.KeyMarker), MaxUploads: int32(out.MaxUploads),
			NextKeyMarker: valid(out.NextKeyMarker), NextUploadIdMarker: valid(out.NextUploadIDMarker), Prefix: valid(out.Prefix),
			UploadIdMarker: valid(out.UploadIDMarker), Metadata: validMap(out.Metadata), Uploads: make([]*s3v1.MultipartUpload, len(out.Uploads)),
		}
		for i := range out.Uploads {
			u := &out.Uploads[i]
			m.Uploads[i] = &s3v1.MultipartUpload{
				Initiated: unix(u.Initiated), Key: valid(u.Key), Owner: fromOwner(u.Owner), StorageClass: valid(u.StorageClass), UploadId: valid(u.UploadID),
			}
			if u.Initiator != (objectstore.Owner{}) {
				m.Uploads[i].Initiator = &s3v1.Initiator{DisplayName: valid(u.Initiator.DisplayName), Id: valid(u.Initiator.ID)}
			}
		}
		return m
	})
}

// ListParts lists the parts of an upload.
func (o *objectServer) ListParts(ctx context.Context, req *s3v1.ListPartsInput) (*s3v1.ListPartsOutput, error) {
	out, err := o.objects.ListParts(ctx, req.GetStoreName(), &objectstore.ListPartsRequest{
		Bucket: req.GetBucket(), Key: req.GetKey(), UploadID: req.GetUploadId(), MaxParts: bound(req.GetMaxParts()), PartNumberMarker: bound(req.GetPartNumberMarker()),
		Terms: objectstore.Terms{ExpectedBucketOwner: req.GetExpectedBucketOwner(), RequestPayer: req.GetRequestPayer()},
	})
	return converted(out, err, func(out *objectstore.ListPartsResult) *s3v1.ListPartsOutput {
		m := &s3v1.ListPartsOutput{
			Bucket: valid(out.Bucket), Key: valid(out.Key), UploadId: valid(out.UploadID), NextPartNumberMarker: valid(out.NextPartNumberMarker),
			MaxParts: int64(out.MaxParts), IsTruncated: out.Truncated, Metadata: validMap(out.Metadata), Parts: make([]*s3v1.Part, len(out.Parts)),
		}
		for i, p := range out.Parts {
			m.Parts[i] = &s3v1.Part{Etag: valid(p.ETag), LastModified: unix(p.LastModified), PartNumber: int64(p.PartNumber), Size: p.Size}
		}
		return m
	})
}

// ListObjectVersions lists the versions of objects.
func (o *objectServer) ListObjectVersions(ctx context.Context, req *s3v1.ListObjectVersionsInput) (*s3v1.ListObjectVersionsOutput, error) {
	out, err := o.objects.ListVersions(ctx, req.GetStoreName(), &objectstore.ListVersionsRequest{
		Bucket: req.GetBucket(), ExpectedBucketOwner: req.GetExpectedBucketOwner(), Delimiter: req.GetDelimiter(), Prefix: req.GetPrefix(),
		EncodingType: req.GetEncodingType(), KeyMarker: req.GetKeyMarker(), VersionIDMarker: req.GetVersionIdMarker(), MaxKeys: bound(req.GetMaxKeys()),
	})
	return converted(out, err, func(out *objectstore.ListVersionsResult) *s3v1.ListObjectVersionsOutput {
		m := &s3v1.ListObjectVersionsOutput{
			CommonPrefixes: validList(out.CommonPrefixes), Delimiter: valid(out.Delimiter), EncodingType: valid(out.EncodingType),
			IsTruncated: out.Truncated, KeyMarker: valid(out.KeyMarker), MaxKeys: int64(out.MaxKeys), Name: valid(out.Bucket),
			NextKeyMarker: valid(out.NextKeyMarker), NextVersionIdMarker: valid(out.NextVersionIDMarker), Prefix: valid(out.Prefix),
			VersionIdMarker: valid(out.VersionIDMarker), Metadata: validMap(out.Metadata),
			Versions: make([]*s3v1.ObjectVersion, len(out.Versions)), DeleteMarkers: make([]*s3v1.DeleteMarkerEntry, len(out.DeleteMarkers)),
		}
		for i := range out.Versions {
			v := &out.Versions[i]
			m.Versions[i] = &s3v1.ObjectVersion{
				Etag: valid(v.ETag), IsLatest: v.Latest, Key: valid(v.Key), LastModified: unix(v.LastModified), Owner: fromOwner(v.Owner),
				Size: v.Size, StorageClass: valid(v.StorageClass), VersionId: valid(v.VersionID),
			}
		}
		for i := range out.DeleteMarkers {
			v := &out.DeleteMarkers[i]
			m.DeleteMarkers[i] = &s3v1.DeleteMarkerEntry{
				IsLatest: v.Latest, Key: valid(v.Key), LastModified: unix(v.LastModified), Owner: fromOwner(v.Owner), VersionId: valid(v.VersionID),
			}
		}
		return m
	})
}

// AppendObject appends a stream of pieces to an object.
func (o *objectServer) AppendObject(stream grpc.ClientStreamingServer[s3v1.AppendObjectInput, s3v1.AppendObjectOutput]) error {
	first, content, err := firstPiece(stream.Recv, (*s3v1.AppendObjectInput).GetBody, capability.ObjectsName, capability.ObjectAppend)
	if err != nil {
		return toStatus(err)
	}
	meta, err := parseMeta(first.GetMeta())
	if err != nil {
		return toStatus(err)
	}
	out, err := o.objects.Append(stream.Context(), first.GetStoreName(), &objectstore.AppendRequest{
		Bucket: first.GetBucket(), Key: first.GetKey(), Position: first.GetPosition(), ACL: first.GetAcl(),
		Headers: objectstore.Headers{
			CacheControl: first.GetCacheControl(), ContentDisposition: first.GetContentDisposition(), ContentEncoding: first.GetContentEncoding(),
		},
		ContentMD5: first.GetContentMd5(), Expires: fromUnix(first.GetExpires()), StorageClass: first.GetStorageClass(),
		Encryption: first.GetServerSideEncryption(), Metadata: meta, Tags: first.GetTags(),
	}, content)
	if err != nil {
		return toStatus(err)
	}
	return stream.SendAndClose(&s3v1.AppendObjectOutput{AppendPosition: out.Position, Metadata: validMap(out.Metadata)})
}

// parseMeta reads the metadata of AppendObject, which is one text: "color=blue&size=5".
func parseMeta(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, &capability.Error{
			Kind: capability.InvalidArgument, Capability: capability.ObjectsName, Op: capability.ObjectAppend,
			Msg: fmt.Sprintf("meta %q: write it as name=value&name=value, percent-encoded", text),
		}
	}
	out := make(map[string]string, len(values))
	for name := range values {
		out[name] = values.Get(name)
	}
	return out, nil
}

// RestoreObject asks for an archived object to be made readable.
func (o *objectServer) RestoreObject(ctx context.Context, req *s3v1.RestoreObjectInput) (*s3v1.RestoreObjectOutput, error) {
	r := req.GetRestoreRequest()
	in := &objectstore.RestoreRequest{
		Ref:  objectstore.Ref{Bucket: req.GetBucket(), Key: req.GetKey(), VersionID: req.GetVersionId()},
		Days: int(r.GetDays()), Description: r.GetDescription(), GlacierTier: r.GetGlacierJobParameters().GetTier(), Tier: r.GetTier(), Type: r.GetType(),
	}
	if l := r.GetOutputLocation(); l != nil {
		in.Output = &objectstore.OutputLocation{Bucket: l.GetBucketName(), Prefix: l.GetPrefix()}
	}
	if s := r.GetSelectParameters(); s != nil {
		in.Select = toSelect(s)
	}
	out, err := o.objects.Restore(ctx, req.GetStoreName(), in)
	return converted(out, err, func(out *objectstore.RestoreResult) *s3v1.RestoreObjectOutput {
		return &s3v1.RestoreObjectOutput{RequestCharged: valid(out.RequestCharged), RestoreOutputPath: valid(out.OutputPath), Metadata: validMap(out.Metadata)}
	})
}

func toSelect(s *s3v1.SelectParameters) *objectstore.SelectParameters {
	in, to := s.GetInputSerialization(), s.GetOutputSerialization()
	out := &objectstore.SelectParameters{
		Expression: s.GetExpression(), ExpressionType: s.GetExpressionType(), InputJSON: in.GetJson(),
		Compression: in.GetCompressionType(), OutputJSON: to.GetJson(),
	}
	if c := in.GetCsv(); c != nil {
		out.InputCSV = &objectstore.CSVInput{
			AllowQuotedRecordDelimiter: c.GetAllowQuotedRecordDelimiter(), Comments: c.GetComments(), FieldDelimiter: c.GetFieldDelimiter(),
			FileHeaderInfo: c.GetFileHeaderInfo(), QuoteCharacter: c.GetQuoteCharacter(), QuoteEscapeCharacter: c.GetQuoteEscapeCharacter(),
			RecordDelimiter: c.GetRecordDelimiter(),
		}
	}
	if c := to.GetCsv(); c != nil {
		out.OutputCSV = &objectstore.CSVOutput{
			FieldDelimiter: c.GetFieldDelimiter(), QuoteCharacter: c.GetQuoteCharacter(), QuoteEscapeCharacter: c.GetQuoteEscapeCharacter(),
			QuoteFields: c.GetQuoteFields(), RecordDelimiter: c.GetRecordDelimiter(),
		}
	}
	return out
}

// bound is a number of a message as an int that no store takes for a smaller one.
func bound(n int64) int { return int(min(max(n, -1), 1<<31-1)) }
