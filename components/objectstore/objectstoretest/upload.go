package objectstoretest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/ottavo-runtime/ottavo/components/internal/readtest"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// begin begins an upload.
func (s *suite) begin(m objectstore.Multipart, of string) (objectstore.Ref, string) {
	s.Helper()
	r := s.ref(of)
	out, err := m.CreateUpload(s.ctx, &objectstore.CreateUploadRequest{
		Bucket: r.Bucket, Key: r.Key, Headers: objectstore.Headers{ContentType: "x/y"}, Metadata: map[string]string{"color": "blue"},
	})
	if err != nil {
		s.Fatal(err)
	}
	if out.UploadID == "" || out.Bucket != r.Bucket || out.Key != r.Key {
		s.Errorf("CreateUpload: %+v", out)
	}
	return r, out.UploadID
}

func (s *suite) part(m objectstore.Multipart, r objectstore.Ref, id string, number int, content []byte) objectstore.CompletedPart {
	s.Helper()
	out, err := m.UploadPart(s.ctx, &objectstore.UploadPartRequest{
		Bucket: r.Bucket, Key: r.Key, UploadID: id, PartNumber: number, ContentLength: int64(len(content)),
	}, bytes.NewReader(content))
	if err != nil {
		s.Fatalf("UploadPart %d: %v", number, err)
	}
	return objectstore.CompletedPart{ETag: out.ETag, PartNumber: number}
}

func testUpload(s *suite) {
	m := need[objectstore.Multipart](s, "uploads in parts")
	r, id := s.begin(m, "f")
	s.wantGone(r)
	contents := make([][]byte, 3)
	parts := make([]objectstore.CompletedPart, 3)
	var wg sync.WaitGroup
	for i := range contents {
		contents[i] = bytes.Repeat([]byte{byte('a' + i)}, s.opts.MinPart+i)
		wg.Go(func() {
			if i == 1 { // a part that is uploaded twice counts once
				s.part(m, r, id, i+1, []byte("replaced"))
			}
			parts[i] = s.part(m, r, id, i+1, contents[i])
		})
	}
	wg.Wait()
	if s.Failed() {
		return
	}
	out, err := m.CompleteUpload(s.ctx, &objectstore.CompleteUploadRequest{Bucket: r.Bucket, Key: r.Key, UploadID: id, Parts: parts})
	if err != nil {
		s.Fatal(err)
	}
	if out.Bucket != r.Bucket || out.Key != r.Key || out.ETag == "" {
		s.Errorf("CompleteUpload: %+v", out)
	}
	data, got := s.get(&objectstore.GetRequest{Ref: r})
	if !bytes.Equal(data, bytes.Join(contents, nil)) {
		s.Errorf("the object has %d bytes, or others", len(data))
	}
	if got.ContentType != "x/y" || lowered(got.Metadata)["color"] != "blue" {
		s.Errorf("the object says %+v", got.Object)
	}
	_, err = m.CompleteUpload(s.ctx, &objectstore.CompleteUploadRequest{Bucket: r.Bucket, Key: r.Key, UploadID: id, Parts: parts})
	s.wantErr("CompleteUpload again", err, objectstore.ErrNotFound)
}

func testUploadErrors(s *suite) {
	m := need[objectstore.Multipart](s, "uploads in parts")
	r, id := s.begin(m, "f")
	part := func(id string, number int) error {
		_, err := m.UploadPart(s.ctx, &objectstore.UploadPartRequest{Bucket: r.Bucket, Key: r.Key, UploadID: id, PartNumber: number}, strings.NewReader("x"))
		return err
	}
	s.wantErr("UploadPart 0", part(id, 0), objectstore.ErrInvalid)
	s.wantErr("UploadPart 10001", part(id, 10001), objectstore.ErrInvalid)
	s.wantErr("UploadPart of no upload", part("NOSUCHUPLOAD", 1), objectstore.ErrNotFound)
	_, err := m.UploadPart(s.ctx, &objectstore.UploadPartRequest{
		Bucket: r.Bucket, Key: r.Key, UploadID: id, PartNumber: 1, ContentMD5: "AAAAAAAAAAAAAAAAAAAAAA==",
	}, strings.NewReader("x"))
	s.wantErr("UploadPart with another MD5", err, objectstore.ErrInvalid)
	broken := errors.New("the client went away")
	_, err = m.UploadPart(s.ctx, &objectstore.UploadPartRequest{Bucket: r.Bucket, Key: r.Key, UploadID: id, PartNumber: 1}, readtest.Failing(100_000, broken))
	s.wantErr("UploadPart that breaks", err, broken)
	complete := func(parts ...objectstore.CompletedPart) error {
		_, err := m.CompleteUpload(s.ctx, &objectstore.CompleteUploadRequest{Bucket: r.Bucket, Key: r.Key, UploadID: id, Parts: parts})
		return err
	}
	s.wantErr("CompleteUpload of nothing", complete(), objectstore.ErrInvalid)
	s.wantErr("CompleteUpload with a part that is not there", complete(objectstore.CompletedPart{ETag: `"0"`, PartNumber: 1}), objectstore.ErrInvalid)
	p1, p2 := s.part(m, r, id, 1, make([]byte, s.opts.MinPart)), s.part(m, r, id, 2, []byte("x"))
	s.wantErr("CompleteUpload in the wrong order", complete(p2, p1), objectstore.ErrInvalid)
	s.wantErr("CompleteUpload with the wrong etag", complete(objectstore.CompletedPart{ETag: p2.ETag, PartNumber: 1}), objectstore.ErrInvalid)
	if _, err := m.AbortUpload(s.ctx, &objectstore.AbortUploadRequest{Bucket: r.Bucket, Key: r.Key, UploadID: id}); err != nil {
		s.Fatal(err)
	}
	s.wantErr("CompleteUpload after AbortUpload", complete(p1, p2), objectstore.ErrNotFound)
	_, err = m.AbortUpload(s.ctx, &objectstore.AbortUploadRequest{Bucket: r.Bucket, Key: r.Key, UploadID: id})
	s.wantErr("AbortUpload again", err, objectstore.ErrNotFound)
	s.wantGone(r)
}

