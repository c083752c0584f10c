package s3

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"github.com/ottavo-runtime/ottavo/components/internal/s3"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

func checkUpload(id string) error {
	if id == "" {
		return fmt.Errorf("%w: upload_id is missing", objectstore.ErrInvalid)
	}
	return nil
}

func encryption(h http.Header) objectstore.Encryption {
	return objectstore.Encryption{
		BucketKeyEnabled:     h.Get("X-Amz-Server-Side-Encryption-Bucket-Key-Enabled") == "true",
		CustomerKeyAlgorithm: h.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm"),
		CustomerKeyMD5:       h.Get("X-Amz-Server-Side-Encryption-Customer-Key-Md5"),
		KMSContext:           h.Get("X-Amz-Server-Side-Encryption-Context"),
		KMSKeyID:             h.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"),
		ServerEncryption:     h.Get("X-Amz-Server-Side-Encryption"),
	}
}

// CreateUpload begins an object that is uploaded in parts.
func (s *store) CreateUpload(ctx context.Context, req *objectstore.CreateUploadRequest) (*objectstore.CreateUploadResult, error) {
	if err := s.ready(ctx, objectstore.CheckName(req.Bucket, req.Key)); err != nil {
		return nil, err
	}
	h := header{}
	h.terms(req.Terms)
	h.customerKey(req.CustomerKey)
	h.headers(req.Headers)
	h.time("Expires", req.Expires)
	h.metadata(req.Metadata)
	h.tags(req.Tags)
	if req.BucketKeyEnabled {
		h.set("X-Amz-Server-Side-Encryption-Bucket-Key-Enabled", "true")
	}
	if !req.RetainUntil.IsZero() {
		h.set("X-Amz-Object-Lock-Retain-Until-Date", req.RetainUntil.UTC().Format("2006-01-02T15:04:05Z"))
	}
	for name, value := range map[string]string{
		"X-Amz-Acl": req.ACL, "X-Amz-Grant-Full-Control": req.GrantFullControl, "X-Amz-Grant-Read": req.GrantRead,
		"X-Amz-Grant-Read-Acp": req.GrantReadACP, "X-Amz-Grant-Write-Acp": req.GrantWriteACP,
		"X-Amz-Object-Lock-Legal-Hold": req.LegalHold, "X-Amz-Object-Lock-Mode": req.LockMode,
		"X-Amz-Server-Side-Encryption-Context": req.KMSContext, "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": req.KMSKeyID,
		"X-Amz-Server-Side-Encryption": req.Encryption, "X-Amz-Storage-Class": req.StorageClass,
		"X-Amz-Website-Redirect-Location": req.WebsiteRedirect,
	} {
		h.set(name, value)
	}
	var out struct {
		Bucket, Key string
		UploadID    string `xml:"UploadId"`
	}
	resp, err := s.c.DoXML(ctx, &s3.Request{
		Method: http.MethodPost, Bucket: req.Bucket, Key: req.Key, Query: url.Values{"uploads": {""}}, Header: http.Header(h), Content: s3.Bytes(nil),
	}, &out)
	if err != nil {
		return nil, s.explain(err)
	}
	return &objectstore.CreateUploadResult{
		Bucket: cmp.Or(out.Bucket, req.Bucket), Key: cmp.Or(out.Key, req.Key), UploadID: out.UploadID, Encryption: encryption(resp.Header),
		AbortDate: s3.Time(resp.Header, "X-Amz-Abort-Date"), AbortRule: resp.Header.Get("X-Amz-Abort-Rule-Id"),
		RequestCharged: resp.Header.Get("X-Amz-Request-Charged"),
	}, nil
}

func partQuery(id string, number int) url.Values {
	return url.Values{"uploadId": {id}, "partNumber": {strconv.Itoa(number)}}
}

// UploadPart uploads one part.
func (s *store) UploadPart(ctx context.Context, req *objectstore.UploadPartRequest, r io.Reader) (*objectstore.PartResult, error) {
	_, merr := objectstore.ParseMD5(req.ContentMD5)
	if err := s.ready(ctx, objectstore.CheckName(req.Bucket, req.Key), objectstore.CheckPart(req.PartNumber), checkUpload(req.UploadID), merr); err != nil {
		return nil, err
	}
	content, err := s3.Spool(ctx, r)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	if req.ContentLength > 0 && content.Size != req.ContentLength {
		return nil, wrongSize(content.Size, req.ContentLength)
	}
	h := header{}
	h.terms(req.Terms)
	h.customerKey(req.CustomerKey)
	h.set("Content-Md5", req.ContentMD5)
	resp, err := s.c.Do(ctx, &s3.Request{
		Method: http.MethodPut, Bucket: req.Bucket, Key: req.Key, Query: partQuery(req.UploadID, req.PartNumber), Header: http.Header(h), Content: content,
	})
	if err != nil {
		return nil, s.explain(err)
	}
	_ = resp.Body.Close()
	return &objectstore.PartResult{
		ETag: resp.Header.Get("Etag"), Encryption: encryption(resp.Header), RequestCharged: resp.Header.Get("X-Amz-Request-Charged"),
	}, nil
}

