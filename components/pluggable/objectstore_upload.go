package pluggable

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"

	"github.com/ottavo-runtime/ottavo/components/objectstore"
	s3v1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/s3"
)

// CreateUpload implements objectstore.Multipart.
func (s *objectStore) CreateUpload(ctx context.Context, req *objectstore.CreateUploadRequest) (*objectstore.CreateUploadResult, error) {
	if err := objectstore.CheckName(req.Bucket, req.Key); err != nil {
		return nil, err
	}
	resp, err := s.client.CreateMultipartUpload(ctx, &s3v1.CreateMultipartUploadInput{
		StoreName: s.instance, Bucket: req.Bucket, Key: req.Key, Acl: req.ACL, BucketKeyEnabled: req.BucketKeyEnabled, CacheControl: req.CacheControl,
		ContentDisposition: req.ContentDisposition, ContentEncoding: req.ContentEncoding, ContentLanguage: req.ContentLanguage, ContentType: req.ContentType,
		ExpectedBucketOwner: req.ExpectedBucketOwner, RequestPayer: req.RequestPayer, Expires: seconds(req.Expires),
		GrantFullControl: req.GrantFullControl, GrantRead: req.GrantRead, GrantReadAcp: req.GrantReadACP, GrantWriteAcp: req.GrantWriteACP, MetaData: req.Metadata,
		ObjectLockLegalHoldStatus: req.LegalHold, ObjectLockMode: req.LockMode, ObjectLockRetainUntilDate: seconds(req.RetainUntil),
		SseCustomerAlgorithm: req.Algorithm, SseCustomerKey: req.Secret, SseCustomerKeyMd5: req.KeyMD5,
		SseKmsEncryptionContext: req.KMSContext, SseKmsKeyId: req.KMSKeyID, ServerSideEncryption: req.Encryption, StorageClass: req.StorageClass,
		Tagging: req.Tags, WebsiteRedirectLocation: req.WebsiteRedirect,
	})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.CreateUploadResult{
		Bucket: resp.GetBucket(), Key: resp.GetKey(), UploadID: resp.GetUploadId(), AbortDate: moment(resp.GetAbortDate()), AbortRule: resp.GetAbortRuleId(),
		RequestCharged: resp.GetRequestCharged(), Metadata: resp.GetMetadata(),
		Encryption: objectstore.Encryption{
			BucketKeyEnabled: resp.GetBucketKeyEnabled(), CustomerKeyAlgorithm: resp.GetSseCustomerAlgorithm(), CustomerKeyMD5: resp.GetSseCustomerKeyMd5(),
			KMSContext: resp.GetSseKmsEncryptionContext(), KMSKeyID: resp.GetSseKmsKeyId(), ServerEncryption: resp.GetServerSideEncryption(),
		},
	}, nil
}

// UploadPart implements objectstore.Multipart.
func (s *objectStore) UploadPart(ctx context.Context, req *objectstore.UploadPartRequest, r io.Reader) (*objectstore.PartResult, error) {
	if err := cmp.Or(objectstore.CheckName(req.Bucket, req.Key), objectstore.CheckPart(req.PartNumber)); err != nil {
		return nil, err
	}
	first := &s3v1.UploadPartInput{
		StoreName: s.instance, Bucket: req.Bucket, Key: req.Key, UploadId: req.UploadID, ExpectedBucketOwner: req.ExpectedBucketOwner, RequestPayer: req.RequestPayer,
		SseCustomerAlgorithm: req.Algorithm, SseCustomerKey: req.Secret, SseCustomerKeyMd5: req.KeyMD5,
		PartNumber: int32(req.PartNumber), ContentLength: req.ContentLength, ContentMd5: req.ContentMD5, //nolint:gosec // it was checked
	}
	resp, err := upload(ctx, r, s.client.UploadPart, pieces(first, func(m *s3v1.UploadPartInput, data []byte) { m.Body = data }))
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.PartResult{
		ETag: resp.GetEtag(), RequestCharged: resp.GetRequestCharged(), Metadata: resp.GetMetadata(),
		Encryption: objectstore.Encryption{
			BucketKeyEnabled: resp.GetBucketKeyEnabled(), CustomerKeyAlgorithm: resp.GetSseCustomerAlgorithm(), CustomerKeyMD5: resp.GetSseCustomerKeyMd5(),
			KMSKeyID: resp.GetSseKmsKeyId(), ServerEncryption: resp.GetServerSideEncryption(),
		},
	}, nil
}

