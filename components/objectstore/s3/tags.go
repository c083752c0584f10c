package s3

import (
	"context"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/components/internal/s3"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// tagger is the ability to have tags.
type tagger struct{ s *store }

// tagging sends a request about tags.
func (t tagger) tagging(ctx context.Context, method string, ref objectstore.Ref, terms objectstore.Terms, in *taggingXML) (*objectstore.TagResult, error) {
	if err := t.s.ready(ctx, ref.Check()); err != nil {
		return nil, err
	}
	h := header{}
	h.terms(terms)
	req := &s3.Request{Method: method, Bucket: ref.Bucket, Key: ref.Key, Query: version(url.Values{"tagging": {""}}, ref.VersionID), Header: http.Header(h)}
	if in != nil {
		content, err := s3.XML(in)
		if err != nil {
			return nil, err
		}
		h.set("Content-Md5", content.MD5())
		req.Content = content
	}
	var out taggingXML
	resp, err := t.s.c.DoXML(ctx, req, &out)
	if err != nil {
		return nil, t.s.explain(err)
	}
	r := &objectstore.TagResult{VersionID: resp.Header.Get("X-Amz-Version-Id")}
	for _, tag := range out.TagSet.Tags {
		if r.Tags == nil {
			r.Tags = make(map[string]string)
		}
		r.Tags[tag.Key] = tag.Value
	}
	return r, nil
}

// PutTags replaces the tags of an object.
func (t tagger) PutTags(ctx context.Context, ref objectstore.Ref, tags map[string]string) (*objectstore.TagResult, error) {
	in := &taggingXML{}
	for name, value := range tags {
		in.TagSet.Tags = append(in.TagSet.Tags, tagXML{name, value})
	}
	slices.SortFunc(in.TagSet.Tags, func(x, y tagXML) int { return strings.Compare(x.Key, y.Key) })
	return t.tagging(ctx, http.MethodPut, ref, objectstore.Terms{}, in)
}

// GetTags reads them.
func (t tagger) GetTags(ctx context.Context, ref objectstore.Ref, terms objectstore.Terms) (*objectstore.TagResult, error) {
	return t.tagging(ctx, http.MethodGet, ref, terms, nil)
}

// DeleteTags removes them.
func (t tagger) DeleteTags(ctx context.Context, ref objectstore.Ref, terms objectstore.Terms) (*objectstore.TagResult, error) {
	return t.tagging(ctx, http.MethodDelete, ref, terms, nil)
}

// PutACL gives an object one of the predefined access rules.
func (s *store) PutACL(ctx context.Context, ref objectstore.Ref, acl string) (*objectstore.RuleResult, error) {
	if err := s.ready(ctx, ref.Check()); err != nil {
		return nil, err
	}
	h := header{}
	h.set("X-Amz-Acl", acl)
	resp, err := s.c.Do(ctx, &s3.Request{
		Method: http.MethodPut, Bucket: ref.Bucket, Key: ref.Key, Query: version(url.Values{"acl": {""}}, ref.VersionID), Header: http.Header(h), Content: s3.Bytes(nil),
	})
	if err != nil {
		return nil, s.explain(err)
	}
	_ = resp.Body.Close()
	return &objectstore.RuleResult{ACL: acl, RequestCharged: resp.Header.Get("X-Amz-Request-Charged")}, nil
}

// GetACL tells which one it has: the predefined rule whose rights these are.
func (s *store) GetACL(ctx context.Context, ref objectstore.Ref) (*objectstore.RuleResult, error) {
	if err := s.ready(ctx, ref.Check()); err != nil {
		return nil, err
	}
	var in ruleXML
	resp, err := s.get(ctx, ref.Bucket, ref.Key, version(url.Values{"acl": {""}}, ref.VersionID), objectstore.Terms{}, &in)
	if err != nil {
		return nil, err
	}
	return &objectstore.RuleResult{ACL: in.rule(), Owner: in.Owner.owner(), RequestCharged: resp.Header.Get("X-Amz-Request-Charged")}, nil
}

// Groups in the rights of S3.
const (
	everybody  = "http://acs.amazonaws.com/groups/global/AllUsers"
	knownUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
)

// rule finds the predefined rule that these rights are; "" if they are none.
func (x *ruleXML) rule() string {
	read, write, known := false, false, false
	for _, g := range x.Grants {
		text := strings.TrimSpace(g.Text)
		switch {
		case text != "":
			return text // OSS
		case g.Grantee.URI == everybody, g.Grantee.Canned == "Everyone":
			read = read || g.Permission == "READ" || g.Permission == "FULL_CONTROL"
			write = write || g.Permission == "WRITE" || g.Permission == "FULL_CONTROL"
		case g.Grantee.URI == knownUsers:
			known = known || g.Permission == "READ"
		case g.Grantee.ID != x.Owner.ID:
			return "" // somebody has rights of his own
		}
	}
	switch {
	case read && write:
		return "public-read-write"
	case read:
		return "public-read"
	case known:
		return "authenticated-read"
	}
	return "private"
}

// Restore asks for an archived object to be made readable.
func (s *store) Restore(ctx context.Context, req *objectstore.RestoreRequest) (*objectstore.RestoreResult, error) {
	if err := s.ready(ctx, req.Check()); err != nil {
		return nil, err
	}
	content, err := s3.XML(restoreBody(req, s.c.Dialect().RestoreTier))
	if err != nil {
		return nil, err
	}
	h := header{}
	h.terms(req.Terms)
	h.set("Content-Md5", content.MD5())
	resp, err := s.c.Do(ctx, &s3.Request{
		Method: http.MethodPost, Bucket: req.Bucket, Key: req.Key, Query: version(url.Values{"restore": {""}}, req.VersionID), Header: http.Header(h), Content: content,
	})
	if err != nil {
		return nil, s.explain(err)
	}
	_ = resp.Body.Close()
	return &objectstore.RestoreResult{
		RequestCharged: resp.Header.Get("X-Amz-Request-Charged"), OutputPath: resp.Header.Get("X-Amz-Restore-Output-Path"),
	}, nil
}

// element is a piece of XML: a name with text, or with others inside. Those that
// are empty are left out.
type element struct {
	XMLName xml.Name
	Text    string    `xml:",chardata"`
	Inside  []element `xml:",any"`
}

func text(name, value string) element {
	return element{XMLName: xml.Name{Local: name}, Text: value}
}

func group(name string, inside ...element) element {
	e := element{XMLName: xml.Name{Local: name}}
	for _, i := range inside {
		if i.Text != "" || len(i.Inside) > 0 {
			e.Inside = append(e.Inside, i)
		}
	}
	return e
}
