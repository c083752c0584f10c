package s3_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/internal/s3/s3test"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
	"github.com/ottavo-runtime/ottavo/components/objectstore/s3"
)

// seen is a request as the server got it.
type seen struct {
	method, uri, body string
	header            http.Header
}

// canned answers every request with a body and headers, and returns the last one.
func canned(t *testing.T, header map[string]string, body string) (objectstore.Store, *seen) {
	t.Helper()
	server, last := s3test.New(t, s3test.Amazon), &seen{}
	server.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		data, _ := io.ReadAll(r.Body)
		*last = seen{r.Method, r.URL.RequestURI(), string(data), r.Header}
		for name, value := range header {
			w.Header().Set(name, value)
		}
		_, _ = io.WriteString(w, body)
		return true
	})
	return open(t, s3.NewAWS, server.URL, s3test.AccessKeySecret, nil), last
}

func TestListVersionsOnTheWire(t *testing.T) {
	s, last := canned(t, nil, `<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>p</Prefix><KeyMarker>k0</KeyMarker>
<VersionIdMarker>v0</VersionIdMarker><NextKeyMarker>k2</NextKeyMarker><NextVersionIdMarker>v2</NextVersionIdMarker><MaxKeys>3</MaxKeys><IsTruncated>true</IsTruncated>
<Version><Key>k1</Key><VersionId>v1</VersionId><IsLatest>false</IsLatest><LastModified>2026-11-21T10:00:00.000Z</LastModified><ETag>"e"</ETag><Size>7</Size>
<StorageClass>STANDARD</StorageClass><Owner><ID>me</ID><DisplayName>Me</DisplayName></Owner></Version>
<DeleteMarker><Key>k2</Key><VersionId>v2</VersionId><IsLatest>true</IsLatest><LastModified>2026-11-21T10:00:01.000Z</LastModified><Owner><ID>me</ID></Owner></DeleteMarker>
<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListVersionsResult>`)
	out, err := s.(objectstore.Versioner).ListVersions(t.Context(), &objectstore.ListVersionsRequest{
		Bucket: "b", Prefix: "p", Delimiter: "/", KeyMarker: "k0", VersionIDMarker: "v0", MaxKeys: 3, EncodingType: "url",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "/b/?delimiter=%2F&encoding-type=url&key-marker=k0&max-keys=3&prefix=p&version-id-marker=v0&versions="
	if last.method != "GET" || last.uri != want {
		t.Errorf("request: %s %s, want %s", last.method, last.uri, want)
	}
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	owner := objectstore.Owner{DisplayName: "Me", ID: "me"}
	version := objectstore.Version{Key: "k1", VersionID: "v1", LastModified: at, Owner: owner, ETag: `"e"`, Size: 7, StorageClass: "STANDARD"}
	mark := objectstore.Version{Key: "k2", VersionID: "v2", Latest: true, LastModified: at.Add(time.Second), Owner: objectstore.Owner{ID: "me"}}
	if len(out.Versions) != 1 || out.Versions[0] != version || len(out.DeleteMarkers) != 1 || out.DeleteMarkers[0] != mark ||
		!out.Truncated || out.NextKeyMarker != "k2" || out.NextVersionIDMarker != "v2" || out.MaxKeys != 3 || !slices.Equal(out.CommonPrefixes, []string{"p/"}) {
		t.Errorf("%+v", out)
	}
}

func TestListPartsOnTheWire(t *testing.T) {
	s, last := canned(t, nil, `<ListPartsResult><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId><NextPartNumberMarker>5</NextPartNumberMarker>
<MaxParts>1</MaxParts><IsTruncated>true</IsTruncated><Part><PartNumber>5</PartNumber><LastModified>2026-11-21T10:00:00Z</LastModified><ETag>"e"</ETag><Size>9</Size></Part></ListPartsResult>`)
	out, err := s.(objectstore.Multipart).ListParts(t.Context(), &objectstore.ListPartsRequest{Bucket: "b", Key: "k", UploadID: "u", MaxParts: 1, PartNumberMarker: 4})
	if err != nil {
		t.Fatal(err)
	}
	if want := "/b/k?max-parts=1&part-number-marker=4&uploadId=u"; last.uri != want {
		t.Errorf("request: %s, want %s", last.uri, want)
	}
	if len(out.Parts) != 1 || out.Parts[0].PartNumber != 5 || out.Parts[0].Size != 9 || !out.Truncated || out.NextPartNumberMarker != "5" || out.UploadID != "u" {
		t.Errorf("%+v", out)
	}
}

func TestListPagesOnTheWire(t *testing.T) {
	// Without a delimiter S3 gives no NextMarker.
	s, last := canned(t, nil, `<ListBucketResult><Name>b</Name><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>
<Contents><Key>a</Key><LastModified>2026-11-21T10:00:00Z</LastModified><ETag>"e"</ETag><Size>9</Size><Owner><ID>me</ID></Owner><Type>Appendable</Type></Contents>
<Contents><Key>b</Key></Contents></ListBucketResult>`)
	out, err := s.List(t.Context(), &objectstore.ListRequest{
		Bucket: "b", Marker: "0", MaxKeys: 2, FetchOwner: true, Terms: objectstore.Terms{ExpectedBucketOwner: "me", RequestPayer: "requester"},
	})
	if err != nil || out.NextMarker != "b" || len(out.Objects) != 2 || out.Objects[0].Owner.ID != "me" || out.Objects[0].Type != "Appendable" {
		t.Errorf("%+v, %v", out, err)
	}
	if last.uri != "/b/?marker=0&max-keys=2" || last.header.Get("X-Amz-Expected-Bucket-Owner") != "me" || last.header.Get("X-Amz-Request-Payer") != "requester" {
		t.Errorf("request: %+v", last)
	}
}

// TestFieldsOnTheWire: what Layotto's own backends lose.
func TestFieldsOnTheWire(t *testing.T) {
	s, last := canned(t, map[string]string{
		"Etag": `"e"`, "X-Amz-Version-Id": "v", "X-Amz-Expiration": "soon", "X-Amz-Request-Charged": "requester", "X-Amz-Tagging-Count": "3",
		"X-Amz-Mp-Parts-Count": "4", "X-Amz-Storage-Class": "GLACIER", "Cache-Control": "no-store", "Expires": "never", "Content-Language": "de",
		"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "key", "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled": "true",
		"X-Amz-Delete-Marker": "true", "X-Amz-Meta-Color": "blue",
	}, "")
	ctx := t.Context()
	put, err := s.Put(ctx, &objectstore.PutRequest{
		Bucket: "b", Key: "k", ACL: "private", BucketKeyEnabled: true, Encryption: "aws:kms", StorageClass: "GLACIER", Tags: map[string]string{"a b": "c&d"},
		Expires: time.Unix(2_000_000_000, 0), Metadata: map[string]string{"color": "blue"}, Headers: objectstore.Headers{CacheControl: "no-store"},
	}, strings.NewReader("x"))
	if err != nil || !put.BucketKeyEnabled || put.ETag != `"e"` || put.Expiration != "soon" || put.RequestCharged != "requester" || put.VersionID != "v" {
		t.Errorf("Put: %+v, %v", put, err)
	}
	for name, want := range map[string]string{
		"X-Amz-Acl": "private", "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled": "true", "X-Amz-Server-Side-Encryption": "aws:kms",
		"X-Amz-Storage-Class": "GLACIER", "X-Amz-Tagging": "a+b=c%26d", "Expires": "Wed, 18 May 2033 03:33:20 GMT", "X-Amz-Meta-Color": "blue", "Cache-Control": "no-store",
	} {
		if got := last.header.Get(name); got != want {
			t.Errorf("Put sends %s %q, want %q", name, got, want)
		}
	}
	got, err := s.Get(ctx, &objectstore.GetRequest{
		Ref: objectstore.Ref{Bucket: "b", Key: "k", VersionID: "v"}, PartNumber: 2, Override: objectstore.Headers{ContentType: "x/y"}, OverrideExpires: "0",
		AcceptEncoding: "gzip", CustomerKey: objectstore.CustomerKey{Algorithm: "AES256", Secret: "secret", KeyMD5: "sum"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = got.Body.Close()
	if got.VersionID != "v" || got.TagCount != 3 || got.PartsCount != 4 || got.StorageClass != "GLACIER" || got.Expires != "never" || got.ContentLanguage != "de" || got.Expiration != "soon" || got.Metadata["color"] != "blue" {
		t.Errorf("Get: %+v", got.Object)
	}
	if last.uri != "/b/k?partNumber=2&response-content-type=x%2Fy&response-expires=0&versionId=v" || last.header.Get("Accept-Encoding") != "gzip" ||
		last.header.Get("X-Amz-Server-Side-Encryption-Customer-Key") != "c2VjcmV0" {
		t.Errorf("Get sends %+v", last)
	}
	del, err := s.Delete(ctx, &objectstore.DeleteRequest{Ref: objectstore.Ref{Bucket: "b", Key: "k", VersionID: "v"}, RequestPayer: "requester"})
	if err != nil || !del.DeleteMarker || del.VersionID != "v" || del.RequestCharged != "requester" || last.uri != "/b/k?versionId=v" {
		t.Errorf("Delete: %+v, %v; %+v", del, err, last)
	}
	up, err := s.(objectstore.Multipart).CreateUpload(ctx, &objectstore.CreateUploadRequest{
		Bucket: "b", Key: "k", GrantRead: "id=x", LegalHold: "ON", LockMode: "GOVERNANCE", RetainUntil: time.Unix(2_000_000_000, 0), KMSKeyID: "key", WebsiteRedirect: "/y",
	})
	if err != nil || up.ServerEncryption != "aws:kms" || up.KMSKeyID != "key" || !up.Encryption.BucketKeyEnabled || up.RequestCharged != "requester" {
		t.Errorf("CreateUpload: %+v, %v", up, err)
	}
	for name, want := range map[string]string{
		"X-Amz-Grant-Read": "id=x", "X-Amz-Object-Lock-Legal-Hold": "ON", "X-Amz-Object-Lock-Mode": "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date": "2033-05-18T03:33:20Z",
		"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "key", "X-Amz-Website-Redirect-Location": "/y",
	} {
		if got := last.header.Get(name); got != want {
			t.Errorf("CreateUpload sends %s %q, want %q", name, got, want)
		}
	}
	copied, err := s.(objectstore.Multipart).CopyPart(ctx, &objectstore.CopyPartRequest{
		Bucket: "b", Key: "k", UploadID: "u", PartNumber: 3, Start: 5, Size: 10, Source: objectstore.Ref{Bucket: "b", Key: "s p+ä", VersionID: "v"},
	})
	if err != nil || copied == nil || last.header.Get("X-Amz-Copy-Source") != "/b/s%20p%2B%C3%A4?versionId=v" || last.header.Get("X-Amz-Copy-Source-Range") != "bytes=5-14" {
		t.Errorf("CopyPart: %v; %+v", err, last)
	}
}

func TestRestoreOnTheWire(t *testing.T) {
	s, last := canned(t, map[string]string{"X-Amz-Restore-Output-Path": "out", "X-Amz-Request-Charged": "requester"}, "")
	out, err := s.(objectstore.Restorer).Restore(t.Context(), &objectstore.RestoreRequest{
		Ref: objectstore.Ref{Bucket: "b", Key: "k", VersionID: "v"}, Days: 3, GlacierTier: "Bulk",
		Select: &objectstore.SelectParameters{Expression: "SELECT 1 < 2", ExpressionType: "SQL", InputCSV: &objectstore.CSVInput{Comments: "#"}, OutputJSON: ";"},
		Output: &objectstore.OutputLocation{Bucket: "b2", Prefix: "p"},
	})
	if err != nil || out.OutputPath != "out" || out.RequestCharged != "requester" {
		t.Errorf("%+v, %v", out, err)
	}
	want := `<RestoreRequest><Days>3</Days><GlacierJobParameters><Tier>Bulk</Tier></GlacierJobParameters><SelectParameters><InputSerialization><CSV><Comments>#</Comments></CSV></InputSerialization>` +
		`<ExpressionType>SQL</ExpressionType><Expression>SELECT 1 &lt; 2</Expression><OutputSerialization><JSON><RecordDelimiter>;</RecordDelimiter></JSON></OutputSerialization></SelectParameters>` +
		`<OutputLocation><S3><BucketName>b2</BucketName><Prefix>p</Prefix></S3></OutputLocation></RestoreRequest>`
	if last.method != "POST" || last.uri != "/b/k?restore=&versionId=v" || last.body != want {
		t.Errorf("request: %s %s\n%s\nwant\n%s", last.method, last.uri, last.body, want)
	}
}

// TestLateErrors: copies and completions may fail after they have begun to answer.
func TestLateErrors(t *testing.T) {
	s, _ := canned(t, nil, `<?xml version="1.0"?><Error><Code>InternalError</Code><Message>We failed</Message></Error>`)
	_, err := s.Copy(t.Context(), &objectstore.CopyRequest{Bucket: "b", Key: "k", Source: objectstore.Ref{Bucket: "b", Key: "s"}})
	if err == nil || !strings.Contains(err.Error(), "InternalError: We failed") {
		t.Errorf("Copy: %v", err)
	}
	s, _ = canned(t, nil, `<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>`)
	out, err := s.DeleteMany(t.Context(), &objectstore.DeleteManyRequest{Bucket: "b", Objects: []objectstore.Ref{{Key: "a"}, {Key: "b"}}})
	if err != nil || len(out.Deleted) != 1 || len(out.Failed) != 1 || out.Failed[0] != (objectstore.NotDeleted{Key: "b", Code: "AccessDenied", Message: "no"}) {
		t.Errorf("DeleteMany: %+v, %v", out, err)
	}
	s, _ = canned(t, nil, `this is no XML`)
	if _, err := s.List(t.Context(), &objectstore.ListRequest{Bucket: "b"}); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("List: %v", err)
	}
}

// TestRulesOnTheWire: rights are the predefined rule that they are.
func TestRulesOnTheWire(t *testing.T) {
	own := `<Grant><Grantee><ID>me</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>`
	group := `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/%s</URI></Grantee><Permission>%s</Permission></Grant>`
	for grants, want := range map[string]string{
		own: "private",
		own + fmt.Sprintf(group, "AllUsers", "READ"):                                           "public-read",
		own + fmt.Sprintf(group, "AllUsers", "READ") + fmt.Sprintf(group, "AllUsers", "WRITE"): "public-read-write",
		own + fmt.Sprintf(group, "AuthenticatedUsers", "READ"):                                 "authenticated-read",
		own + `<Grant><Grantee><ID>other</ID></Grantee><Permission>READ</Permission></Grant>`:  "",
		`<Grant>public-read</Grant>`:                                                           "public-read",
	} {
		s, _ := canned(t, nil, `<AccessControlPolicy><Owner><ID>me</ID></Owner><AccessControlList>`+grants+`</AccessControlList></AccessControlPolicy>`)
		out, err := s.(objectstore.RuleReader).GetACL(t.Context(), objectstore.Ref{Bucket: "b", Key: "k"})
		if err != nil || out.ACL != want || out.Owner.ID != "me" {
			t.Errorf("%s\n%+v, %v, want %q", grants, out, err, want)
		}
	}
}
