package pluggable_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/cryption"
	"github.com/ottavo-runtime/ottavo/components/cryption/cryptiontest"
	cryptionlocal "github.com/ottavo-runtime/ottavo/components/cryption/local"
	"github.com/ottavo-runtime/ottavo/components/email"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/components/lock/locktest"
	lockmemory "github.com/ottavo-runtime/ottavo/components/lock/memory"
	"github.com/ottavo-runtime/ottavo/components/phone"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	sequencermemory "github.com/ottavo-runtime/ottavo/components/sequencer/memory"
	"github.com/ottavo-runtime/ottavo/components/sequencer/sequencertest"
	"github.com/ottavo-runtime/ottavo/components/sms"
	componentv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/component"
	cryptionv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/cryption"
	emailv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/email"
	lockv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/lock"
	phonev1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/phone"
	sequencerv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/sequencer"
	smsv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/sms"
)

// What a server lacks, one level down, so that ownInit's methods count.
type (
	noLock      struct{ lockv1.UnimplementedLockServer }
	noSequencer struct {
		sequencerv1.UnimplementedSequencerServer
	}
	noCryption struct {
		cryptionv1.UnimplementedCryptionServer
	}
	noEmail struct {
		emailv1.UnimplementedEmailServer
	}
	noSms   struct{ smsv1.UnimplementedSmsServer }
	noPhone struct {
		phonev1.UnimplementedPhoneServer
	}
)

