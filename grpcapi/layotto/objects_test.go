package layotto_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
	"github.com/ottavo-runtime/ottavo/components/objectstore/local"
	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	"github.com/ottavo-runtime/ottavo/grpcapi/layotto"
	s3v1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/s3"
)

func objectConfig(s objectstore.Store) layotto.Config {
	return layotto.Config{Objects: capability.NewObjects(map[string]objectstore.Store{"oss": s})}
}

// objectClient serves a store in a folder that keeps versions.
func objectClient(t testing.TB) s3v1.ObjectStorageServiceClient {
	t.Helper()
	s, err := local.New(t.Context(), components.Env{}, components.Config{Name: "oss", Metadata: map[string]any{"root": t.TempDir(), "versioning": true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	_, cc := serve(t, objectConfig(s))
	return s3v1.NewObjectStorageServiceClient(cc)
}

func putObject(ctx context.Context, c s3v1.ObjectStorageServiceClient, first *s3v1.PutObjectInput, more ...[]byte) (*s3v1.PutObjectOutput, error) {
	stream, err := c.PutObject(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(first)
	for _, body := range more {
		if err == nil {
			err = stream.Send(&s3v1.PutObjectInput{Body: body})
		}
	}
	return stream.CloseAndRecv()
}

// getObject returns all messages, and their bodies in one.
func getObject(ctx context.Context, c s3v1.ObjectStorageServiceClient, req *s3v1.GetObjectInput) (all []*s3v1.GetObjectOutput, body []byte, err error) {
	stream, err := c.GetObject(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, body, nil
		}
		if err != nil {
			return all, body, err
		}
		all, body = append(all, m), append(body, m.GetBody()...)
	}
}

// do fails the test on an error.
func do[M any](t *testing.T) func(m *M, err error) *M {
	return func(m *M, err error) *M {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}

func TestObject(t *testing.T) {
	c, ctx := objectClient(t), timeout(t)
	big := bytes.Repeat([]byte("0123456789"), 250_000)
	put, err := putObject(ctx, c, &s3v1.PutObjectInput{
		StoreName: "oss", Bucket: "b", Key: "d/big", Body: big[:10], Meta: map[string]string{"color": "blue"}, Tagging: map[string]string{"team": "a"},
		CacheControl: "no-store", ContentDisposition: "inline", ContentEncoding: "identity", Expires: 2_000_000_000, StorageClass: "GLACIER",
		Acl: "public-read", ContentLength: int64(len(big)),
	}, big[10:1_000_000], nil, big[1_000_000:])
	if err != nil || put.GetEtag() == "" || put.GetVersionId() == "" {
		t.Fatalf("PutObject: %v, %v", put, err)
	}
	all, body, err := getObject(ctx, c, &s3v1.GetObjectInput{StoreName: "oss", Bucket: "b", Key: "d/big"})
	if err != nil || !bytes.Equal(body, big) || len(all) != 3 || len(all[0].GetBody()) != 1<<20 || len(all[1].GetBody()) != 1<<20 {
		t.Fatalf("GetObject: %d bytes in %d messages, %v", len(body), len(all), err)
	}
	for i, m := range all {
		if m.GetContentLength() != int64(len(big)) || m.GetEtag() != put.GetEtag() || m.GetVersionId() != put.GetVersionId() ||
			m.GetCacheControl() != "no-store" || m.GetContentDisposition() != "inline" || m.GetContentEncoding() != "identity" ||
			m.GetExpires() != "Wed, 18 May 2033 03:33:20 GMT" || time.Since(time.Unix(m.GetLastModified(), 0)) > time.Minute ||
			m.GetTagCount() != 1 || m.GetStorageClass() != "GLACIER" || m.GetMetadata()["color"] != "blue" {
			m.Body = nil
			t.Errorf("message %d: %v", i, m)
		}
	}
	all, body, err = getObject(ctx, c, &s3v1.GetObjectInput{
		StoreName: "oss", Bucket: "b", Key: "d/big", Start: 10, End: 14, ResponseContentType: "text/x", ResponseExpires: "never",
	})
	if err != nil || string(body) != "01234" || all[0].GetContentRange() != "bytes 10-14/2500000" || all[0].GetContentType() != "text/x" || all[0].GetExpires() != "never" {
		t.Errorf("GetObject of a part: %v, %v", all, err)
	}
	do[s3v1.PutObjectOutput](t)(putObject(ctx, c, &s3v1.PutObjectInput{StoreName: "oss", Bucket: "b", Key: "empty"}))
	if all, _, err = getObject(ctx, c, &s3v1.GetObjectInput{StoreName: "oss", Bucket: "b", Key: "empty"}); err != nil || len(all) != 1 || all[0].GetEtag() == "" {
		t.Errorf("GetObject of an empty object: %v, %v", all, err)
	}
	head := do[s3v1.HeadObjectOutput](t)(c.HeadObject(ctx, &s3v1.HeadObjectInput{StoreName: "oss", Bucket: "b", Key: "d/big"})).GetResultMetadata()
	if head["Content-Length"] != "2500000" || head["X-Amz-Meta-Color"] != "blue" || head["Etag"] != put.GetEtag() {
		t.Errorf("HeadObject: %v", head)
	}
	for key, want := range map[string]bool{"d/big": true, "d/small": false} {
		out, err := c.IsObjectExist(ctx, &s3v1.IsObjectExistInput{StoreName: "oss", Bucket: "b", Key: key})
		if err != nil || out.GetFileExist() != want {
			t.Errorf("IsObjectExist(%q): %v, %v", key, out, err)
		}
	}
	out, err := c.IsObjectExist(ctx, &s3v1.IsObjectExistInput{StoreName: "oss", Bucket: "b", Key: "d/big", VersionId: "0000000000000000"})
	if err != nil || out.GetFileExist() {
		t.Errorf("IsObjectExist of another version: %v, %v", out, err)
	}
}

func TestObjectCopyDeleteList(t *testing.T) {
	c, ctx := objectClient(t), timeout(t)
	for _, key := range []string{"d/1", "d/2", "e", "f"} {
		do[s3v1.PutObjectOutput](t)(putObject(ctx, c, &s3v1.PutObjectInput{StoreName: "oss", Bucket: "b", Key: key, Body: []byte(key)}))
	}
	copied := do[s3v1.CopyObjectOutput](t)(c.CopyObject(ctx, &s3v1.CopyObjectInput{
		StoreName: "oss", Bucket: "b2", Key: "copy", CopySource: &s3v1.CopySource{CopySourceBucket: "b", CopySourceKey: "e"},
	}))
	if r := copied.GetCopyObjectResult(); r.GetEtag() == "" || time.Since(time.Unix(r.GetLastModified(), 0)) > time.Minute || copied.GetVersionId() == "" {
		t.Errorf("CopyObject: %v", copied)
	}
	if _, body, err := getObject(ctx, c, &s3v1.GetObjectInput{StoreName: "oss", Bucket: "b2", Key: "copy"}); err != nil || string(body) != "e" {
		t.Errorf("the copy: %q, %v", body, err)
	}
	_, err := c.CopyObject(ctx, &s3v1.CopyObjectInput{StoreName: "oss", Bucket: "b2", Key: "copy"})
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(status.Convert(err).Message(), "must specific copy_source") {
		t.Errorf("CopyObject without a source: %v", err)
	}
	list := do[s3v1.ListObjectsOutput](t)(c.ListObjects(ctx, &s3v1.ListObjectsInput{StoreName: "oss", Bucket: "b", Delimiter: "/", MaxKeys: 2, FetchOwner: true}))
	if !slices.Equal(list.GetCommonPrefixes(), []string{"d/"}) || len(list.GetContents()) != 1 || !list.GetIsTruncated() || list.GetNextMarker() != "e" ||
		list.GetName() != "b" || list.GetMaxKeys() != 2 || list.GetContents()[0].GetOwner().GetId() == "" || list.GetContents()[0].GetSize() != 1 {
		t.Errorf("ListObjects: %v", list)
	}
	deleted := do[s3v1.DeleteObjectOutput](t)(c.DeleteObject(ctx, &s3v1.DeleteObjectInput{StoreName: "oss", Bucket: "b", Key: "e"}))
	if !deleted.GetDeleteMarker() || deleted.GetVersionId() == "" {
		t.Errorf("DeleteObject: %v", deleted)
	}
	many := do[s3v1.DeleteObjectsOutput](t)(c.DeleteObjects(ctx, &s3v1.DeleteObjectsInput{StoreName: "oss", Bucket: "b", Delete: &s3v1.Delete{
		Objects: []*s3v1.ObjectIdentifier{{Key: "d/1"}, {Key: "d/2"}},
	}}))
	if len(many.GetDeleted()) != 2 || many.GetDeleted()[1].GetKey() != "d/2" || !many.GetDeleted()[1].GetDeleteMarker() || many.GetDeleted()[1].GetDeleteMarkerVersionId() == "" {
		t.Errorf("DeleteObjects: %v", many)
	}
	versions := do[s3v1.ListObjectVersionsOutput](t)(c.ListObjectVersions(ctx, &s3v1.ListObjectVersionsInput{StoreName: "oss", Bucket: "b", Prefix: "d/", MaxKeys: 3}))
	if len(versions.GetVersions()) != 1 || len(versions.GetDeleteMarkers()) != 2 || !versions.GetIsTruncated() || versions.GetNextKeyMarker() != "d/2" ||
		versions.GetNextVersionIdMarker() == "" || versions.GetMaxKeys() != 3 || versions.GetName() != "b" || !versions.GetDeleteMarkers()[0].GetIsLatest() {
		t.Errorf("ListObjectVersions: %v", versions)
	}
}

func TestObjectTagsAndRules(t *testing.T) {
	c, ctx := objectClient(t), timeout(t)
	put := do[s3v1.PutObjectOutput](t)(putObject(ctx, c, &s3v1.PutObjectInput{StoreName: "oss", Bucket: "b", Key: "k", Acl: "public-read"}))
	set := do[s3v1.PutObjectTaggingOutput](t)(c.PutObjectTagging(ctx, &s3v1.PutObjectTaggingInput{StoreName: "oss", Bucket: "b", Key: "k", Tags: map[string]string{"a": "1"}}))
	got := do[s3v1.GetObjectTaggingOutput](t)(c.GetObjectTagging(ctx, &s3v1.GetObjectTaggingInput{StoreName: "oss", Bucket: "b", Key: "k", VersionId: put.GetVersionId()}))
	if set.GetVersionId() != put.GetVersionId() || got.GetTags()["a"] != "1" || got.GetVersionId() != put.GetVersionId() {
		t.Errorf("tags: %v, %v", set, got)
	}
	gone := do[s3v1.DeleteObjectTaggingOutput](t)(c.DeleteObjectTagging(ctx, &s3v1.DeleteObjectTaggingInput{StoreName: "oss", Bucket: "b", Key: "k"}))
	if got = do[s3v1.GetObjectTaggingOutput](t)(c.GetObjectTagging(ctx, &s3v1.GetObjectTaggingInput{StoreName: "oss", Bucket: "b", Key: "k"})); len(got.GetTags()) != 0 || gone.GetVersionId() == "" {
		t.Errorf("after DeleteObjectTagging: %v", got)
	}
	acl := do[s3v1.GetObjectCannedAclOutput](t)(c.GetObjectCannedAcl(ctx, &s3v1.GetObjectCannedAclInput{StoreName: "oss", Bucket: "b", Key: "k"}))
	if acl.GetCannedAcl() != "public-read" || acl.GetOwner().GetId() == "" {
		t.Errorf("GetObjectCannedAcl: %v", acl)
	}
	do[s3v1.PutObjectCannedAclOutput](t)(c.PutObjectCannedAcl(ctx, &s3v1.PutObjectCannedAclInput{StoreName: "oss", Bucket: "b", Key: "k", Acl: "private"}))
	if acl = do[s3v1.GetObjectCannedAclOutput](t)(c.GetObjectCannedAcl(ctx, &s3v1.GetObjectCannedAclInput{StoreName: "oss", Bucket: "b", Key: "k"})); acl.GetCannedAcl() != "private" {
		t.Errorf("GetObjectCannedAcl after Put: %v", acl)
	}
}

func TestObjectUpload(t *testing.T) {
	c, ctx := objectClient(t), timeout(t)
	do[s3v1.PutObjectOutput](t)(putObject(ctx, c, &s3v1.PutObjectInput{StoreName: "oss", Bucket: "b", Key: "src", Body: []byte("0123456789")}))
	begun := do[s3v1.CreateMultipartUploadOutput](t)(c.CreateMultipartUpload(ctx, &s3v1.CreateMultipartUploadInput{
		StoreName: "oss", Bucket: "b", Key: "k", ContentType: "text/x", MetaData: map[string]string{"color": "blue"},
	}))
	id := begun.GetUploadId()
	if id == "" || begun.GetBucket() != "b" || begun.GetKey() != "k" {
		t.Fatalf("CreateMultipartUpload: %v", begun)
	}
	stream, err := c.UploadPart(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i, piece := range []string{"abc", "", "def"} {
		in := &s3v1.UploadPartInput{Body: []byte(piece)}
		if i == 0 {
			in.StoreName, in.Bucket, in.Key, in.UploadId, in.PartNumber, in.ContentLength = "oss", "b", "k", id, 1, 6
		}
		if err := stream.Send(in); err != nil {
			t.Fatal(err)
		}
	}
	part := do[s3v1.UploadPartOutput](t)(stream.CloseAndRecv())
	copied := do[s3v1.UploadPartCopyOutput](t)(c.UploadPartCopy(ctx, &s3v1.UploadPartCopyInput{
		StoreName: "oss", Bucket: "b", Key: "k", UploadId: id, PartNumber: 2, StartPosition: 2, PartSize: 3,
		CopySource: &s3v1.CopySource{CopySourceBucket: "b", CopySourceKey: "src"},
	}))
	if copied.GetCopyPartResult().GetLastModified() == 0 || copied.GetCopySourceVersionId() == "" {
		t.Errorf("UploadPartCopy: %v", copied)
	}
	uploads := do[s3v1.ListMultipartUploadsOutput](t)(c.ListMultipartUploads(ctx, &s3v1.ListMultipartUploadsInput{StoreName: "oss", Bucket: "b"}))
	if len(uploads.GetUploads()) != 1 || uploads.GetUploads()[0].GetUploadId() != id || uploads.GetUploads()[0].GetInitiated() == 0 || uploads.GetUploads()[0].GetInitiator().GetId() == "" {
		t.Errorf("ListMultipartUploads: %v", uploads)
	}
	parts := do[s3v1.ListPartsOutput](t)(c.ListParts(ctx, &s3v1.ListPartsInput{StoreName: "oss", Bucket: "b", Key: "k", UploadId: id, MaxParts: 1}))
	if len(parts.GetParts()) != 1 || parts.GetParts()[0].GetSize() != 6 || !parts.GetIsTruncated() || parts.GetNextPartNumberMarker() != "1" || parts.GetUploadId() != id {
		t.Errorf("ListParts: %v", parts)
	}
	done := do[s3v1.CompleteMultipartUploadOutput](t)(c.CompleteMultipartUpload(ctx, &s3v1.CompleteMultipartUploadInput{
		StoreName: "oss", Bucket: "b", Key: "k", UploadId: id, MultipartUpload: &s3v1.CompletedMultipartUpload{Parts: []*s3v1.CompletedPart{
			{PartNumber: 1, Etag: part.GetEtag()}, {PartNumber: 2, Etag: copied.GetCopyPartResult().GetEtag()},
		}},
	}))
	if done.GetEtag() == "" || done.GetVersionId() == "" || done.GetKey() != "k" {
		t.Errorf("CompleteMultipartUpload: %v", done)
	}
	all, body, err := getObject(ctx, c, &s3v1.GetObjectInput{StoreName: "oss", Bucket: "b", Key: "k"})
	if err != nil || string(body) != "abcdef234" || all[0].GetPartsCount() != 2 || all[0].GetContentType() != "text/x" {
		t.Errorf("the object: %v, %v", all, err)
	}
	begun = do[s3v1.CreateMultipartUploadOutput](t)(c.CreateMultipartUpload(ctx, &s3v1.CreateMultipartUploadInput{StoreName: "oss", Bucket: "b", Key: "k"}))
	do[s3v1.AbortMultipartUploadOutput](t)(c.AbortMultipartUpload(ctx, &s3v1.AbortMultipartUploadInput{StoreName: "oss", Bucket: "b", Key: "k", UploadId: begun.GetUploadId()}))
	_, err = c.AbortMultipartUpload(ctx, &s3v1.AbortMultipartUploadInput{StoreName: "oss", Bucket: "b", Key: "k", UploadId: begun.GetUploadId()})
	if status.Code(err) != codes.NotFound {
		t.Errorf("AbortMultipartUpload again: %v", err)
	}
}

func appendObject(ctx context.Context, c s3v1.ObjectStorageServiceClient, position int64, meta string, pieces ...string) (*s3v1.AppendObjectOutput, error) {
	stream, err := c.AppendObject(ctx)
	if err != nil {
		return nil, err
	}
	for i, piece := range pieces {
		in := &s3v1.AppendObjectInput{Body: []byte(piece)}
		if i == 0 {
			in.StoreName, in.Bucket, in.Key, in.Position, in.Meta = "oss", "b", "log", position, meta
		}
		if stream.Send(in) != nil {
			break
		}
	}
	return stream.CloseAndRecv()
}

func TestObjectAppend(t *testing.T) {
	c, ctx := objectClient(t), timeout(t)
	out, err := appendObject(ctx, c, 0, "color=blue&size=1+2", "one ", "two ")
	if err != nil || out.GetAppendPosition() != 8 {
		t.Fatalf("AppendObject: %v, %v", out, err)
	}
	if out, err = appendObject(ctx, c, 8, "", "three"); err != nil || out.GetAppendPosition() != 13 {
		t.Errorf("AppendObject: %v, %v", out, err)
	}
	_, err = appendObject(ctx, c, 8, "", "x")
	wantReason(t, err, codes.FailedPrecondition, "ETAG_MISMATCH")
	_, err = appendObject(ctx, c, 13, "%zz", "x")
	wantReason(t, err, codes.InvalidArgument, "INVALID_ARGUMENT")
	all, body, err := getObject(ctx, c, &s3v1.GetObjectInput{StoreName: "oss", Bucket: "b", Key: "log"})
	if err != nil || string(body) != "one two three" || all[0].GetMetadata()["size"] != "1 2" {
		t.Errorf("the object: %v, %v", all, err)
	}
}

// wantReason fails unless err has that code, and an ErrorInfo with that reason.
func wantReason(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	wantStatus(t, err, code, status.Convert(err).Message(), reason)
}

// TestObjectErrors asks every method for a store and for an object that are not there.
// TestObjectHostileNumbers has numbers that no store can do anything with.
func TestObjectHostileNumbers(t *testing.T) {
	c, ctx := objectClient(t), timeout(t)
	for name, in := range map[string]*s3v1.PutObjectInput{
		"expires, long ago":        {Expires: -1 << 62},
		"expires, far away":        {Expires: 1 << 62},
		"content_length, negative": {ContentLength: -1},
		"a tag without a name":     {Tagging: map[string]string{"": "x"}},
	} {
		in.StoreName, in.Bucket, in.Key = "oss", "b", "k"
		_, err := putObject(ctx, c, in)
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err := getObject(ctx, c, &s3v1.GetObjectInput{StoreName: "oss", Bucket: "b", Key: "k"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("something was written: %v", err)
	}
	if _, err := c.CreateMultipartUpload(ctx, &s3v1.CreateMultipartUploadInput{StoreName: "oss", Bucket: "b", Key: "k", Expires: 1 << 62}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("an upload that expires far away: %v", err)
	}
	do[s3v1.PutObjectOutput](t)(putObject(ctx, c, &s3v1.PutObjectInput{StoreName: "oss", Bucket: "b", Key: "k", Expires: 1 << 34}))
	src := &s3v1.CopySource{CopySourceBucket: "b", CopySourceKey: "k"}
	if _, err := c.CopyObject(ctx, &s3v1.CopyObjectInput{StoreName: "oss", Bucket: "b", Key: "l", CopySource: src, Expires: -1 << 62}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a copy that expired long ago: %v", err)
	}
}

func TestObjectErrors(t *testing.T) {
	c, ctx := objectClient(t), timeout(t)
	do[s3v1.PutObjectOutput](t)(putObject(ctx, c, &s3v1.PutObjectInput{StoreName: "oss", Bucket: "b", Key: "there"}))
	src := &s3v1.CopySource{CopySourceBucket: "b", CopySourceKey: "no"}
	parts := &s3v1.CompletedMultipartUpload{Parts: []*s3v1.CompletedPart{{Etag: "x", PartNumber: 1}}}
	calls := map[string]struct {
		call func(store string) error
		code codes.Code // for an object, upload or bucket that is not there
	}{
		"PutObject": {func(s string) error {
			_, err := putObject(ctx, c, &s3v1.PutObjectInput{StoreName: s, Key: "no"})
			return err
		}, codes.InvalidArgument},
		"GetObject": {func(s string) error {
			_, _, err := getObject(ctx, c, &s3v1.GetObjectInput{StoreName: s, Bucket: "b", Key: "no"})
			return err
		}, codes.NotFound},
		"DeleteObject": {func(s string) error {
			_, err := c.DeleteObject(ctx, &s3v1.DeleteObjectInput{StoreName: s, Bucket: "b", Key: "no"})
			return err
		}, codes.OK},
		"CopyObject": {func(s string) error {
			_, err := c.CopyObject(ctx, &s3v1.CopyObjectInput{StoreName: s, Bucket: "b", Key: "k", CopySource: src})
			return err
		}, codes.NotFound},
		"DeleteObjects": {func(s string) error {
			_, err := c.DeleteObjects(ctx, &s3v1.DeleteObjectsInput{StoreName: s, Bucket: "b"})
			return err
		}, codes.InvalidArgument},
		"ListObjects": {func(s string) error {
			_, err := c.ListObjects(ctx, &s3v1.ListObjectsInput{StoreName: s, Bucket: "no"})
			return err
		}, codes.NotFound},
		"HeadObject": {func(s string) error {
			_, err := c.HeadObject(ctx, &s3v1.HeadObjectInput{StoreName: s, Bucket: "b", Key: "no"})
			return err
		}, codes.NotFound},
		"IsObjectExist": {func(s string) error {
			_, err := c.IsObjectExist(ctx, &s3v1.IsObjectExistInput{StoreName: s, Bucket: "b", Key: "no"})
			return err
		}, codes.OK},
		"PutObjectTagging": {func(s string) error {
			_, err := c.PutObjectTagging(ctx, &s3v1.PutObjectTaggingInput{StoreName: s, Bucket: "b", Key: "no"})
			return err
		}, codes.NotFound},
		"DeleteObjectTagging": {func(s string) error {
			_, err := c.DeleteObjectTagging(ctx, &s3v1.DeleteObjectTaggingInput{StoreName: s, Bucket: "b", Key: "no"})
			return err
		}, codes.NotFound},
		"GetObjectTagging": {func(s string) error {
			_, err := c.GetObjectTagging(ctx, &s3v1.GetObjectTaggingInput{StoreName: s, Bucket: "b", Key: "no"})
			return err
		}, codes.NotFound},
		"GetObjectCannedAcl": {func(s string) error {
			_, err := c.GetObjectCannedAcl(ctx, &s3v1.GetObjectCannedAclInput{StoreName: s, Bucket: "b", Key: "no"})
			return err
		}, codes.NotFound},
		"PutObjectCannedAcl": {func(s string) error {
			_, err := c.PutObjectCannedAcl(ctx, &s3v1.PutObjectCannedAclInput{StoreName: s, Bucket: "b", Key: "no"})
			return err
		}, codes.NotFound},
		"CreateMultipartUpload": {func(s string) error {
			_, err := c.CreateMultipartUpload(ctx, &s3v1.CreateMultipartUploadInput{StoreName: s, Bucket: "b"})
			return err
		}, codes.InvalidArgument},
		"UploadPart": {func(s string) error {
			stream, err := c.UploadPart(ctx)
			if err != nil {
				return err
			}
			_ = stream.Send(&s3v1.UploadPartInput{StoreName: s, Bucket: "b", Key: "k", UploadId: "NO", PartNumber: 1})
			_, err = stream.CloseAndRecv()
			return err
		}, codes.NotFound},
		"UploadPartCopy": {func(s string) error {
			_, err := c.UploadPartCopy(ctx, &s3v1.UploadPartCopyInput{StoreName: s, Bucket: "b", Key: "k", UploadId: "NO", PartNumber: 1, CopySource: src})
			return err
		}, codes.NotFound},
		"CompleteMultipartUpload": {func(s string) error {
			_, err := c.CompleteMultipartUpload(ctx, &s3v1.CompleteMultipartUploadInput{StoreName: s, Bucket: "b", Key: "k", UploadId: "NO", MultipartUpload: parts})
			return err
		}, codes.NotFound},
		"AbortMultipartUpload": {func(s string) error {
			_, err := c.AbortMultipartUpload(ctx, &s3v1.AbortMultipartUploadInput{StoreName: s, Bucket: "b", Key: "k", UploadId: "NO"})
			return err
		}, codes.NotFound},
		"ListMultipartUploads": {func(s string) error {
			_, err := c.ListMultipartUploads(ctx, &s3v1.ListMultipartUploadsInput{StoreName: s, Bucket: "b", MaxUploads: -1})
			return err
		}, codes.InvalidArgument},
		"ListParts": {func(s string) error {
			_, err := c.ListParts(ctx, &s3v1.ListPartsInput{StoreName: s, Bucket: "b", Key: "k", UploadId: "NO"})
			return err
		}, codes.NotFound},
		"ListObjectVersions": {func(s string) error {
			_, err := c.ListObjectVersions(ctx, &s3v1.ListObjectVersionsInput{StoreName: s, Bucket: "no"})
			return err
		}, codes.NotFound},
		"SignURL": {func(s string) error {
			_, err := c.SignURL(ctx, &s3v1.SignURLInput{StoreName: s, Bucket: "b", Key: "k", Method: "GET", ExpiredInSec: 10})
			return err
		}, codes.Unimplemented},
		"UpdateDownloadBandwidthRateLimit": {func(s string) error {
			_, err := c.UpdateDownloadBandwidthRateLimit(ctx, &s3v1.UpdateBandwidthRateLimitInput{StoreName: s, AverageRateLimitInBitsPerSec: -1})
			return err
		}, codes.InvalidArgument},
		"UpdateUploadBandwidthRateLimit": {func(s string) error {
			_, err := c.UpdateUploadBandwidthRateLimit(ctx, &s3v1.UpdateBandwidthRateLimitInput{StoreName: s, AverageRateLimitInBitsPerSec: -1})
			return err
		}, codes.InvalidArgument},
		"AppendObject": {func(s string) error {
			stream, err := c.AppendObject(ctx)
			if err != nil {
				return err
			}
			_ = stream.Send(&s3v1.AppendObjectInput{StoreName: s, Bucket: "b", Key: "there", Body: []byte("x")})
			_, err = stream.CloseAndRecv()
			return err
		}, codes.FailedPrecondition},
		"RestoreObject": {func(s string) error {
			_, err := c.RestoreObject(ctx, &s3v1.RestoreObjectInput{StoreName: s, Bucket: "b", Key: "there"})
			return err
		}, codes.Unimplemented},
	}
	if want := s3v1.ObjectStorageService_ServiceDesc; len(calls) != len(want.Methods)+len(want.Streams) {
		t.Errorf("%d methods are called", len(calls))
	}
	for name, tt := range calls {
		t.Run(name, func(t *testing.T) {
			wantStatus(t, tt.call("nope"), codes.InvalidArgument, "not supported store type: nope", "UNKNOWN_COMPONENT")
			if err := tt.call("oss"); status.Code(err) != tt.code {
				t.Errorf("%v, want %v", err, tt.code)
			}
		})
	}
	for name, begin := range map[string]func() error{
		"PutObject": func() error {
			s, err := c.PutObject(ctx)
			if err == nil {
				_, err = s.CloseAndRecv()
			}
			return err
		},
		"UploadPart": func() error {
			s, err := c.UploadPart(ctx)
			if err == nil {
				_, err = s.CloseAndRecv()
			}
			return err
		},
		"AppendObject": func() error {
			s, err := c.AppendObject(ctx)
			if err == nil {
				_, err = s.CloseAndRecv()
			}
			return err
		},
	} {
		if err := begin(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s without a message: %v", name, err)
		}
	}
}

// plainObjects has no abilities, and fails with err where it is asked.
type plainObjects struct {
	objectstore.Store
	err error
}

func (p plainObjects) Head(context.Context, *objectstore.HeadRequest) (*objectstore.Object, error) {
	return nil, p.err
}

func (p plainObjects) DeleteMany(context.Context, *objectstore.DeleteManyRequest) (*objectstore.DeleteManyResult, error) {
	return &objectstore.DeleteManyResult{
		Deleted: []objectstore.Deleted{{Key: "a"}}, Failed: []objectstore.NotDeleted{{Key: "k", Code: "AccessDenied", Message: "no"}},
	}, nil
}

func TestObjectCodes(t *testing.T) {
	for want, code := range map[error]codes.Code{
		objectstore.ErrInvalid: codes.InvalidArgument, objectstore.ErrNotFound: codes.NotFound, objectstore.ErrPrecondition: codes.FailedPrecondition,
		objectstore.ErrPermission: codes.PermissionDenied, objectstore.ErrFull: codes.ResourceExhausted, objectstore.ErrNotSupported: codes.Unimplemented,
		errors.New("the network is down"): codes.Internal, context.DeadlineExceeded: codes.Internal,
	} {
		_, cc := serve(t, objectConfig(plainObjects{err: want}))
		c, ctx := s3v1.NewObjectStorageServiceClient(cc), timeout(t)
		_, err := c.HeadObject(ctx, &s3v1.HeadObjectInput{StoreName: "oss", Bucket: "b", Key: "k"})
		wantCode(t, err, code, want.Error())
	}
	_, cc := serve(t, objectConfig(plainObjects{}))
	c, ctx := s3v1.NewObjectStorageServiceClient(cc), timeout(t)
	_, err := c.ListParts(ctx, &s3v1.ListPartsInput{StoreName: "oss"})
	wantStatus(t, err, codes.Unimplemented, "the object store oss cannot do this: list parts", "NOT_SUPPORTED")
	_, err = c.DeleteObjects(ctx, &s3v1.DeleteObjectsInput{StoreName: "oss", Bucket: "b", Delete: &s3v1.Delete{Objects: []*s3v1.ObjectIdentifier{{Key: "a"}, {Key: "k"}}}})
	wantCode(t, err, codes.Internal, `1 of 2 objects could not be deleted, the first is "k": AccessDenied: no`)
}

// sinkObjects counts what it is to store and yields zeros.
type sinkObjects struct {
	objectstore.Store
	size, got int64
}

func (s *sinkObjects) Put(_ context.Context, _ *objectstore.PutRequest, r io.Reader) (*objectstore.PutResult, error) {
	var err error
	s.got, err = io.Copy(io.Discard, r)
	return &objectstore.PutResult{}, err
}

func (s *sinkObjects) Get(context.Context, *objectstore.GetRequest) (*objectstore.GetResult, error) {
	return &objectstore.GetResult{Body: io.NopCloser(io.LimitReader(zeros{}, s.size))}, nil
}

// TestObjectConstantMemory sends much through in both directions and looks at the heap.
func TestObjectConstantMemory(t *testing.T) {
	size := int64(1 << 30)
	if raceEnabled || testing.Short() {
		size = 96 << 20
	}
	store := &sinkObjects{size: size}
	_, cc := serve(t, objectConfig(store))
	ctx, cancel := context.WithTimeout(t.Context(), 3*testTime)
	defer cancel()
	c, growth := s3v1.NewObjectStorageServiceClient(cc), watchHeap(t)
	stream, err := c.PutObject(ctx)
	if err != nil {
		t.Fatal(err)
	}
	in := &s3v1.PutObjectInput{StoreName: "oss", Bucket: "b", Key: "k", Body: make([]byte, 1<<20)}
	for range size >> 20 {
		if err := stream.Send(in); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stream.CloseAndRecv(); err != nil || store.got != size {
		t.Fatalf("%d bytes arrived, %v", store.got, err)
	}
	get, err := c.GetObject(ctx, &s3v1.GetObjectInput{StoreName: "oss", Bucket: "b", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for {
		m, err := get.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n += int64(len(m.GetBody()))
	}
	if g := growth(); n != size || g > 20<<20 {
		t.Errorf("%d bytes came back, and the heap grew by %d MiB", n, g>>20)
	}
}

// TestObjectBandwidth: a limit slows down, and lifting it helps at once.
func TestObjectBandwidth(t *testing.T) {
	c, ctx := objectClient(t), timeout(t)
	body := make([]byte, 64<<10)
	limit := &s3v1.UpdateBandwidthRateLimitInput{StoreName: "oss", AverageRateLimitInBitsPerSec: 8 * 128 << 10} // 128 KiB per second
	if _, err := c.UpdateUploadBandwidthRateLimit(ctx, limit); err != nil {
		t.Fatal(err)
	}
	put := func() time.Duration {
		start := time.Now()
		do[s3v1.PutObjectOutput](t)(putObject(ctx, c, &s3v1.PutObjectInput{StoreName: "oss", Bucket: "b", Key: "k", Body: body}, body))
		return time.Since(start)
	}
	if d := put(); d < 400*time.Millisecond { // the first 64 KiB are free
		t.Errorf("128 KiB at 128 KiB per second took %v", d)
	}
	if _, err := c.UpdateDownloadBandwidthRateLimit(ctx, limit); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, got, err := getObject(ctx, c, &s3v1.GetObjectInput{StoreName: "oss", Bucket: "b", Key: "k"}); err != nil || len(got) != 128<<10 {
		t.Errorf("GetObject: %d bytes, %v", len(got), err)
	}
	if d := time.Since(start); d < 400*time.Millisecond {
		t.Errorf("reading took %v", d)
	}
	limit.AverageRateLimitInBitsPerSec = 0
	if _, err := c.UpdateUploadBandwidthRateLimit(ctx, limit); err != nil {
		t.Fatal(err)
	}
	if d := put(); d > testTime {
		t.Errorf("without a limit it took %v", d)
	}
}
