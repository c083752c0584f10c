package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/email"
	"github.com/ottavo-runtime/ottavo/components/email/emailtest"
	"github.com/ottavo-runtime/ottavo/components/email/local"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestSend(t *testing.T) {
	dir := t.TempDir()
	s, err := local.New(t.Context(), components.Env{DataDir: dir}, components.Config{Name: "e"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	id, err := s.Send(t.Context(), &email.Mail{Subject: "hi", Text: "text", Address: email.Address{To: []string{"b@x"}}})
	if err != nil || id == "" {
		t.Errorf("Send = %q, %v", id, err)
	}
	if _, err := s.SendTemplate(t.Context(), &email.TemplateMail{TemplateID: "welcome"}); err != nil {
		t.Error(err)
	}
	kept, err := os.ReadFile(filepath.Join(dir, "outbox", "e.jsonl"))
	if err != nil || !strings.Contains(string(kept), id) || !strings.Contains(string(kept), "b@x") || !strings.Contains(string(kept), "welcome") {
		t.Errorf("the outbox holds %s, %v", kept, err)
	}
}

func TestSuite(t *testing.T) {
	matrix.Backend(t, "email", local.Type)
	emailtest.Run(t, func(t *testing.T) email.Sender {
		c, err := local.New(t.Context(), components.Env{DataDir: t.TempDir()}, components.Config{Name: "c"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	})
}