// CopyPart implements objectstore.Multipart.
func (s *objectStore) CopyPart(ctx context.Context, req *objectstore.CopyPartRequest) (*objectstore.CopyPartResult, error) {
	if err := cmp.Or(objectstore.CheckName(req.Bucket, req.Key), objectstore.CheckSource(req.Source), objectstore.CheckPart(req.PartNumber)); err != nil {
		return nil, err
	}
	resp, err := s.client.UploadPartCopy(ctx, &s3v1.UploadPartCopyInput{
		StoreName: s.instance, Bucket: req.Bucket, Key: req.Key, UploadId: req.UploadID, CopySource: source(req.Source),
		PartNumber: int32(req.PartNumber), StartPosition: req.Start, PartSize: req.Size, //nolint:gosec // it was checked
	})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.CopyPartResult{
		PartResult: objectstore.PartResult{
			ETag: resp.GetCopyPartResult().GetEtag(), RequestCharged: resp.GetRequestCharged(), Metadata: resp.GetMetadata(),
			Encryption: objectstore.Encryption{
				BucketKeyEnabled: resp.GetBucketKeyEnabled(), CustomerKeyAlgorithm: resp.GetSseCustomerAlgorithm(), CustomerKeyMD5: resp.GetSseCustomerKeyMd5(),
				KMSKeyID: resp.GetSseKmsKeyId(), ServerEncryption: resp.GetServerSideEncryption(),
			},
		},
		LastModified: moment(resp.GetCopyPartResult().GetLastModified()), SourceVersionID: resp.GetCopySourceVersionId(),
	}, nil
}

// CompleteUpload implements objectstore.Multipart.
func (s *objectStore) CompleteUpload(ctx context.Context, req *objectstore.CompleteUploadRequest) (*objectstore.CompleteUploadResult, error) {
	if err := req.Check(); err != nil {
		return nil, err
	}
	in := &s3v1.CompleteMultipartUploadInput{
		StoreName: s.instance, Bucket: req.Bucket, Key: req.Key, UploadId: req.UploadID, ExpectedBucketOwner: req.ExpectedBucketOwner, RequestPayer: req.RequestPayer,
		MultipartUpload: &s3v1.CompletedMultipartUpload{},
	}
	for _, p := range req.Parts {
		in.MultipartUpload.Parts = append(in.MultipartUpload.Parts, &s3v1.CompletedPart{Etag: p.ETag, PartNumber: int32(p.PartNumber)}) //nolint:gosec // it was checked
	}
	resp, err := s.client.CompleteMultipartUpload(ctx, in)
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.CompleteUploadResult{
		Bucket: resp.GetBucket(), Key: resp.GetKey(), ETag: resp.GetEtag(), Expiration: resp.GetExpiration(), Location: resp.GetLocation(),
		RequestCharged: resp.GetRequestCharged(), VersionID: resp.GetVersionId(), Metadata: resp.GetMetadata(),
		Encryption: objectstore.Encryption{BucketKeyEnabled: resp.GetBucketKeyEnabled(), KMSKeyID: resp.GetSseKmsKeyId(), ServerEncryption: resp.GetServerSideEncryption()},
	}, nil
}

// AbortUpload implements objectstore.Multipart.
func (s *objectStore) AbortUpload(ctx context.Context, req *objectstore.AbortUploadRequest) (*objectstore.AbortUploadResult, error) {
	if err := objectstore.CheckName(req.Bucket, req.Key); err != nil {
		return nil, err
	}
	resp, err := s.client.AbortMultipartUpload(ctx, &s3v1.AbortMultipartUploadInput{
		StoreName: s.instance, Bucket: req.Bucket, Key: req.Key, UploadId: req.UploadID, ExpectedBucketOwner: req.ExpectedBucketOwner, RequestPayer: req.RequestPayer,
	})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.AbortUploadResult{RequestCharged: resp.GetRequestCharged(), Metadata: resp.GetMetadata()}, nil
}

