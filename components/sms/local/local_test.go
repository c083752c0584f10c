package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/sms"
	"github.com/ottavo-runtime/ottavo/components/sms/local"
	"github.com/ottavo-runtime/ottavo/components/sms/smstest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

func TestSend(t *testing.T) {
	dir := t.TempDir()
	s, err := local.New(t.Context(), components.Env{DataDir: dir}, components.Config{Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	id, results, err := s.Send(t.Context(), &sms.Message{PhoneNumbers: []string{"1", "2"}, TemplateID: "t"})
	if err != nil || id == "" || len(results) != 2 || results[1].Code != "Ok" || results[1].Metadata["PhoneNumber"] != "2" {
		t.Errorf("Send = %q, %v, %v", id, results, err)
	}
	kept, err := os.ReadFile(filepath.Join(dir, "outbox", "s.jsonl"))
	if err != nil || !strings.Contains(string(kept), id) {
		t.Errorf("the outbox holds %s, %v", kept, err)
	}
}

func TestSuite(t *testing.T) {
	matrix.Backend(t, "sms", local.Type)
	smstest.Run(t, func(t *testing.T) sms.Sender {
		c, err := local.New(t.Context(), components.Env{DataDir: t.TempDir()}, components.Config{Name: "c"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	})
}
