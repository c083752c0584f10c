package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/phone"
	"github.com/ottavo-runtime/ottavo/components/phone/local"
	"github.com/ottavo-runtime/ottavo/components/phone/phonetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestCall(t *testing.T) {
	dir := t.TempDir()
	c, err := local.New(t.Context(), components.Env{DataDir: dir}, components.Config{Name: "p"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	id, err := c.Call(t.Context(), &phone.Call{TemplateID: "t", To: []string{"0049"}})
	if err != nil || id == "" {
		t.Errorf("Call = %q, %v", id, err)
	}
	kept, err := os.ReadFile(filepath.Join(dir, "outbox", "p.jsonl"))
	if err != nil || !strings.Contains(string(kept), id) || !strings.Contains(string(kept), "0049") {
		t.Errorf("the outbox holds %s, %v", kept, err)
	}
}

func TestSuite(t *testing.T) {
	matrix.Backend(t, "phone", local.Type)
	phonetest.Run(t, func(t *testing.T) phone.Caller {
		c, err := local.New(t.Context(), components.Env{DataDir: t.TempDir()}, components.Config{Name: "c"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	})
}