func testUploadLists(s *suite) {
	m := need[objectstore.Multipart](s, "uploads in parts")
	r, id := s.begin(m, "b")
	s.begin(m, "a")
	s.begin(m, "c/d")
	var names []string
	req := &objectstore.ListUploadsRequest{Bucket: s.opts.Bucket, Prefix: s.prefix, MaxUploads: 2}
	for range 5 {
		out, err := m.ListUploads(s.ctx, req)
		if err != nil {
			s.Fatal(err)
		}
		if len(out.Uploads) > 2 || out.Bucket != s.opts.Bucket || out.Prefix != s.prefix {
			s.Errorf("ListUploads: %+v", out)
		}
		for _, u := range out.Uploads {
			names = append(names, u.Key[len(s.prefix):])
			if u.UploadID == "" || u.Initiated.IsZero() {
				s.Errorf("an upload of the list: %+v", u)
			}
		}
		if !out.Truncated {
			break
		}
		next := *req
		next.KeyMarker, next.UploadIDMarker = out.NextKeyMarker, out.NextUploadIDMarker
		req = &next
	}
	if !slices.Equal(names, []string{"a", "b", "c/d"}) {
		s.Errorf("uploads: %q", names)
	}
	for i := range 5 {
		s.part(m, r, id, i*2+1, fmt.Append(nil, strings.Repeat("x", i+1)))
	}
	var sizes []int64
	parts := &objectstore.ListPartsRequest{Bucket: r.Bucket, Key: r.Key, UploadID: id, MaxParts: 2}
	if why := s.opts.Lacks["pages of parts"]; why != "" {
		s.Logf("not tested: pages of parts: %s", why)
		parts.MaxParts = 0
	}
	for range 5 {
		out, err := m.ListParts(s.ctx, parts)
		if err != nil {
			s.Fatal(err)
		}
		if parts.MaxParts > 0 && len(out.Parts) > parts.MaxParts || out.UploadID != id || out.Key != r.Key {
			s.Errorf("ListParts: %+v", out)
		}
		for _, p := range out.Parts {
			sizes = append(sizes, p.Size)
			if p.ETag == "" || p.LastModified.IsZero() || parts.MaxParts > 0 && int64(p.PartNumber) != p.Size*2-1 {
				s.Errorf("a part of the list: %+v", p)
			}
		}
		if !out.Truncated {
			break
		}
		next := *parts
		if _, err := fmt.Sscan(out.NextPartNumberMarker, &next.PartNumberMarker); err != nil {
			s.Fatalf("next_part_number_marker %q", out.NextPartNumberMarker)
		}
		parts = &next
	}
	if !slices.Equal(sizes, []int64{1, 2, 3, 4, 5}) {
		s.Errorf("sizes of the parts: %v", sizes)
	}
	_, err := m.ListParts(s.ctx, &objectstore.ListPartsRequest{Bucket: r.Bucket, Key: r.Key, UploadID: "NOSUCHUPLOAD"})
	s.wantErr("ListParts of no upload", err, objectstore.ErrNotFound)
}