// backend makes the backend of a process.
func backend[T io.Closer](t *testing.T, make components.Factory[T], settings map[string]any) T {
	t.Helper()
	b, err := make(t.Context(), components.Env{DataDir: t.TempDir()}, components.Config{Name: "x", Path: "x", Metadata: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

type lockServer struct {
	noLock
	ownInit
	locker lock.Locker
}

var lockCodes = map[error]codes.Code{lock.ErrInvalid: codes.InvalidArgument}

func (s *lockServer) TryLock(ctx context.Context, r *lockv1.TryLockRequest) (*lockv1.TryLockResponse, error) {
	grant, err := s.locker.TryLock(ctx, r.GetResource(), r.GetOwner(), time.Duration(r.GetExpireMillis())*time.Millisecond)
	if err != nil || grant == nil {
		return &lockv1.TryLockResponse{}, coded(err, lockCodes)
	}
	return &lockv1.TryLockResponse{Granted: true, Token: grant.Token}, nil
}

var lockStatus = map[lock.Status]lockv1.Status{
	lock.Done: lockv1.Status_DONE, lock.NotLocked: lockv1.Status_NOT_LOCKED, lock.NotTheOwner: lockv1.Status_NOT_THE_OWNER,
}

func (s *lockServer) Unlock(ctx context.Context, r *lockv1.UnlockRequest) (*lockv1.UnlockResponse, error) {
	what, err := s.locker.Unlock(ctx, r.GetResource(), r.GetOwner())
	return &lockv1.UnlockResponse{Status: lockStatus[what]}, coded(err, lockCodes)
}

func (s *lockServer) Renew(ctx context.Context, r *lockv1.RenewRequest) (*lockv1.RenewResponse, error) {
	what, err := s.locker.Renew(ctx, r.GetResource(), r.GetOwner(), time.Duration(r.GetExpireMillis())*time.Millisecond)
	return &lockv1.RenewResponse{Status: lockStatus[what]}, coded(err, lockCodes)
}

func TestLock(t *testing.T) {
	t.Parallel()
	server := &lockServer{locker: backend(t, lockmemory.New, nil)}
	rows := start(t, func(g *grpc.Server) { lockv1.RegisterLockServer(g, server) }).rows().Locks
	locktest.Run(t, locktest.Options{New: func(t *testing.T) lock.Locker { return open(t, rows, map[string]any{"a": 1}) }, TextOnly: true})
	server.mu.Lock()
	defer server.mu.Unlock()
	if r := server.requests[0]; r.GetName() != "mine" || r.GetType() != "demo" || r.GetAppId() != "app" || r.GetKind() != "lock" || r.GetMetadata()["a"] != "1" {
		t.Errorf("initialised with %v", r)
	}
}

type lyingLocks struct {
	noLock
	ownInit
}

func (*lyingLocks) Unlock(context.Context, *lockv1.UnlockRequest) (*lockv1.UnlockResponse, error) {
	return &lockv1.UnlockResponse{Status: 77}, nil
}

// Answers that cannot be are errors.
func TestLockNonsense(t *testing.T) {
	t.Parallel()
	p := start(t, func(g *grpc.Server) { lockv1.RegisterLockServer(g, &lyingLocks{}) })
	l := open(t, p.rows().Locks, nil)
	defer func() { _ = l.Close() }()
	_, err := l.Unlock(t.Context(), "r", "o")
	wantError(t, err, p.path, "77")
	if _, err := l.Unlock(t.Context(), "r", "\xff"); !errors.Is(err, lock.ErrInvalid) {
		t.Error(err)
	}
	if _, err := l.TryLock(t.Context(), "r", "o", time.Second); !errors.Is(err, lock.ErrNotSupported) {
		t.Error(err)
	}
}

type sequencerServer struct {
	noSequencer
	ownInit
	maker sequencer.Sequencer
	wrong bool
}

var sequencerCodes = map[error]codes.Code{sequencer.ErrInvalid: codes.InvalidArgument, sequencer.ErrExhausted: codes.OutOfRange}

func (s *sequencerServer) Next(ctx context.Context, r *sequencerv1.NextRequest) (*sequencerv1.NextResponse, error) {
	id, err := s.maker.Next(ctx, r.GetKey())
	return &sequencerv1.NextResponse{Id: id}, coded(err, sequencerCodes)
}

func (s *sequencerServer) Segment(ctx context.Context, r *sequencerv1.SegmentRequest) (*sequencerv1.SegmentResponse, error) {
	if s.wrong {
		return &sequencerv1.SegmentResponse{From: 1, To: 1 << 40}, nil
	}
	from, to, err := s.maker.(sequencer.Segmenter).Segment(ctx, r.GetKey(), r.GetSize())
	return &sequencerv1.SegmentResponse{From: from, To: to}, coded(err, sequencerCodes)
}

func (s *sequencerServer) Raise(ctx context.Context, r *sequencerv1.RaiseRequest) (*sequencerv1.RaiseResponse, error) {
	return &sequencerv1.RaiseResponse{}, coded(s.maker.(sequencer.Raiser).Raise(ctx, r.GetKey(), r.GetThan()), sequencerCodes)
}

func TestSequencer(t *testing.T) {
	t.Parallel()
	server := &sequencerServer{
		ownInit: ownInit{answer: &componentv1.InitResponse{Features: []string{"segment", "raise"}}},
		maker:   backend(t, sequencermemory.New, nil),
	}
	rows := start(t, func(g *grpc.Server) { sequencerv1.RegisterSequencerServer(g, server) }).rows().Sequencers
	sequencertest.Run(t, sequencertest.Options{New: func(t *testing.T) sequencer.Sequencer { return open(t, rows, nil) }, Ids: 200})
}

func TestSequencerAbilities(t *testing.T) {
	t.Parallel()
	server := &sequencerServer{maker: backend(t, sequencermemory.New, nil), wrong: true}
	p := start(t, func(g *grpc.Server) { sequencerv1.RegisterSequencerServer(g, server) })
	plain := open(t, p.rows().Sequencers, nil)
	defer func() { _ = plain.Close() }()
	if _, ok := plain.(sequencer.Segmenter); ok {
		t.Error("it has segments without saying so")
	}
	if err := plain.(sequencer.Raiser).Raise(t.Context(), "k", 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	server.mu.Lock()
	server.answer = &componentv1.InitResponse{Features: []string{"segment"}}
	server.mu.Unlock()
	s := open(t, p.rows().Sequencers, nil)
	defer func() { _ = s.Close() }()
	_, _, err := s.(sequencer.Segmenter).Segment(t.Context(), "k", 10)
	wantError(t, err, p.path, "when 10 were asked for")
}

type cipherServer struct {
	noCryption
	ownInit
	cipher cryption.Cipher
}

var cipherCodes = map[error]codes.Code{cryption.ErrInvalid: codes.InvalidArgument, cryption.ErrNoKey: codes.NotFound}

func (s *cipherServer) Encrypt(ctx context.Context, r *cryptionv1.EncryptRequest) (*cryptionv1.EncryptResponse, error) {
	out, err := s.cipher.Encrypt(ctx, r.GetPlainText(), r.GetKeyId())
	if err != nil {
		return nil, coded(err, cipherCodes)
	}
	return &cryptionv1.EncryptResponse{CipherText: out.Data, KeyId: out.KeyID, KeyVersionId: out.KeyVersionID, RequestId: out.RequestID}, nil
}

func (s *cipherServer) Decrypt(ctx context.Context, r *cryptionv1.DecryptRequest) (*cryptionv1.DecryptResponse, error) {
	out, err := s.cipher.Decrypt(ctx, r.GetCipherText())
	if err != nil {
		return nil, coded(err, cipherCodes)
	}
	return &cryptionv1.DecryptResponse{PlainText: out.Data, KeyId: out.KeyID, KeyVersionId: out.KeyVersionID, RequestId: out.RequestID}, nil
}

func TestCryption(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	keys := `{"a": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "b": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}`
	if err := os.WriteFile(path, []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	server := &cipherServer{cipher: backend(t, cryptionlocal.New, map[string]any{"keyFile": path, "KeyID": "a"})}
	rows := start(t, func(g *grpc.Server) { cryptionv1.RegisterCryptionServer(g, server) }).rows().Ciphers
	cryptiontest.Run(t, cryptiontest.Options{
		New: func(t *testing.T) cryption.Cipher { return open(t, rows, nil) }, KeyID: "a", Other: "b", MaxPlain: 1 << 20,
	})
}

// notifyServer keeps what it was asked for.
type notifyServer struct {
	mu  sync.Mutex
	got any
}

func (s *notifyServer) keep(v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = v
}

type (
	emailServer struct {
		noEmail
		ownInit
		*notifyServer
	}
	smsServer struct {
		noSms
		ownInit
		*notifyServer
	}
	phoneServer struct {
		noPhone
		ownInit
		*notifyServer
	}
)

func (s *emailServer) Send(_ context.Context, r *emailv1.SendRequest) (*emailv1.SendResponse, error) {
	a := r.GetAddress()
	s.keep(&email.Mail{SettingID: r.GetSettingId(), Subject: r.GetSubject(), Text: r.GetText(), Address: email.Address{From: a.GetFrom(), To: a.GetTo(), Cc: a.GetCc()}})
	return &emailv1.SendResponse{RequestId: "e1"}, nil
}

func (s *emailServer) SendTemplate(_ context.Context, r *emailv1.SendTemplateRequest) (*emailv1.SendResponse, error) {
	a := r.GetAddress()
	s.keep(&email.TemplateMail{TemplateID: r.GetTemplateId(), Params: r.GetParams(), Subject: r.GetSubject(), Address: email.Address{From: a.GetFrom(), To: a.GetTo(), Cc: a.GetCc()}})
	return &emailv1.SendResponse{RequestId: "e2"}, nil
}

func (s *smsServer) Send(_ context.Context, r *smsv1.SendRequest) (*smsv1.SendResponse, error) {
	if len(r.GetPhoneNumbers()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "to whom?")
	}
	s.keep(&sms.Message{PhoneNumbers: r.GetPhoneNumbers(), TemplateID: r.GetTemplateId(), Params: r.GetParams(), SignName: r.GetSignName(), SenderID: r.GetSenderId(), Metadata: r.GetMetadata()})
	return &smsv1.SendResponse{RequestId: "s1", Results: []*smsv1.Result{{Code: "OK", Message: "sent", Metadata: map[string]string{"n": "1"}}}}, nil
}

func (s *phoneServer) Call(_ context.Context, r *phonev1.CallRequest) (*phonev1.CallResponse, error) {
	s.keep(&phone.Call{TemplateID: r.GetTemplateId(), Params: r.GetParams(), To: r.GetTo(), From: r.GetFrom()})
	return &phonev1.CallResponse{RequestId: "p1"}, nil
}

// Everything that is sent arrives, and what is answered comes back.
func TestNotify(t *testing.T) {
	t.Parallel()
	kept := new(notifyServer)
	p := start(t, func(g *grpc.Server) {
		emailv1.RegisterEmailServer(g, &emailServer{notifyServer: kept})
		smsv1.RegisterSmsServer(g, &smsServer{notifyServer: kept})
		phonev1.RegisterPhoneServer(g, &phoneServer{notifyServer: kept})
	})
	rows := p.rows()
	mails, texts, calls := open(t, rows.EmailSenders, nil), open(t, rows.SMSSenders, nil), open(t, rows.PhoneCallers, nil)
	arrived := func(id, wantID string, err error, want any) {
		t.Helper()
		kept.mu.Lock()
		defer kept.mu.Unlock()
		if err != nil || id != wantID || !reflect.DeepEqual(kept.got, want) {
			t.Errorf("%q, %v; %+v arrived, want %+v", id, err, kept.got, want)
		}
	}
	between := email.Address{From: "a@example", To: []string{"b@example"}, Cc: []string{"c@example", "d@example"}}
	mail := &email.Mail{SettingID: "s", Subject: "hi", Text: "hello", Address: between}
	id, err := mails.Send(t.Context(), mail)
	arrived(id, "e1", err, mail)
	template := &email.TemplateMail{TemplateID: "t", Params: map[string]string{"x": "y"}, Subject: "hi", Address: between}
	id, err = mails.SendTemplate(t.Context(), template)
	arrived(id, "e2", err, template)
	text := &sms.Message{PhoneNumbers: []string{"1"}, TemplateID: "t", Params: map[string]string{"x": "y"}, SignName: "n", SenderID: "i", Metadata: map[string]string{"m": "n"}}
	id, results, err := texts.Send(t.Context(), text)
	arrived(id, "s1", err, text)
	if len(results) != 1 || results[0].Code != "OK" || results[0].Message != "sent" || results[0].Metadata["n"] != "1" {
		t.Errorf("%+v", results)
	}
	_, _, err = texts.Send(t.Context(), &sms.Message{})
	wantError(t, err, p.path, "InvalidArgument", "to whom?")
	call := &phone.Call{TemplateID: "t", Params: map[string]string{"x": "y"}, To: []string{"1", "2"}, From: "3"}
	id, err = calls.Call(t.Context(), call)
	arrived(id, "p1", err, call)
	for _, c := range []io.Closer{mails, texts, calls} {
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := calls.Call(t.Context(), call); err == nil {
		t.Error("a closed component calls")
	}
}
