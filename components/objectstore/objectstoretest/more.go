package objectstoretest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/components/internal/readtest"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

func testCopy(s *suite) {
	src, dst := s.ref("src"), s.ref("dst dir/ä")
	_, err := s.store.Put(s.ctx, &objectstore.PutRequest{
		Bucket: src.Bucket, Key: src.Key, Metadata: map[string]string{"color": "blue"}, Headers: objectstore.Headers{ContentType: "x/y"},
	}, strings.NewReader("content"))
	if err != nil {
		s.Fatal(err)
	}
	out, err := s.store.Copy(s.ctx, &objectstore.CopyRequest{Bucket: dst.Bucket, Key: dst.Key, Source: src})
	if err != nil {
		s.Fatal(err)
	}
	if out.ETag == "" || out.LastModified.IsZero() {
		s.Errorf("Copy: %+v", out)
	}
	data, got := s.get(&objectstore.GetRequest{Ref: dst})
	if string(data) != "content" || got.ETag != out.ETag {
		s.Errorf("the copy holds %q, etag %s", data, got.ETag)
	}
	_, err = s.store.Copy(s.ctx, &objectstore.CopyRequest{
		Bucket: dst.Bucket, Key: dst.Key, Source: src, MetadataDirective: "REPLACE", Metadata: map[string]string{"color": "red"},
	})
	if err != nil {
		s.Fatal(err)
	}
	if _, got = s.get(&objectstore.GetRequest{Ref: dst}); lowered(got.Metadata)["color"] != "red" {
		s.Errorf("metadata of the copy: %v", got.Metadata)
	}
	_, err = s.store.Copy(s.ctx, &objectstore.CopyRequest{Bucket: dst.Bucket, Key: dst.Key})
	s.wantErr("Copy without a source", err, objectstore.ErrInvalid)
}

func lowered(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[strings.ToLower(k)] = v
	}
	return out
}

func testDeleteMany(s *suite) {
	var refs []objectstore.Ref
	for _, of := range []string{"a", "b c", "d&<e>", "f"} {
		s.put(of, []byte("x"))
		refs = append(refs, objectstore.Ref{Key: s.prefix + of})
	}
	out, err := s.store.DeleteMany(s.ctx, &objectstore.DeleteManyRequest{Bucket: s.opts.Bucket, Objects: refs[:3]})
	if err != nil || len(out.Failed) > 0 {
		s.Fatalf("DeleteMany: %+v, %v", out, err)
	}
	var keys []string
	for _, d := range out.Deleted {
		keys = append(keys, strings.TrimPrefix(d.Key, s.prefix))
	}
	slices.Sort(keys)
	if !slices.Equal(keys, []string{"a", "b c", "d&<e>"}) {
		s.Errorf("deleted: %q", keys)
	}
	if got := s.keys(); !slices.Equal(got, []string{"f"}) {
		s.Errorf("left: %q", got)
	}
	out, err = s.store.DeleteMany(s.ctx, &objectstore.DeleteManyRequest{Bucket: s.opts.Bucket, Objects: refs[3:], Quiet: true})
	if err != nil || len(out.Failed) > 0 || len(s.keys()) > 0 {
		s.Errorf("DeleteMany, quiet: %+v, %v", out, err)
	}
}

func testList(s *suite) {
	want := []string{"d-x", "d/1", "d/2/deep", "d0", "é"}
	for _, of := range want {
		s.put(of, []byte(of))
	}
	if got := s.keys(); !slices.Equal(got, want) {
		s.Errorf("List:\n%q, want\n%q", got, want)
	}
	out, err := s.store.List(s.ctx, &objectstore.ListRequest{Bucket: s.opts.Bucket, Prefix: s.prefix, Delimiter: "/", FetchOwner: true})
	if err != nil {
		s.Fatal(err)
	}
	if !slices.Equal(out.CommonPrefixes, []string{s.prefix + "d/"}) || len(out.Objects) != 3 || out.Truncated {
		s.Errorf("with a delimiter: %+v", out)
	}
	if out.Bucket != s.opts.Bucket || out.Prefix != s.prefix || out.Delimiter != "/" || out.MaxKeys == 0 {
		s.Errorf("the request is not repeated: %+v", out)
	}
	o := out.Objects[0]
	if o.Size != 3 || o.ETag == "" || time.Since(o.LastModified) > time.Minute {
		s.Errorf("an object of the list: %+v", o)
	}
	out, err = s.store.List(s.ctx, &objectstore.ListRequest{Bucket: s.opts.Bucket, Prefix: s.prefix + "d/2"})
	if err != nil || len(out.Objects) != 1 || out.Objects[0].Key != s.prefix+"d/2/deep" {
		s.Errorf("with a longer prefix: %+v, %v", out, err)
	}
	out, err = s.store.List(s.ctx, &objectstore.ListRequest{Bucket: s.opts.Bucket, Prefix: s.prefix + "nothing"})
	if err != nil || len(out.Objects)+len(out.CommonPrefixes) != 0 || out.Truncated {
		s.Errorf("of nothing: %+v, %v", out, err)
	}
}

