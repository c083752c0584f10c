package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/components/internal/s3"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// store is what all these stores can do.
type store struct {
	c      *s3.Client
	closed atomic.Bool
}

// Close closes idle connections.
func (s *store) Close() error {
	s.closed.Store(true)
	s.c.Close()
	return nil
}

// Check tells whether the server answers and knows us.
func (s *store) Check(ctx context.Context) error {
	if s.closed.Load() {
		return objectstore.ErrClosed
	}
	return s.c.Check(ctx)
}

// ready is what every operation begins with.
func (s *store) ready(ctx context.Context, checks ...error) error {
	if err := errors.Join(checks...); err != nil {
		return err
	}
	if s.closed.Load() {
		return objectstore.ErrClosed
	}
	return ctx.Err()
}

// explain makes an error of the contract of a server's refusal.
func (s *store) explain(err error) error {
	e, ok := errors.AsType[*s3.Error](err)
	if !ok {
		return err
	}
	kind := map[s3.Class]error{
		s3.Invalid: objectstore.ErrInvalid, s3.NotFound: objectstore.ErrNotFound, s3.Precondition: objectstore.ErrPrecondition,
		s3.Permission: objectstore.ErrPermission, s3.NotSupported: objectstore.ErrNotSupported, s3.Full: objectstore.ErrFull,
	}[e.Class]
	if kind == nil {
		return fmt.Errorf("the object store at %s: %w", s.c.Where(), err)
	}
	return fmt.Errorf("%w: %s: %w", kind, s.c.Where(), err)
}

// header is a request's headers; empty values are left out.
type header http.Header

func (h header) set(name, value string) {
	if value != "" {
		http.Header(h).Set(name, value)
	}
}

func (h header) headers(x objectstore.Headers) {
	h.set("Cache-Control", x.CacheControl)
	h.set("Content-Disposition", x.ContentDisposition)
	h.set("Content-Encoding", x.ContentEncoding)
	h.set("Content-Language", x.ContentLanguage)
	h.set("Content-Type", x.ContentType)
}

func (h header) time(name string, t time.Time) {
	if !t.IsZero() {
		h.set(name, t.UTC().Format(http.TimeFormat))
	}
}

func (h header) terms(t objectstore.Terms) {
	h.set("X-Amz-Expected-Bucket-Owner", t.ExpectedBucketOwner)
	h.set("X-Amz-Request-Payer", t.RequestPayer)
}

func (h header) customerKey(k objectstore.CustomerKey) {
	if k == (objectstore.CustomerKey{}) {
		return
	}
	h.set("X-Amz-Server-Side-Encryption-Customer-Algorithm", k.Algorithm)
	h.set("X-Amz-Server-Side-Encryption-Customer-Key", secretText(k.Secret))
	h.set("X-Amz-Server-Side-Encryption-Customer-Key-Md5", k.KeyMD5)
}

func (h header) conditions(c objectstore.Conditions) {
	h.set("If-Match", c.IfMatch)
	h.set("If-None-Match", c.IfNoneMatch)
	h.time("If-Modified-Since", c.IfModifiedSince)
	h.time("If-Unmodified-Since", c.IfUnmodifiedSince)
}

// userMeta is what the names of a writer's own metadata begin with.
const userMeta = "X-Amz-Meta-"

func (h header) metadata(m map[string]string) {
	for name, value := range m {
		http.Header(h).Set(userMeta+name, value)
	}
}

func (h header) tags(tags map[string]string) {
	values := url.Values{}
	for name, value := range tags {
		values.Set(name, value)
	}
	h.set("X-Amz-Tagging", values.Encode())
}

func version(q url.Values, id string) url.Values {
	if q == nil {
		q = url.Values{}
	}
	if id != "" {
		q.Set("versionId", id)
	}
	return q
}

