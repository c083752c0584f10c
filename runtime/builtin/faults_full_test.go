package builtin_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// TestFaultsFull: a server without room is told of as such, what was there before
// stays as it was, and writing goes on when there is room.
func TestFaultsFull(t *testing.T) {
	t.Parallel()
	for _, row := range faultRows {
		if row.fill == nil {
			continue
		}
		t.Run(row.server, func(t *testing.T) {
			t.Parallel()
			var cs []faultComponent
			for _, c := range row.components {
				if c.skip[full] == "" {
					cs = append(cs, c)
				}
			}
			s, addr := row.start(t)
			p := newPatient(t, faultFile(addr, "", cs...))
			p.works(cs, testserver.Patience)
			for _, c := range cs {
				kind := faultKinds[c.kind]
				ctx, cancel := context.WithTimeout(t.Context(), testserver.Patience)
				if err := kind.save(ctx, p.cc, "one", "before"); err != nil {
					t.Errorf("%s: %v", c.typ, err)
				}
				cancel()
			}
			free := row.fill(t, s, addr)
			for _, c := range cs {
				kind := faultKinds[c.kind]
				ctx, cancel := context.WithTimeout(t.Context(), testserver.Patience)
				err := kind.save(ctx, p.cc, "one", "during")
				t.Logf("%s/%s: %v", c.kind, c.typ, err)
				if want := kind.writeCode(); status.Code(err) != want || !strings.Contains(err.Error(), row.noRoom) {
					t.Errorf("%s/%s without room: %v, want %s with %q", c.kind, c.typ, err, want, row.noRoom)
				}
				if kind.load != nil {
					if got, err := kind.load(ctx, p.cc, "one"); err != nil || got != "before" {
						t.Errorf("%s/%s: what was there before is now %q, %v", c.kind, c.typ, got, err)
					}
				}
				cancel()
			}
			p.beside()
			free()
			for _, c := range cs {
				kind := faultKinds[c.kind]
				eventually(t, testserver.Patience, c.kind+" writes again", func(ctx context.Context) error { return kind.save(ctx, p.cc, "one", "after") })
				if kind.load != nil {
					ctx, cancel := context.WithTimeout(t.Context(), testserver.Patience)
					if got, err := kind.load(ctx, p.cc, "one"); err != nil || got != "after" {
						t.Errorf("%s/%s: %q, %v, want what was written last", c.kind, c.typ, got, err)
					}
					cancel()
				}
			}
			p.up(testserver.Patience)
		})
	}
}