func testListPages(s *suite) {
	var want, folders []string
	for i := range 5 {
		for _, of := range []string{fmt.Sprintf("f%d", i), fmt.Sprintf("f%d/a", i), fmt.Sprintf("f%d/b", i)} {
			s.put(of, nil)
			want = append(want, of)
		}
		folders = append(folders, fmt.Sprintf("f%d", i), fmt.Sprintf("f%d/", i))
	}
	for _, delimiter := range []string{"", "/"} {
		if why := s.opts.Lacks["pages with a delimiter"]; why != "" && delimiter != "" {
			s.Logf("not tested: pages with a delimiter: %s", why)
			continue
		}
		for _, size := range []int{1, 2, 4, 100} {
			var got []string
			req := &objectstore.ListRequest{Bucket: s.opts.Bucket, Prefix: s.prefix, Delimiter: delimiter, MaxKeys: size}
			for range 100 {
				out, err := s.store.List(s.ctx, req)
				if err != nil {
					s.Fatal(err)
				}
				var page []string
				for _, o := range out.Objects {
					page = append(page, o.Key[len(s.prefix):])
				}
				for _, p := range out.CommonPrefixes {
					page = append(page, p[len(s.prefix):])
				}
				if len(page) > size {
					s.Errorf("a page of %d has %d entries", size, len(page))
				}
				got = append(got, page...)
				if !out.Truncated {
					break
				}
				if out.NextMarker == "" || out.NextMarker <= req.Marker {
					s.Fatalf("next_marker %q after %q does not lead on", out.NextMarker, req.Marker)
				}
				next := *req
				next.Marker = out.NextMarker
				req = &next
			}
			slices.Sort(got)
			all := want
			if delimiter != "" {
				all = folders
			}
			if all = slices.Sorted(slices.Values(all)); !slices.Equal(got, all) {
				s.Errorf("delimiter %q, pages of %d:\n%q, want\n%q", delimiter, size, got, all)
			}
		}
	}
}

func testTags(s *suite) {
	tagger := need[objectstore.Tagger](s, "tags")
	s.put("f", []byte("x"))
	tags := map[string]string{"team": "a & b", "ä": "ö"}
	if _, err := tagger.PutTags(s.ctx, s.ref("f"), tags); err != nil {
		s.Fatal(err)
	}
	out, err := tagger.GetTags(s.ctx, s.ref("f"), objectstore.Terms{})
	if err != nil || !maps.Equal(out.Tags, tags) {
		s.Errorf("GetTags: %+v, %v", out, err)
	}
	if _, err := tagger.PutTags(s.ctx, s.ref("f"), map[string]string{"only": "one"}); err != nil {
		s.Fatal(err)
	}
	if out, err = tagger.GetTags(s.ctx, s.ref("f"), objectstore.Terms{}); err != nil || !maps.Equal(out.Tags, map[string]string{"only": "one"}) {
		s.Errorf("GetTags after replacing: %+v, %v", out, err)
	}
	if _, err := tagger.DeleteTags(s.ctx, s.ref("f"), objectstore.Terms{}); err != nil {
		s.Fatal(err)
	}
	if out, err = tagger.GetTags(s.ctx, s.ref("f"), objectstore.Terms{}); err != nil || len(out.Tags) != 0 {
		s.Errorf("GetTags after deleting: %+v, %v", out, err)
	}
	if got := s.content("f"); got != "x" {
		s.Errorf("the content is %q now", got)
	}
	_, err = tagger.GetTags(s.ctx, s.ref("no"), objectstore.Terms{})
	s.wantErr("GetTags", err, objectstore.ErrNotFound)
	_, err = tagger.PutTags(s.ctx, s.ref("no"), tags)
	s.wantErr("PutTags", err, objectstore.ErrNotFound)
	r := s.ref("g")
	if _, err := s.store.Put(s.ctx, &objectstore.PutRequest{Bucket: r.Bucket, Key: r.Key, Tags: tags}, strings.NewReader("x")); err != nil {
		s.Fatal(err)
	}
	if out, err = tagger.GetTags(s.ctx, r, objectstore.Terms{}); err != nil || !maps.Equal(out.Tags, tags) {
		s.Errorf("tags given to Put: %+v, %v", out, err)
	}
}