// CopyPart makes a part of a range of an object.
func (s *store) CopyPart(ctx context.Context, req *objectstore.CopyPartRequest) (*objectstore.CopyPartResult, error) {
	if err := s.ready(ctx, objectstore.CheckName(req.Bucket, req.Key), objectstore.CheckSource(req.Source), objectstore.CheckPart(req.PartNumber), checkUpload(req.UploadID)); err != nil {
		return nil, err
	}
	if req.Start < 0 || req.Size < 0 || req.Size > math.MaxInt64-req.Start {
		return nil, fmt.Errorf("%w: bytes from %d, %d of them, are no range", objectstore.ErrInvalid, req.Start, req.Size)
	}
	h := header{}
	h.set("X-Amz-Copy-Source", copySource(req.Source))
	if req.Size > 0 {
		h.set("X-Amz-Copy-Source-Range", fmt.Sprintf("bytes=%d-%d", req.Start, req.Start+req.Size-1))
	} else if req.Start > 0 {
		return nil, fmt.Errorf("%w: part_size is missing: with start_position %d it must be there", objectstore.ErrInvalid, req.Start)
	}
	var out copiedXML
	resp, err := s.c.DoXML(ctx, &s3.Request{
		Method: http.MethodPut, Bucket: req.Bucket, Key: req.Key, Query: partQuery(req.UploadID, req.PartNumber), Header: http.Header(h), Content: s3.Bytes(nil),
	}, &out)
	if err != nil {
		return nil, s.explain(err)
	}
	return &objectstore.CopyPartResult{
		PartResult: objectstore.PartResult{
			ETag: out.ETag, Encryption: encryption(resp.Header), RequestCharged: resp.Header.Get("X-Amz-Request-Charged"),
		},
		LastModified: out.LastModified, SourceVersionID: resp.Header.Get("X-Amz-Copy-Source-Version-Id"),
	}, nil
}

// CompleteUpload puts the parts together.
func (s *store) CompleteUpload(ctx context.Context, req *objectstore.CompleteUploadRequest) (*objectstore.CompleteUploadResult, error) {
	if err := s.ready(ctx, req.Check(), checkUpload(req.UploadID)); err != nil {
		return nil, err
	}
	in := s3.CompleteRequest{}
	for _, p := range req.Parts {
		in.Parts = append(in.Parts, s3.CompletedPart{PartNumber: p.PartNumber, ETag: p.ETag})
	}
	content, err := s3.XML(in)
	if err != nil {
		return nil, err
	}
	h := header{}
	h.terms(req.Terms)
	var out s3.CompleteResult
	resp, err := s.c.DoXML(ctx, &s3.Request{
		Method: http.MethodPost, Bucket: req.Bucket, Key: req.Key, Query: url.Values{"uploadId": {req.UploadID}}, Header: http.Header(h), Content: content,
	}, &out)
	if err != nil {
		return nil, s.explain(err)
	}
	return &objectstore.CompleteUploadResult{
		Bucket: cmp.Or(out.Bucket, req.Bucket), Key: cmp.Or(out.Key, req.Key), ETag: out.ETag, Encryption: encryption(resp.Header),
		Expiration: resp.Header.Get("X-Amz-Expiration"), Location: out.Location, RequestCharged: resp.Header.Get("X-Amz-Request-Charged"),
		VersionID: resp.Header.Get("X-Amz-Version-Id"),
	}, nil
}

// AbortUpload gives an upload up.
func (s *store) AbortUpload(ctx context.Context, req *objectstore.AbortUploadRequest) (*objectstore.AbortUploadResult, error) {
	if err := s.ready(ctx, objectstore.CheckName(req.Bucket, req.Key), checkUpload(req.UploadID)); err != nil {
		return nil, err
	}
	h := header{}
	h.terms(req.Terms)
	resp, err := s.c.Do(ctx, &s3.Request{
		Method: http.MethodDelete, Bucket: req.Bucket, Key: req.Key, Query: url.Values{"uploadId": {req.UploadID}}, Header: http.Header(h),
	})
	if err != nil {
		return nil, s.explain(err)
	}
	_ = resp.Body.Close()
	return &objectstore.AbortUploadResult{RequestCharged: resp.Header.Get("X-Amz-Request-Charged")}, nil
}

// appender is the ability to append.
type appender struct{ s *store }

// Append appends to an object.
func (a appender) Append(ctx context.Context, req *objectstore.AppendRequest, r io.Reader) (*objectstore.AppendResult, error) {
	s := a.s
	_, merr := objectstore.ParseMD5(req.ContentMD5)
	if err := s.ready(ctx, objectstore.CheckName(req.Bucket, req.Key), merr); err != nil {
		return nil, err
	}
	content, err := s3.Spool(ctx, r)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	h := header{}
	h.headers(req.Headers)
	h.time("Expires", req.Expires)
	h.metadata(req.Metadata)
	h.tags(req.Tags)
	h.set("X-Amz-Acl", req.ACL)
	h.set("X-Amz-Storage-Class", req.StorageClass)
	h.set("X-Amz-Server-Side-Encryption", req.Encryption)
	h.set("Content-Md5", cmp.Or(req.ContentMD5, content.MD5()))
	resp, err := s.c.Do(ctx, &s3.Request{
		Method: http.MethodPost, Bucket: req.Bucket, Key: req.Key, Header: http.Header(h), Content: content,
		Query: url.Values{"append": {""}, "position": {strconv.FormatInt(req.Position, 10)}}, Once: true,
	})
	if err != nil {
		return nil, s.explain(err)
	}
	_ = resp.Body.Close()
	return &objectstore.AppendResult{Position: s3.Int(resp.Header, "X-Amz-Next-Append-Position")}, nil
}
