package s3_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
	"github.com/huaweicloud/huaweicloud-sdk-go-obs/obs"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/ottavo-runtime/ottavo/components/internal/s3/s3test"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
	"github.com/ottavo-runtime/ottavo/components/objectstore/s3"
)

// The vendors' own clients speak to the server that our stores are tested with.
// That they are understood shows that it checks signatures and names headers as
// the vendors do; that they read what we wrote, and we what they wrote, shows that
// nothing is ours only.

const (
	peerKey     = "folder/ä b+c"
	peerContent = "written by a peer"
)

// read fails unless our store reads that object with its metadata.
func read(t *testing.T, s objectstore.Store, key, want string) {
	t.Helper()
	out, err := s.Get(t.Context(), &objectstore.GetRequest{Ref: objectstore.Ref{Bucket: s3test.Bucket, Key: key}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Body.Close() }()
	data, err := io.ReadAll(out.Body)
	if err != nil || string(data) != want || out.Metadata["color"] != "blue" {
		t.Errorf("we read %q, %v, %v", data, out.Metadata, err)
	}
}

// write writes an object for a peer to read.
func write(t *testing.T, s objectstore.Store) {
	t.Helper()
	_, err := s.Put(t.Context(), &objectstore.PutRequest{
		Bucket: s3test.Bucket, Key: peerKey + "2", Metadata: map[string]string{"color": "red"}, Tags: map[string]string{"team": "a"},
	}, strings.NewReader("written by us"))
	if err != nil {
		t.Fatal(err)
	}
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantBody(t *testing.T, r io.ReadCloser) {
	t.Helper()
	defer func() { _ = r.Close() }()
	if data, err := io.ReadAll(r); err != nil || string(data) != "written by us" {
		t.Errorf("the peer reads %q, %v", data, err)
	}
}

func TestPeerMinIO(t *testing.T) {
	server := s3test.New(t, s3test.Amazon)
	s := open(t, s3.NewCompatible, server.URL, s3test.AccessKeySecret, nil)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c, err := minio.New(server.Addr, &minio.Options{
		Creds: credentials.NewStaticV4(s3test.AccessKeyID, s3test.AccessKeySecret, ""), Region: "eu-x-1", Transport: transport,
	})
	fatal(t, err)
	_, err = c.PutObject(t.Context(), s3test.Bucket, peerKey, strings.NewReader(peerContent), int64(len(peerContent)),
		minio.PutObjectOptions{UserMetadata: map[string]string{"color": "blue"}, DisableContentSha256: true, SendContentMd5: true})
	fatal(t, err)
	read(t, s, peerKey, peerContent)
	write(t, s)
	obj, err := c.GetObject(t.Context(), s3test.Bucket, peerKey+"2", minio.GetObjectOptions{})
	fatal(t, err)
	wantBody(t, obj)
	tags, err := c.GetObjectTagging(t.Context(), s3test.Bucket, peerKey+"2", minio.GetObjectTaggingOptions{})
	fatal(t, err)
	if tags.ToMap()["team"] != "a" {
		t.Errorf("the peer reads tags %v", tags)
	}
	info, err := c.StatObject(t.Context(), s3test.Bucket, peerKey+"2", minio.StatObjectOptions{})
	if err != nil || info.UserMetadata["Color"] != "red" {
		t.Errorf("the peer reads %+v, %v", info.UserMetadata, err)
	}
}

func TestPeerAliyun(t *testing.T) {
	server := s3test.New(t, s3test.Aliyun)
	s := open(t, s3.NewAliyun, server.URL, s3test.AccessKeySecret, nil)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c, err := oss.New(server.URL, s3test.AccessKeyID, s3test.AccessKeySecret, oss.HTTPClient(&http.Client{Transport: transport}), oss.EnableCRC(false))
	fatal(t, err)
	b, err := c.Bucket(s3test.Bucket)
	fatal(t, err)
	fatal(t, b.PutObject(peerKey, strings.NewReader(peerContent), oss.Meta("color", "blue"), oss.ContentType("text/x")))
	read(t, s, peerKey, peerContent)
	write(t, s)
	r, err := b.GetObject(peerKey + "2")
	fatal(t, err)
	wantBody(t, r)
	tags, err := b.GetObjectTagging(peerKey + "2")
	if err != nil || len(tags.Tags) != 1 || tags.Tags[0].Value != "a" {
		t.Errorf("the peer reads tags %+v, %v", tags, err)
	}
	fatal(t, b.SetObjectACL(peerKey, oss.ACLPublicRead))
	rule, err := s.(objectstore.RuleReader).GetACL(t.Context(), objectstore.Ref{Bucket: s3test.Bucket, Key: peerKey})
	if err != nil || rule.ACL != "public-read" {
		t.Errorf("we read the rule %+v, %v", rule, err)
	}
	next, err := b.AppendObject("log", strings.NewReader("one "), 0)
	fatal(t, err)
	out, err := s.(objectstore.Appender).Append(t.Context(), &objectstore.AppendRequest{Bucket: s3test.Bucket, Key: "log", Position: next}, strings.NewReader("two"))
	if err != nil || out.Position != 7 {
		t.Errorf("we append: %+v, %v", out, err)
	}
	_, err = b.CopyObject(peerKey, "copy")
	fatal(t, err)
	up, err := b.InitiateMultipartUpload("parts")
	fatal(t, err)
	part, err := b.UploadPart(up, strings.NewReader("abc"), 3, 1)
	fatal(t, err)
	_, err = b.CompleteMultipartUpload(up, []oss.UploadPart{part})
	fatal(t, err)
	deleted, err := b.DeleteObjects([]string{"copy", "log"})
	if err != nil || len(deleted.DeletedObjects) != 2 {
		t.Errorf("the peer deletes %+v, %v", deleted, err)
	}
	url, err := b.SignURL(peerKey, oss.HTTPGet, 60)
	fatal(t, err)
	signed, err := s.Get(t.Context(), &objectstore.GetRequest{SignedURL: url})
	fatal(t, err)
	_ = signed.Body.Close()
}

func TestPeerHuawei(t *testing.T) {
	server := s3test.New(t, s3test.Huawei)
	s := open(t, s3.NewHuawei, server.URL, s3test.AccessKeySecret, nil)
	// With an IP address it would not speak OBS; so the name of the bucket's host
	// leads to our server.
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Addr)
	}}
	defer transport.CloseIdleConnections()
	c, err := obs.New(s3test.AccessKeyID, s3test.AccessKeySecret, "http://obs.example.com", obs.WithSignature(obs.SignatureObs),
		obs.WithHttpClient(&http.Client{Transport: transport}))
	fatal(t, err)
	defer c.Close()
	in := &obs.PutObjectInput{Body: strings.NewReader(peerContent)}
	in.Bucket, in.Key, in.Metadata = s3test.Bucket, peerKey, map[string]string{"color": "blue"}
	_, err = c.PutObject(in)
	fatal(t, err)
	read(t, s, peerKey, peerContent)
	write(t, s)
	get := &obs.GetObjectInput{}
	get.Bucket, get.Key = s3test.Bucket, peerKey+"2"
	r, err := c.GetObject(get)
	fatal(t, err)
	wantBody(t, r.Body)
	app := &obs.AppendObjectInput{Body: strings.NewReader("one ")}
	app.Bucket, app.Key = s3test.Bucket, "log"
	next, err := c.AppendObject(app)
	fatal(t, err)
	out, err := s.(objectstore.Appender).Append(t.Context(), &objectstore.AppendRequest{Bucket: s3test.Bucket, Key: "log", Position: next.NextAppendPosition}, strings.NewReader("two"))
	if err != nil || out.Position != 7 {
		t.Errorf("we append: %+v, %v", out, err)
	}
	_, err = c.SetObjectAcl(&obs.SetObjectAclInput{Bucket: s3test.Bucket, Key: peerKey, ACL: obs.AclPublicRead})
	fatal(t, err)
	rule, err := s.(objectstore.RuleReader).GetACL(t.Context(), objectstore.Ref{Bucket: s3test.Bucket, Key: peerKey})
	if err != nil || rule.ACL != "public-read" {
		t.Errorf("we read the rule %+v, %v", rule, err)
	}
	signed, err := c.CreateSignedUrl(&obs.CreateSignedUrlInput{Method: obs.HttpMethodGet, Bucket: s3test.Bucket, Key: peerKey, Expires: 60})
	fatal(t, err)
	resp, err := (&http.Client{Transport: transport}).Get(signed.SignedUrl)
	fatal(t, err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the peer's signed URL: %s", resp.Status)
	}
}