func testCopyPart(s *suite) {
	m := need[objectstore.Multipart](s, "uploads in parts")
	s.lacks("copy part")
	s.put("src", []byte("0123456789"))
	r, id := s.begin(m, "f")
	var parts []objectstore.CompletedPart
	for i, c := range []objectstore.CopyPartRequest{{Start: 2, Size: 3}, {}} {
		c.Bucket, c.Key, c.UploadID, c.PartNumber, c.Source = r.Bucket, r.Key, id, i+1, s.ref("src")
		if s.opts.MinPart > 1 && i == 0 {
			continue // too small for a part that is not the last
		}
		out, err := m.CopyPart(s.ctx, &c)
		if err != nil {
			s.Fatal(err)
		}
		if out.ETag == "" || out.LastModified.IsZero() {
			s.Errorf("CopyPart: %+v", out)
		}
		parts = append(parts, objectstore.CompletedPart{ETag: out.ETag, PartNumber: i + 1})
	}
	if _, err := m.CompleteUpload(s.ctx, &objectstore.CompleteUploadRequest{Bucket: r.Bucket, Key: r.Key, UploadID: id, Parts: parts}); err != nil {
		s.Fatal(err)
	}
	want := "2340123456789"
	if s.opts.MinPart > 1 {
		want = "0123456789"
	}
	if got := s.content("f"); got != want {
		s.Errorf("content %q, want %q", got, want)
	}
	_, id = s.begin(m, "g")
	_, err := m.CopyPart(s.ctx, &objectstore.CopyPartRequest{Bucket: r.Bucket, Key: s.prefix + "g", UploadID: id, PartNumber: 1})
	s.wantErr("CopyPart without a source", err, objectstore.ErrInvalid)
	_, err = m.CopyPart(s.ctx, &objectstore.CopyPartRequest{Bucket: r.Bucket, Key: s.prefix + "g", UploadID: id, PartNumber: 1, Source: s.ref("no")})
	s.wantErr("CopyPart of what is not there", err, objectstore.ErrNotFound)
	for _, c := range []objectstore.CopyPartRequest{
		{Start: -1}, {Start: -2, Size: 3}, {Start: 2, Size: -1}, {Start: math.MaxInt64, Size: 5}, {Start: 5, Size: math.MaxInt64}, {Start: math.MinInt64, Size: math.MinInt64},
	} {
		c.Bucket, c.Key, c.UploadID, c.PartNumber, c.Source = r.Bucket, s.prefix+"g", id, 1, s.ref("src")
		_, err := m.CopyPart(s.ctx, &c)
		s.wantErr(fmt.Sprintf("CopyPart of %d bytes from %d", c.Size, c.Start), err, objectstore.ErrInvalid)
	}
}

func testVersions(s *suite) {
	v := need[objectstore.Versioner](s, "versions")
	s.lacks("versions")
	if !s.opts.Versioned {
		s.put("f", []byte("1"))
		s.put("f", []byte("2"))
		out, err := v.ListVersions(s.ctx, &objectstore.ListVersionsRequest{Bucket: s.opts.Bucket, Prefix: s.prefix})
		if err != nil || len(out.Versions) != 1 || !out.Versions[0].Latest || out.Versions[0].Size != 1 {
			s.Errorf("ListVersions without versioning: %+v, %v", out, err)
		}
		return
	}
	first, second := s.put("f", []byte("first")).VersionID, s.put("f", []byte("second")).VersionID
	if first == "" || second == "" || first == second {
		s.Fatalf("versions %q and %q", first, second)
	}
	s.put("g", []byte("g"))
	del, err := s.store.Delete(s.ctx, &objectstore.DeleteRequest{Ref: s.ref("f")})
	if err != nil || !del.DeleteMarker || del.VersionID == "" {
		s.Fatalf("Delete: %+v, %v", del, err)
	}
	s.wantGone(s.ref("f"))
	if got := s.keys(); !slices.Equal(got, []string{"g"}) {
		s.Errorf("List: %q", got)
	}
	old := s.ref("f")
	old.VersionID = first
	if data, out := s.get(&objectstore.GetRequest{Ref: old}); string(data) != "first" || out.VersionID != first {
		s.Errorf("the first version: %q, %+v", data, out.Object)
	}
	var ids []string
	marks := 0
	req := &objectstore.ListVersionsRequest{Bucket: s.opts.Bucket, Prefix: s.prefix, MaxKeys: 1}
	for range 10 {
		out, err := v.ListVersions(s.ctx, req)
		if err != nil {
			s.Fatal(err)
		}
		for _, v := range out.Versions {
			ids = append(ids, v.VersionID)
		}
		for _, m := range out.DeleteMarkers {
			marks++
			if !m.Latest || m.VersionID != del.VersionID {
				s.Errorf("the mark: %+v", m)
			}
		}
		if !out.Truncated {
			break
		}
		next := *req
		next.KeyMarker, next.VersionIDMarker = out.NextKeyMarker, out.NextVersionIDMarker
		req = &next
	}
	if marks != 1 || len(ids) != 3 || ids[0] != second || ids[1] != first {
		s.Errorf("%d marks, versions %q, want %q first", marks, ids, []string{second, first})
	}
	// Without the mark the object is back.
	mark := s.ref("f")
	mark.VersionID = del.VersionID
	if out, err := s.store.Delete(s.ctx, &objectstore.DeleteRequest{Ref: mark}); err != nil || !out.DeleteMarker {
		s.Errorf("Delete of the mark: %+v, %v", out, err)
	}
	if got := s.content("f"); got != "second" {
		s.Errorf("after the mark is gone: %q", got)
	}
	if _, err := s.store.Delete(s.ctx, &objectstore.DeleteRequest{Ref: old}); err != nil {
		s.Fatal(err)
	}
	s.wantGone(old)
	if got := s.content("f"); got != "second" {
		s.Errorf("after the first version is gone: %q", got)
	}
}