// ListUploads implements objectstore.Multipart.
func (s *objectStore) ListUploads(ctx context.Context, req *objectstore.ListUploadsRequest) (*objectstore.ListUploadsResult, error) {
	if err := cmp.Or(objectstore.CheckBucket(req.Bucket), objectstore.CheckLimit(req.MaxUploads)); err != nil {
		return nil, err
	}
	resp, err := s.client.ListMultipartUploads(ctx, &s3v1.ListMultipartUploadsInput{
		StoreName: s.instance, Bucket: req.Bucket, ExpectedBucketOwner: req.ExpectedBucketOwner, Delimiter: req.Delimiter, Prefix: req.Prefix,
		EncodingType: req.EncodingType, KeyMarker: req.KeyMarker, UploadIdMarker: req.UploadIDMarker, MaxUploads: int64(req.MaxUploads),
	})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	out := &objectstore.ListUploadsResult{
		Bucket: resp.GetBucket(), Delimiter: resp.GetDelimiter(), EncodingType: resp.GetEncodingType(), KeyMarker: resp.GetKeyMarker(), Prefix: resp.GetPrefix(),
		UploadIDMarker: resp.GetUploadIdMarker(), MaxUploads: int(resp.GetMaxUploads()), CommonPrefixes: resp.GetCommonPrefixes(),
		NextKeyMarker: resp.GetNextKeyMarker(), NextUploadIDMarker: resp.GetNextUploadIdMarker(), Truncated: resp.GetIsTruncated(), Metadata: resp.GetMetadata(),
	}
	for _, u := range resp.GetUploads() {
		out.Uploads = append(out.Uploads, objectstore.Upload{
			Key: u.GetKey(), UploadID: u.GetUploadId(), Initiated: moment(u.GetInitiated()), Owner: ownerOf(u.GetOwner()), StorageClass: u.GetStorageClass(),
			Initiator: objectstore.Owner{DisplayName: u.GetInitiator().GetDisplayName(), ID: u.GetInitiator().GetId()},
		})
	}
	return out, nil
}

// ListParts implements objectstore.Multipart.
func (s *objectStore) ListParts(ctx context.Context, req *objectstore.ListPartsRequest) (*objectstore.ListPartsResult, error) {
	if err := cmp.Or(objectstore.CheckName(req.Bucket, req.Key), objectstore.CheckLimit(req.MaxParts)); err != nil {
		return nil, err
	}
	resp, err := s.client.ListParts(ctx, &s3v1.ListPartsInput{
		StoreName: s.instance, Bucket: req.Bucket, Key: req.Key, UploadId: req.UploadID, ExpectedBucketOwner: req.ExpectedBucketOwner, RequestPayer: req.RequestPayer,
		MaxParts: int64(req.MaxParts), PartNumberMarker: int64(req.PartNumberMarker),
	})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	out := &objectstore.ListPartsResult{
		Bucket: resp.GetBucket(), Key: resp.GetKey(), UploadID: resp.GetUploadId(), MaxParts: int(resp.GetMaxParts()),
		NextPartNumberMarker: resp.GetNextPartNumberMarker(), Truncated: resp.GetIsTruncated(), Metadata: resp.GetMetadata(),
	}
	for _, p := range resp.GetParts() {
		out.Parts = append(out.Parts, objectstore.Part{ETag: p.GetEtag(), LastModified: moment(p.GetLastModified()), PartNumber: int(p.GetPartNumber()), Size: p.GetSize()})
	}
	return out, nil
}

// ListVersions implements objectstore.Versioner.
func (s *objectStore) ListVersions(ctx context.Context, req *objectstore.ListVersionsRequest) (*objectstore.ListVersionsResult, error) {
	if err := cmp.Or(objectstore.CheckBucket(req.Bucket), objectstore.CheckLimit(req.MaxKeys)); err != nil {
		return nil, err
	}
	resp, err := s.client.ListObjectVersions(ctx, &s3v1.ListObjectVersionsInput{
		StoreName: s.instance, Bucket: req.Bucket, ExpectedBucketOwner: req.ExpectedBucketOwner, Delimiter: req.Delimiter, Prefix: req.Prefix,
		EncodingType: req.EncodingType, KeyMarker: req.KeyMarker, VersionIdMarker: req.VersionIDMarker, MaxKeys: int64(req.MaxKeys),
	})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	out := &objectstore.ListVersionsResult{
		Bucket: resp.GetName(), Delimiter: resp.GetDelimiter(), EncodingType: resp.GetEncodingType(), KeyMarker: resp.GetKeyMarker(), Prefix: resp.GetPrefix(),
		VersionIDMarker: resp.GetVersionIdMarker(), MaxKeys: int(resp.GetMaxKeys()), CommonPrefixes: resp.GetCommonPrefixes(),
		NextKeyMarker: resp.GetNextKeyMarker(), NextVersionIDMarker: resp.GetNextVersionIdMarker(), Truncated: resp.GetIsTruncated(), Metadata: resp.GetMetadata(),
	}
	for _, v := range resp.GetVersions() {
		out.Versions = append(out.Versions, objectstore.Version{
			Key: v.GetKey(), VersionID: v.GetVersionId(), Latest: v.GetIsLatest(), LastModified: moment(v.GetLastModified()), Owner: ownerOf(v.GetOwner()),
			ETag: v.GetEtag(), StorageClass: v.GetStorageClass(), Size: v.GetSize(),
		})
	}
	for _, v := range resp.GetDeleteMarkers() {
		out.DeleteMarkers = append(out.DeleteMarkers, objectstore.Version{
			Key: v.GetKey(), VersionID: v.GetVersionId(), Latest: v.GetIsLatest(), LastModified: moment(v.GetLastModified()), Owner: ownerOf(v.GetOwner()),
		})
	}
	return out, nil
}