// describe reads what the headers say of an object.
func describe(resp *s3.Response) objectstore.Object {
	h := resp.Header
	o := objectstore.Object{
		Headers: objectstore.Headers{
			CacheControl: h.Get("Cache-Control"), ContentDisposition: h.Get("Content-Disposition"), ContentEncoding: h.Get("Content-Encoding"),
			ContentLanguage: h.Get("Content-Language"), ContentType: h.Get("Content-Type"),
		},
		ContentLength: s3.Int(h, "Content-Length"), ContentRange: h.Get("Content-Range"), DeleteMarker: h.Get("X-Amz-Delete-Marker") == "true",
		ETag: h.Get("Etag"), Expiration: h.Get("X-Amz-Expiration"), Expires: h.Get("Expires"), LastModified: s3.Time(h, "Last-Modified"),
		VersionID: h.Get("X-Amz-Version-Id"), TagCount: int(s3.Int(h, "X-Amz-Tagging-Count")), StorageClass: h.Get("X-Amz-Storage-Class"),
		PartsCount: int(s3.Int(h, "X-Amz-Mp-Parts-Count")),
	}
	for name, values := range h {
		if own, ok := strings.CutPrefix(name, userMeta); ok {
			if o.Metadata == nil {
				o.Metadata = make(map[string]string)
			}
			o.Metadata[strings.ToLower(own)] = strings.Join(values, ", ")
		}
	}
	o.Reported = s3.Flat(resp.Reported)
	return o
}

// usual leaves of what was reported what says something of the object.
func usual(reported map[string]string) {
	maps.DeleteFunc(reported, func(name, _ string) bool {
		switch name {
		case "Etag", "Expires", "Last-Modified", "Cache-Control", "Accept-Ranges":
			return false
		}
		return !strings.HasPrefix(name, "Content-") && !strings.HasPrefix(name, "X-") || strings.HasSuffix(name, "-Request-Id") || strings.HasSuffix(name, "-Id-2")
	})
}

func (s *store) named(url, bucket, key string) error {
	if url != "" {
		return nil
	}
	return objectstore.CheckName(bucket, key)
}

// Put writes an object.
func (s *store) Put(ctx context.Context, req *objectstore.PutRequest, r io.Reader) (*objectstore.PutResult, error) {
	if err := s.ready(ctx, s.named(req.SignedURL, req.Bucket, req.Key)); err != nil {
		return nil, err
	}
	h := header{}
	h.headers(req.Headers)
	h.time("Expires", req.Expires)
	h.metadata(req.Metadata)
	if req.SignedURL != "" {
		return s.putSigned(ctx, req, h, r)
	}
	h.set("X-Amz-Acl", req.ACL)
	h.set("X-Amz-Server-Side-Encryption", req.Encryption)
	h.set("X-Amz-Storage-Class", req.StorageClass)
	h.tags(req.Tags)
	if req.BucketKeyEnabled {
		h.set("X-Amz-Server-Side-Encryption-Bucket-Key-Enabled", "true")
	}
	up, err := s.c.Upload(ctx, req.Bucket, req.Key, http.Header(h), req.ContentLength, r)
	if err != nil {
		return nil, s.explain(err)
	}
	return putResult(up.ETag, up.Header), nil
}

func putResult(etag string, h http.Header) *objectstore.PutResult {
	return &objectstore.PutResult{
		BucketKeyEnabled: h.Get("X-Amz-Server-Side-Encryption-Bucket-Key-Enabled") == "true", ETag: etag,
		Expiration: h.Get("X-Amz-Expiration"), RequestCharged: h.Get("X-Amz-Request-Charged"), VersionID: h.Get("X-Amz-Version-Id"),
	}
}

func (s *store) putSigned(ctx context.Context, req *objectstore.PutRequest, h header, r io.Reader) (*objectstore.PutResult, error) {
	content, err := s3.Spool(ctx, r)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	if req.ContentLength > 0 && content.Size != req.ContentLength {
		return nil, wrongSize(content.Size, req.ContentLength)
	}
	resp, err := s.c.Do(ctx, &s3.Request{Method: http.MethodPut, Signed: req.SignedURL, Header: http.Header(h), Content: content})
	if err != nil {
		return nil, s.explain(err)
	}
	_ = resp.Body.Close()
	return putResult(resp.Header.Get("Etag"), resp.Header), nil
}

