package s3

import (
	"cmp"
	"context"
	"net/http"
	"net/url"

	"github.com/ottavo-runtime/ottavo/components/internal/s3"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// get asks for a list.
func (s *store) get(ctx context.Context, bucket, key string, q url.Values, terms objectstore.Terms, out any) (*s3.Response, error) {
	h := header{}
	h.terms(terms)
	resp, err := s.c.DoXML(ctx, &s3.Request{Method: http.MethodGet, Bucket: bucket, Key: key, Query: q, Header: http.Header(h)}, out)
	return resp, s.explain(err)
}

// List lists the objects of a bucket.
func (s *store) List(ctx context.Context, req *objectstore.ListRequest) (*objectstore.ListResult, error) {
	if err := s.ready(ctx, objectstore.CheckBucket(req.Bucket), objectstore.CheckLimit(req.MaxKeys)); err != nil {
		return nil, err
	}
	q := page(url.Values{}, "delimiter", req.Delimiter, "prefix", req.Prefix, "encoding-type", req.EncodingType, "marker", req.Marker,
		"max-keys", count(req.MaxKeys))
	var in listXML
	if _, err := s.get(ctx, req.Bucket, "", q, req.Terms, &in); err != nil {
		return nil, err
	}
	out := &objectstore.ListResult{
		Bucket: cmp.Or(in.Name, req.Bucket), Delimiter: cmp.Or(in.Delimiter, req.Delimiter), EncodingType: cmp.Or(in.EncodingType, req.EncodingType),
		Marker: cmp.Or(in.Marker, req.Marker), Prefix: cmp.Or(in.Prefix, req.Prefix), MaxKeys: cmp.Or(in.MaxKeys, req.MaxKeys),
		CommonPrefixes: prefixes(in.CommonPrefixes), NextMarker: in.NextMarker, Truncated: in.IsTruncated,
	}
	last := ""
	for _, o := range in.Contents {
		last = o.Key
		e := objectstore.Entry{Key: o.Key, ETag: o.ETag, LastModified: o.LastModified, Size: o.Size, StorageClass: o.StorageClass, Type: o.Type}
		if req.FetchOwner {
			e.Owner = o.Owner.owner()
		}
		out.Objects = append(out.Objects, e)
	}
	if out.Truncated && out.NextMarker == "" {
		// Without a delimiter S3 leaves it to us to see what the last one was.
		for _, p := range out.CommonPrefixes {
			last = max(last, p)
		}
		out.NextMarker = last
	}
	return out, nil
}

// ListVersions lists the versions of the objects of a bucket.
func (s *store) ListVersions(ctx context.Context, req *objectstore.ListVersionsRequest) (*objectstore.ListVersionsResult, error) {
	if err := s.ready(ctx, objectstore.CheckBucket(req.Bucket), objectstore.CheckLimit(req.MaxKeys)); err != nil {
		return nil, err
	}
	q := page(url.Values{"versions": {""}}, "delimiter", req.Delimiter, "prefix", req.Prefix, "encoding-type", req.EncodingType,
		"key-marker", req.KeyMarker, "version-id-marker", req.VersionIDMarker, "max-keys", count(req.MaxKeys))
	var in versionsXML
	if _, err := s.get(ctx, req.Bucket, "", q, objectstore.Terms{ExpectedBucketOwner: req.ExpectedBucketOwner}, &in); err != nil {
		return nil, err
	}
	return &objectstore.ListVersionsResult{
		Bucket: cmp.Or(in.Name, req.Bucket), Delimiter: cmp.Or(in.Delimiter, req.Delimiter), EncodingType: cmp.Or(in.EncodingType, req.EncodingType),
		KeyMarker: cmp.Or(in.KeyMarker, req.KeyMarker), VersionIDMarker: cmp.Or(in.VersionIDMarker, req.VersionIDMarker),
		Prefix: cmp.Or(in.Prefix, req.Prefix), MaxKeys: cmp.Or(in.MaxKeys, req.MaxKeys), CommonPrefixes: prefixes(in.CommonPrefixes),
		Versions: versions(in.Versions), DeleteMarkers: versions(in.DeleteMarkers), NextKeyMarker: in.NextKeyMarker,
		NextVersionIDMarker: in.NextVersionIDMarker, Truncated: in.IsTruncated,
	}, nil
}

func versions(list []versionXML) []objectstore.Version {
	var out []objectstore.Version
	for _, v := range list {
		out = append(out, objectstore.Version{
			Key: v.Key, VersionID: v.VersionID, Latest: v.IsLatest, LastModified: v.LastModified, Owner: v.Owner.owner(),
			ETag: v.ETag, StorageClass: v.StorageClass, Size: v.Size,
		})
	}
	return out
}

// ListUploads lists the uploads of a bucket.
func (s *store) ListUploads(ctx context.Context, req *objectstore.ListUploadsRequest) (*objectstore.ListUploadsResult, error) {
	if err := s.ready(ctx, objectstore.CheckBucket(req.Bucket), objectstore.CheckLimit(req.MaxUploads)); err != nil {
		return nil, err
	}
	q := page(url.Values{"uploads": {""}}, "delimiter", req.Delimiter, "prefix", req.Prefix, "encoding-type", req.EncodingType,
		"key-marker", req.KeyMarker, "upload-id-marker", req.UploadIDMarker, "max-uploads", count(req.MaxUploads))
	var in uploadsXML
	if _, err := s.get(ctx, req.Bucket, "", q, objectstore.Terms{ExpectedBucketOwner: req.ExpectedBucketOwner}, &in); err != nil {
		return nil, err
	}
	out := &objectstore.ListUploadsResult{
		Bucket: cmp.Or(in.Bucket, req.Bucket), Delimiter: cmp.Or(in.Delimiter, req.Delimiter), EncodingType: cmp.Or(in.EncodingType, req.EncodingType),
		KeyMarker: cmp.Or(in.KeyMarker, req.KeyMarker), UploadIDMarker: cmp.Or(in.UploadIDMarker, req.UploadIDMarker),
		Prefix: cmp.Or(in.Prefix, req.Prefix), MaxUploads: cmp.Or(in.MaxUploads, req.MaxUploads), CommonPrefixes: prefixes(in.CommonPrefixes),
		NextKeyMarker: in.NextKeyMarker, NextUploadIDMarker: in.NextUploadIDMarker, Truncated: in.IsTruncated,
	}
	for _, u := range in.Uploads {
		out.Uploads = append(out.Uploads, objectstore.Upload{
			Key: u.Key, UploadID: u.UploadID, Initiated: u.Initiated, Initiator: u.Initiator.owner(), Owner: u.Owner.owner(), StorageClass: u.StorageClass,
		})
	}
	return out, nil
}

// ListParts lists the parts of an upload.
func (s *store) ListParts(ctx context.Context, req *objectstore.ListPartsRequest) (*objectstore.ListPartsResult, error) {
	if err := s.ready(ctx, objectstore.CheckName(req.Bucket, req.Key), objectstore.CheckLimit(req.MaxParts), checkUpload(req.UploadID)); err != nil {
		return nil, err
	}
	q := page(url.Values{"uploadId": {req.UploadID}}, "max-parts", count(req.MaxParts), "part-number-marker", count(req.PartNumberMarker))
	var in partsXML
	if _, err := s.get(ctx, req.Bucket, req.Key, q, req.Terms, &in); err != nil {
		return nil, err
	}
	out := &objectstore.ListPartsResult{
		Bucket: cmp.Or(in.Bucket, req.Bucket), Key: cmp.Or(in.Key, req.Key), UploadID: cmp.Or(in.UploadID, req.UploadID),
		MaxParts: cmp.Or(in.MaxParts, req.MaxParts), NextPartNumberMarker: in.NextPartNumberMarker, Truncated: in.IsTruncated,
	}
	for _, p := range in.Parts {
		out.Parts = append(out.Parts, objectstore.Part{ETag: p.ETag, LastModified: p.LastModified, PartNumber: p.PartNumber, Size: p.Size})
	}
	return out, nil
}