func testRules(s *suite) {
	w := need[objectstore.RuleWriter](s, "rules")
	s.put("f", []byte("x"))
	if _, err := w.PutACL(s.ctx, s.ref("f"), "public-read"); err != nil {
		s.Fatal(err)
	}
	_, err := w.PutACL(s.ctx, s.ref("no"), "private")
	s.wantErr("PutACL", err, objectstore.ErrNotFound)
	r, ok := s.store.(objectstore.RuleReader)
	if !ok {
		return
	}
	out, err := r.GetACL(s.ctx, s.ref("f"))
	if err != nil || out.ACL != "public-read" || out.Owner.ID == "" {
		s.Errorf("GetACL: %+v, %v", out, err)
	}
	s.put("g", []byte("x"))
	if out, err = r.GetACL(s.ctx, s.ref("g")); err != nil || out.ACL != "private" && out.ACL != "default" {
		s.Errorf("GetACL of an object without: %+v, %v", out, err)
	}
}

func testAppend(s *suite) {
	a := need[objectstore.Appender](s, "append")
	r := s.ref("f")
	add := func(position int64, text string) (int64, error) {
		out, err := a.Append(s.ctx, &objectstore.AppendRequest{Bucket: r.Bucket, Key: r.Key, Position: position}, strings.NewReader(text))
		if err != nil {
			return 0, err
		}
		return out.Position, nil
	}
	_, err := add(5, "x")
	s.wantErr("Append to what is not there, at 5", err, objectstore.ErrPrecondition)
	position := int64(0)
	for _, text := range []string{"hello", " ", "", "world", strings.Repeat("!", 300_000)} {
		next, err := add(position, text)
		if err != nil {
			s.Fatal(err)
		}
		if next != position+int64(len(text)) {
			s.Errorf("position %d after %d bytes at %d", next, len(text), position)
		}
		position = next
	}
	if got := s.content("f"); got != "hello world"+strings.Repeat("!", 300_000) {
		s.Errorf("content: %.20q, %d bytes", got, len(got))
	}
	_, err = add(3, "x")
	s.wantErr("Append at 3", err, objectstore.ErrPrecondition)
	broken := fmt.Errorf("the client went away")
	_, err = a.Append(s.ctx, &objectstore.AppendRequest{Bucket: r.Bucket, Key: r.Key, Position: position}, readtest.Failing(100_000, broken))
	s.wantErr("Append that breaks", err, broken)
	if _, err := add(position, "."); err != nil {
		s.Errorf("Append after one that broke: %v", err)
	}
	s.put("normal", []byte("x"))
	r = s.ref("normal")
	_, err = add(1, "y")
	s.wantErr("Append to an object that was put", err, objectstore.ErrPrecondition)
	if got := s.content("normal"); got != "x" {
		s.Errorf("it holds %q", got)
	}
}

func testSignURL(s *suite) {
	signer := need[objectstore.Signer](s, "signed URLs")
	s.put("a b", []byte("signed"))
	r := s.ref("a b")
	read, err := signer.SignURL(s.ctx, r.Bucket, r.Key, "GET", time.Minute)
	if err != nil {
		s.Fatal(err)
	}
	data, _ := s.get(&objectstore.GetRequest{SignedURL: read})
	if string(data) != "signed" {
		s.Errorf("through the URL: %q", data)
	}
	write, err := signer.SignURL(s.ctx, r.Bucket, r.Key, "PUT", time.Minute)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := s.store.Put(s.ctx, &objectstore.PutRequest{SignedURL: write}, strings.NewReader("new")); err != nil {
		s.Fatal(err)
	}
	if got := s.content("a b"); got != "new" {
		s.Errorf("after writing through the URL: %q", got)
	}
	_, err = signer.SignURL(s.ctx, r.Bucket, r.Key, "PATCH", time.Minute)
	s.wantErr("SignURL for PATCH", err, objectstore.ErrInvalid)
	_, err = signer.SignURL(s.ctx, r.Bucket, r.Key, "GET", 0)
	s.wantErr("SignURL for no time", err, objectstore.ErrInvalid)
}