// Append implements objectstore.Appender.
func (s *objectStore) Append(ctx context.Context, req *objectstore.AppendRequest, r io.Reader) (*objectstore.AppendResult, error) {
	if err := objectstore.CheckName(req.Bucket, req.Key); err != nil {
		return nil, err
	}
	meta := make(url.Values, len(req.Metadata))
	for name, value := range req.Metadata {
		meta.Set(name, value)
	}
	first := &s3v1.AppendObjectInput{
		StoreName: s.instance, Bucket: req.Bucket, Key: req.Key, Position: req.Position, Acl: req.ACL, CacheControl: req.CacheControl,
		ContentDisposition: req.ContentDisposition, ContentEncoding: req.ContentEncoding, ContentMd5: req.ContentMD5, Expires: seconds(req.Expires),
		StorageClass: req.StorageClass, ServerSideEncryption: req.Encryption, Meta: meta.Encode(), Tags: req.Tags,
	}
	resp, err := upload(ctx, r, s.client.AppendObject, pieces(first, func(m *s3v1.AppendObjectInput, data []byte) { m.Body = data }))
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.AppendResult{Position: resp.GetAppendPosition(), Metadata: resp.GetMetadata()}, nil
}

// Restore implements objectstore.Restorer.
func (s *objectStore) Restore(ctx context.Context, req *objectstore.RestoreRequest) (*objectstore.RestoreResult, error) {
	if err := req.Check(); err != nil {
		return nil, err
	}
	if req.Days < 0 || req.Days > 1<<20 {
		return nil, fmt.Errorf("%w: an object cannot be restored for %d days", objectstore.ErrInvalid, req.Days)
	}
	in := &s3v1.RestoreRequest{
		Days: int32(req.Days), Description: req.Description, Tier: req.Tier, Type: req.Type, SelectParameters: selection(req.Select), //nolint:gosec // it was checked
		GlacierJobParameters: &s3v1.GlacierJobParameters{Tier: req.GlacierTier},
	}
	if req.Output != nil {
		in.OutputLocation = &s3v1.OutputLocation{BucketName: req.Output.Bucket, Prefix: req.Output.Prefix}
	}
	resp, err := s.client.RestoreObject(ctx, &s3v1.RestoreObjectInput{StoreName: s.instance, Bucket: req.Bucket, Key: req.Key, VersionId: req.VersionID, RestoreRequest: in})
	if err != nil {
		return nil, s.said(ctx, err)
	}
	return &objectstore.RestoreResult{RequestCharged: resp.GetRequestCharged(), OutputPath: resp.GetRestoreOutputPath(), Metadata: resp.GetMetadata()}, nil
}

// selection is a query in a message; nil for none.
func selection(q *objectstore.SelectParameters) *s3v1.SelectParameters {
	if q == nil {
		return nil
	}
	in, to := &s3v1.InputSerialization{CompressionType: q.Compression, Json: q.InputJSON}, &s3v1.OutputSerialization{Json: q.OutputJSON}
	if c := q.InputCSV; c != nil {
		in.Csv = &s3v1.CSVInput{
			AllowQuotedRecordDelimiter: c.AllowQuotedRecordDelimiter, Comments: c.Comments, FieldDelimiter: c.FieldDelimiter, FileHeaderInfo: c.FileHeaderInfo,
			QuoteCharacter: c.QuoteCharacter, QuoteEscapeCharacter: c.QuoteEscapeCharacter, RecordDelimiter: c.RecordDelimiter,
		}
	}
	if c := q.OutputCSV; c != nil {
		to.Csv = &s3v1.CSVOutput{
			FieldDelimiter: c.FieldDelimiter, QuoteCharacter: c.QuoteCharacter, QuoteEscapeCharacter: c.QuoteEscapeCharacter,
			QuoteFields: c.QuoteFields, RecordDelimiter: c.RecordDelimiter,
		}
	}
	return &s3v1.SelectParameters{Expression: q.Expression, ExpressionType: q.ExpressionType, InputSerialization: in, OutputSerialization: to}
}