func wrongSize(got, want int64) error {
	return fmt.Errorf("%w: the content has %d bytes, and content_length says %d", objectstore.ErrInvalid, got, want)
}

// Get opens an object, or a part of it.
func (s *store) Get(ctx context.Context, req *objectstore.GetRequest) (*objectstore.GetResult, error) {
	_, _, partial, rerr := req.Range(1<<63 - 1)
	if err := s.ready(ctx, s.named(req.SignedURL, req.Bucket, req.Key), rerr); err != nil {
		return nil, err
	}
	h := header{}
	h.terms(req.Terms)
	h.customerKey(req.CustomerKey)
	h.conditions(req.Conditions)
	h.set("Accept-Encoding", req.AcceptEncoding)
	if partial {
		end := ""
		if req.End != 0 {
			end = strconv.FormatInt(req.End, 10)
		}
		h.set("Range", fmt.Sprintf("bytes=%d-%s", req.Start, end))
	}
	q := version(nil, req.VersionID)
	if req.PartNumber != 0 {
		q.Set("partNumber", strconv.Itoa(req.PartNumber))
	}
	for name, value := range map[string]string{
		"response-cache-control": req.Override.CacheControl, "response-content-disposition": req.Override.ContentDisposition,
		"response-content-encoding": req.Override.ContentEncoding, "response-content-language": req.Override.ContentLanguage,
		"response-content-type": req.Override.ContentType, "response-expires": req.OverrideExpires,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	resp, err := s.c.Do(ctx, &s3.Request{
		Method: http.MethodGet, Bucket: req.Bucket, Key: req.Key, Query: q, Header: http.Header(h), Signed: req.SignedURL,
	})
	if err != nil {
		return nil, s.explain(err)
	}
	out := &objectstore.GetResult{Object: describe(resp), Body: resp.Body}
	if resp.Length >= 0 {
		out.ContentLength = resp.Length
	}
	usual(out.Reported)
	return out, nil
}

// Head describes an object.
func (s *store) Head(ctx context.Context, req *objectstore.HeadRequest) (*objectstore.Object, error) {
	if err := s.ready(ctx, req.Check()); err != nil {
		return nil, err
	}
	h := header{}
	h.terms(req.Terms)
	h.customerKey(req.CustomerKey)
	h.conditions(req.Conditions)
	h.set("X-Amz-Checksum-Mode", req.ChecksumMode)
	q := version(nil, req.VersionID)
	if req.PartNumber != 0 {
		q.Set("partNumber", strconv.Itoa(req.PartNumber))
	}
	resp, err := s.c.Do(ctx, &s3.Request{Method: http.MethodHead, Bucket: req.Bucket, Key: req.Key, Query: q, Header: http.Header(h)})
	if err != nil {
		return nil, s.explain(err)
	}
	_ = resp.Body.Close()
	o := describe(resp)
	if !req.Details {
		usual(o.Reported)
	}
	return &o, nil
}

// Delete removes an object or a version of it.
func (s *store) Delete(ctx context.Context, req *objectstore.DeleteRequest) (*objectstore.DeleteResult, error) {
	if err := s.ready(ctx, req.Check()); err != nil {
		return nil, err
	}
	h := header{}
	h.set("X-Amz-Request-Payer", req.RequestPayer)
	resp, err := s.c.Do(ctx, &s3.Request{
		Method: http.MethodDelete, Bucket: req.Bucket, Key: req.Key, Query: version(nil, req.VersionID), Header: http.Header(h),
	})
	if err != nil {
		if err = s.explain(err); errors.Is(err, objectstore.ErrNotFound) && !strings.Contains(err.Error(), "NoSuchBucket") {
			return &objectstore.DeleteResult{VersionID: req.VersionID}, nil
		}
		return nil, err
	}
	_ = resp.Body.Close()
	return &objectstore.DeleteResult{
		DeleteMarker: resp.Header.Get("X-Amz-Delete-Marker") == "true", RequestCharged: resp.Header.Get("X-Amz-Request-Charged"),
		VersionID: resp.Header.Get("X-Amz-Version-Id"),
	}, nil
}

// DeleteMany removes several objects.
func (s *store) DeleteMany(ctx context.Context, req *objectstore.DeleteManyRequest) (*objectstore.DeleteManyResult, error) {
	if err := s.ready(ctx, req.Check()); err != nil {
		return nil, err
	}
	in := deleteXML{Quiet: req.Quiet}
	for _, o := range req.Objects {
		in.Objects = append(in.Objects, objectXML{Key: o.Key, VersionID: o.VersionID})
	}
	content, err := s3.XML(in)
	if err != nil {
		return nil, err
	}
	h := header{}
	h.set("X-Amz-Request-Payer", req.RequestPayer)
	h.set("Content-Md5", content.MD5())
	var out deletedXML
	if _, err := s.c.DoXML(ctx, &s3.Request{
		Method: http.MethodPost, Bucket: req.Bucket, Query: url.Values{"delete": {""}}, Header: http.Header(h), Content: content,
	}, &out); err != nil {
		return nil, s.explain(err)
	}
	result := &objectstore.DeleteManyResult{}
	for _, d := range out.Deleted {
		if req.Quiet {
			break // some tell it all the same
		}
		result.Deleted = append(result.Deleted, objectstore.Deleted(d))
	}
	for _, e := range out.Errors {
		result.Failed = append(result.Failed, objectstore.NotDeleted(e))
	}
	return result, nil
}

// copySource is a source as these servers want it, in a header.
func copySource(ref objectstore.Ref) string {
	source := "/" + ref.Bucket + "/" + (&url.URL{Path: ref.Key}).EscapedPath()
	if strings.ContainsAny(source, "+") {
		source = strings.ReplaceAll(source, "+", "%2B")
	}
	if ref.VersionID != "" {
		source += "?versionId=" + url.QueryEscape(ref.VersionID)
	}
	return source
}

// Copy copies an object.
func (s *store) Copy(ctx context.Context, req *objectstore.CopyRequest) (*objectstore.CopyResult, error) {
	if err := s.ready(ctx, objectstore.CheckName(req.Bucket, req.Key), objectstore.CheckSource(req.Source)); err != nil {
		return nil, err
	}
	h := header{}
	h.set("X-Amz-Copy-Source", copySource(req.Source))
	h.set("X-Amz-Metadata-Directive", req.MetadataDirective)
	h.metadata(req.Metadata)
	h.time("Expires", req.Expires)
	if req.Tags != nil {
		h.set("X-Amz-Tagging-Directive", "REPLACE")
		h.tags(req.Tags)
	}
	var out copiedXML
	resp, err := s.c.DoXML(ctx, &s3.Request{Method: http.MethodPut, Bucket: req.Bucket, Key: req.Key, Header: http.Header(h), Content: s3.Bytes(nil)}, &out)
	if err != nil {
		return nil, s.explain(err)
	}
	return &objectstore.CopyResult{
		ETag: out.ETag, LastModified: out.LastModified, VersionID: resp.Header.Get("X-Amz-Version-Id"), Expiration: resp.Header.Get("X-Amz-Expiration"),
	}, nil
}

// SignURL makes a URL that lets whoever has it read or write one object.
func (s *store) SignURL(ctx context.Context, bucket, key, method string, good time.Duration) (string, error) {
	if err := s.ready(ctx, objectstore.CheckName(bucket, key)); err != nil {
		return "", err
	}
	method = strings.ToUpper(method)
	switch method {
	case http.MethodGet, http.MethodPut, http.MethodHead, http.MethodDelete:
	default:
		return "", fmt.Errorf("%w: a URL for the method %q: it must be GET, PUT, HEAD or DELETE", objectstore.ErrInvalid, method)
	}
	if good < time.Second || good > maxGood {
		return "", fmt.Errorf("%w: expired_in_sec must be 1 to %d (7 days)", objectstore.ErrInvalid, int64(maxGood/time.Second))
	}
	signed, err := s.c.Presign(method, bucket, key, good)
	return signed, s.explain(err)
}

// maxGood is how long S3 lets a URL be good at most.
const maxGood = 7 * 24 * time.Hour
