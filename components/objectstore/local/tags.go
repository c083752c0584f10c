package local

import (
	"cmp"
	"context"
	"maps"

	"github.com/ottavo-runtime/ottavo/components/objectstore"
)

// change changes the record of a version.
func (s *store) change(ctx context.Context, ref objectstore.Ref, f func(*record)) (*record, error) {
	folder, err := keyFolder(ref.Bucket, ref.Key)
	if err != nil {
		return nil, err
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	defer s.lockObject(folder)()
	rec, _, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	f(rec)
	return rec, s.save(folder, rec)
}

func (s *store) look(ctx context.Context, ref objectstore.Ref) (*record, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	rec, _, err := s.find(ref)
	return rec, err
}

// PutTags replaces the tags of an object.
func (s *store) PutTags(ctx context.Context, ref objectstore.Ref, tags map[string]string) (*objectstore.TagResult, error) {
	if err := checkTags(tags); err != nil {
		return nil, err
	}
	rec, err := s.change(ctx, ref, func(r *record) { r.Tags = maps.Clone(tags) })
	if err != nil {
		return nil, err
	}
	return &objectstore.TagResult{VersionID: rec.version()}, nil
}

// DeleteTags removes them.
func (s *store) DeleteTags(ctx context.Context, ref objectstore.Ref, _ objectstore.Terms) (*objectstore.TagResult, error) {
	return s.PutTags(ctx, ref, nil)
}

// GetTags reads them.
func (s *store) GetTags(ctx context.Context, ref objectstore.Ref, _ objectstore.Terms) (*objectstore.TagResult, error) {
	rec, err := s.look(ctx, ref)
	if err != nil {
		return nil, err
	}
	return &objectstore.TagResult{Tags: rec.Tags, VersionID: rec.version()}, nil
}

// PutACL gives an object one of the predefined access rules.
func (s *store) PutACL(ctx context.Context, ref objectstore.Ref, acl string) (*objectstore.RuleResult, error) {
	if err := checkRule(acl); err != nil {
		return nil, err
	}
	if _, err := s.change(ctx, ref, func(r *record) { r.ACL = acl }); err != nil {
		return nil, err
	}
	return &objectstore.RuleResult{ACL: acl, Owner: owner}, nil
}

// GetACL tells which one it has.
func (s *store) GetACL(ctx context.Context, ref objectstore.Ref) (*objectstore.RuleResult, error) {
	rec, err := s.look(ctx, ref)
	if err != nil {
		return nil, err
	}
	return &objectstore.RuleResult{ACL: cmp.Or(rec.ACL, rules[0]), Owner: owner}, nil
}

// owner owns everything here.
var owner = objectstore.Owner{DisplayName: "local", ID: "local"}
