package sdktest_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

func TestBinding(t *testing.T) {
	r, client := startReal(t, 0)
	ctx, folder := timeout(t), client.Binding("folder")
	name := map[string]string{"fileName": "a.txt"}
	if _, err := folder.Invoke(ctx, "create", []byte("hello"), name); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(r.path("bindings/a.txt")); err != nil || string(data) != "hello" {
		t.Errorf("%q, %v", data, err)
	}
	if got, err := folder.Invoke(ctx, "get", nil, name); err != nil || string(got.Data) != "hello" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := folder.Invoke(ctx, "dance", nil); err == nil || !strings.Contains(err.Error(), "dance") {
		t.Errorf("%v", err)
	}
}

func TestSecrets(t *testing.T) {
	t.Setenv("OTTAVO_SDK_TEST_password", "hunter2")
	t.Setenv("OTHER", "x")
	_, client := startReal(t, 0)
	ctx, secrets := timeout(t), client.Secrets("secrets")
	if got, err := secrets.Get(ctx, "password"); err != nil || len(got) != 1 || got["password"] != "hunter2" {
		t.Errorf("%v, %v", got, err)
	}
	all, err := secrets.GetAll(ctx)
	if err != nil || len(all) != 1 || all["password"]["password"] != "hunter2" {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := client.Secrets("nowhere").Get(ctx, "a"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
	if _, err := client.Secrets("nowhere").GetAll(ctx); status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
}

func TestApplyConfiguration(t *testing.T) {
	_, client := startReal(t, 0)
	ctx := timeout(t)
	if err := client.ApplyConfiguration(ctx, "hellos", "hello", map[string]string{"hello": "good morning"}); err != nil {
		t.Fatal(err)
	}
	if got, err := client.SayHello(ctx, "hello", "eva"); err != nil || got != "good morning, eva" {
		t.Errorf("%q, %v", got, err)
	}
	err := client.ApplyConfiguration(ctx, "lock", "locks", map[string]string{"a": "b"})
	if e, ok := errors.AsType[*ottavo.Error](err); !ok || e.Code != codes.InvalidArgument || e.Call != "ApplyConfiguration" {
		t.Errorf("%v", err)
	}
}

func TestCipher(t *testing.T) {
	_, client := startReal(t, 0)
	ctx, keys := timeout(t), client.Cipher("keys")
	sealed, err := keys.Encrypt(ctx, []byte("plain"), "")
	if err != nil || strings.Contains(string(sealed.Data), "plain") || sealed.KeyID == "" {
		t.Fatalf("%+v, %v", sealed, err)
	}
	opened, err := keys.Decrypt(ctx, sealed.Data)
	if err != nil || string(opened.Data) != "plain" || opened.KeyID != sealed.KeyID {
		t.Errorf("%+v, %v", opened, err)
	}
	sealed.Data[len(sealed.Data)-1]++
	if _, err := keys.Decrypt(ctx, sealed.Data); err == nil {
		t.Error("what was changed is decrypted")
	}
	if _, err := keys.Encrypt(ctx, nil, "no such key"); err == nil {
		t.Error("a key that is not there")
	}
}

// What was sent is in the outbox of the local services.
func TestMessages(t *testing.T) {
	r, client := startReal(t, 0)
	ctx := timeout(t)
	template := ottavo.Template{ID: "T1", Params: map[string]string{"0": "1234"}}
	mail := &ottavo.Mail{From: "shop@example.com", To: []string{"eva@example.com"}, CC: []string{"cc@example.com"}, Subject: "Your order", Text: "It is here.", Template: template}
	ids := make(map[string]string)
	var err error
	if ids["mails.jsonl mail"], err = client.SendMail(ctx, "mails", mail); err != nil {
		t.Error(err)
	}
	if ids["mails.jsonl template"], err = client.SendTemplateMail(ctx, "mails", mail); err != nil {
		t.Error(err)
	}
	var results []ottavo.SMSResult
	if ids["texts.jsonl"], results, err = client.SendSMS(ctx, "texts", &ottavo.SMS{To: []string{"+4912345"}, Template: template, SignName: "shop"}); err != nil || len(results) != 1 {
		t.Errorf("%+v, %v", results, err)
	}
	if ids["calls.jsonl"], err = client.CallPhone(ctx, "calls", &ottavo.VoiceCall{To: []string{"+4912345"}, From: "+4954321", Template: template}); err != nil {
		t.Error(err)
	}
	for name, id := range ids {
		file, _, _ := strings.Cut(name, " ")
		text, err := os.ReadFile(r.path("outbox/" + file))
		if err != nil || id == "" || !strings.Contains(string(text), id) {
			t.Errorf("%s: %q is not in %s, %v", name, id, text, err)
		}
	}
	mails, err := os.ReadFile(r.path("outbox/mails.jsonl"))
	for _, want := range []string{"It is here.", "Your order", "eva@example.com", "cc@example.com", "shop@example.com", "T1", "1234"} {
		if !strings.Contains(string(mails), want) {
			t.Errorf("%q is not in %s, %v", want, mails, err)
		}
	}
	_, mailErr := client.SendMail(ctx, "nowhere", mail)
	_, templateErr := client.SendTemplateMail(ctx, "nowhere", mail)
	_, _, smsErr := client.SendSMS(ctx, "nowhere", &ottavo.SMS{})
	_, phoneErr := client.CallPhone(ctx, "nowhere", &ottavo.VoiceCall{})
	for _, err := range []error{mailErr, templateErr, smsErr, phoneErr} {
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("%v", err)
		}
	}
}
