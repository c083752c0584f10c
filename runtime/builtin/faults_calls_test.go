package builtin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	cryptionv1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/cryption"
	s3v1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/s3"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// A faultCall is one call of the API that reaches a backend, and what a client
// hears when the backend fails: Layotto's code and the beginning of its text.
type faultCall struct {
	name string
	do   func(ctx context.Context, cc grpc.ClientConnInterface, store string) error
	code codes.Code
	text string
}

// A faultKind is a kind of component as a client sees it.
type faultKind struct {
	section string // in the configuration
	calls   []faultCall
	// denied and noRoom are the codes when the server does not know our password,
	// and when it is full; OK: as with every other failure.
	denied, noRoom codes.Code
	// save writes a value, load returns what was written last; nil: there is
	// nothing to load.
	save func(ctx context.Context, cc grpc.ClientConnInterface, store, value string) error
	load func(ctx context.Context, cc grpc.ClientConnInterface, store string) (string, error)
}

// writeCode is the code of a write for which the server has no room.
func (k faultKind) writeCode() codes.Code {
	if k.noRoom != codes.OK {
		return k.noRoom
	}
	return k.calls[min(1, len(k.calls)-1)].code
}

// faultKinds are the kinds of components that have backends, by the names that
// health has for them.
var faultKinds = map[string]faultKind{
	"state": {
		section: "state",
		calls: []faultCall{
			{"GetState", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				_, err := loadState(ctx, cc, store)
				return err
			}, codes.Internal, "fail to get k from state store one: "},
			{"SaveState", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				return saveState(ctx, cc, store, "v")
			}, codes.Internal, "failed saving state in state store one: "},
			{"DeleteState", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				_, err := runtimev1.NewRuntimeClient(cc).DeleteState(ctx, &runtimev1.DeleteStateRequest{StoreName: store, Key: "k"})
				return err
			}, codes.Internal, "failed deleting state with key k: "},
			{"DeleteBulkState", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				_, err := runtimev1.NewRuntimeClient(cc).DeleteBulkState(ctx, &runtimev1.DeleteBulkStateRequest{StoreName: store, States: []*runtimev1.StateItem{{Key: "k"}}})
				return err
			}, codes.Unknown, "failed deleting states in state store one: "},
		},
		save: saveState, load: loadState,
	},
	"pubsub": {
		section: "pub_subs",
		calls: []faultCall{{"PublishEvent", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
			return publish(ctx, cc, store, "v")
		}, codes.Internal, "error when publish to topic topic in pubsub one: "}},
		save: publish,
	},
	"lock": {
		section: "lock", denied: codes.Unknown, noRoom: codes.Unknown,
		calls: []faultCall{
			{"TryLock", tryLock, codes.Unavailable, ""},
			{"Unlock", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				_, err := runtimev1.NewRuntimeClient(cc).Unlock(ctx, &runtimev1.UnlockRequest{StoreName: store, ResourceId: "r", LockOwner: "nobody"})
				return err
			}, codes.Unavailable, ""},
			{"LockKeepAlive", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				_, err := runtimev1.NewRuntimeClient(cc).LockKeepAlive(ctx, &runtimev1.LockKeepAliveRequest{StoreName: store, ResourceId: "r", LockOwner: "nobody", Expire: 5})
				return err
			}, codes.Unavailable, ""},
		},
		save: func(ctx context.Context, cc grpc.ClientConnInterface, store, value string) error {
			resp, err := runtimev1.NewRuntimeClient(cc).TryLock(ctx, &runtimev1.TryLockRequest{StoreName: store, ResourceId: value, LockOwner: "me", Expire: 60})
			if err == nil && !resp.GetSuccess() {
				return fmt.Errorf("the lock %q is taken", value)
			}
			return err
		},
	},
	"sequencer": {
		section: "sequencer", denied: codes.Unknown, noRoom: codes.Unknown,
		calls: []faultCall{{"GetNextId", nextID, codes.Unavailable, ""}},
		save: func(ctx context.Context, cc grpc.ClientConnInterface, store, _ string) error {
			return nextID(ctx, cc, store)
		},
	},
	"configuration": {
		section: "config_store",
		calls: []faultCall{{"GetConfiguration", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
			_, err := loadConfiguration(ctx, cc, store)
			return err
		}, codes.Unknown, "get configuration failed with error: "}},
		save: saveConfiguration, load: loadConfiguration,
	},
	"binding": {
		section: "bindings",
		calls: []faultCall{{"InvokeBinding", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
			_, err := runtimev1.NewRuntimeClient(cc).InvokeBinding(ctx, &runtimev1.InvokeBindingRequest{
				Name: store, Operation: "get", Metadata: map[string]string{"key": "k", "fileName": "f"},
			})
			return err
		}, codes.Internal, "error when invoke output binding one: "}},
		save: func(ctx context.Context, cc grpc.ClientConnInterface, store, value string) error {
			_, err := runtimev1.NewRuntimeClient(cc).InvokeBinding(ctx, &runtimev1.InvokeBindingRequest{
				Name: store, Operation: "create", Data: []byte(value), Metadata: map[string]string{"key": "b"},
			})
			return err
		},
	},
	"secret": {
		section: "secret_store",
		calls: []faultCall{
			{"GetSecret", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				_, err := runtimev1.NewRuntimeClient(cc).GetSecret(ctx, &runtimev1.GetSecretRequest{StoreName: store, Key: "a"})
				return err
			}, codes.Internal, "failed getting secret with key a from secret store one: "},
			{"GetBulkSecret", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				_, err := runtimev1.NewRuntimeClient(cc).GetBulkSecret(ctx, &runtimev1.GetBulkSecretRequest{StoreName: store})
				return err
			}, codes.Internal, "failed getting secrets from secret store one: "},
		},
	},
	"file": {
		section: "file",
		denied:  codes.PermissionDenied, noRoom: codes.ResourceExhausted,
		calls: []faultCall{
			{"GetFile", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				_, err := loadFile(ctx, cc, store)
				return err
			}, codes.Internal, ""},
			{"PutFile", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				return saveFile(ctx, cc, store, "v")
			}, codes.Internal, ""},
			{"ListFile", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				_, err := runtimev1.NewRuntimeClient(cc).ListFile(ctx, &runtimev1.ListFileRequest{Request: &runtimev1.FileRequest{StoreName: store, Name: "bucket"}})
				return err
			}, codes.Internal, ""},
		},
		save: saveFile, load: loadFile,
	},
	"objectstore": {
		section: "oss",
		denied:  codes.PermissionDenied, noRoom: codes.ResourceExhausted,
		calls: []faultCall{
			{"GetObject", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				_, err := loadObject(ctx, cc, store)
				return err
			}, codes.Internal, ""},
			{"PutObject", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				return saveObject(ctx, cc, store, "v")
			}, codes.Internal, ""},
			{"ListObjects", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				_, err := s3v1.NewObjectStorageServiceClient(cc).ListObjects(ctx, &s3v1.ListObjectsInput{StoreName: store, Bucket: "bucket"})
				return err
			}, codes.Internal, ""},
		},
		save: saveObject, load: loadObject,
	},
	"cryption": {
		section: "cryption",
		calls: []faultCall{
			{"Encrypt", func(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
				_, err := cryptionv1.NewCryptionServiceClient(cc).Encrypt(ctx, &cryptionv1.EncryptRequest{ComponentName: store, PlainText: []byte("x")})
				return err
			}, codes.Internal, ""},
		},
	},
}

func saveState(ctx context.Context, cc grpc.ClientConnInterface, store, value string) error {
	_, err := runtimev1.NewRuntimeClient(cc).SaveState(ctx, &runtimev1.SaveStateRequest{StoreName: store, States: []*runtimev1.StateItem{{Key: "k", Value: []byte(value)}}})
	return err
}

func loadState(ctx context.Context, cc grpc.ClientConnInterface, store string) (string, error) {
	resp, err := runtimev1.NewRuntimeClient(cc).GetState(ctx, &runtimev1.GetStateRequest{StoreName: store, Key: "k"})
	return string(resp.GetData()), err
}

func publish(ctx context.Context, cc grpc.ClientConnInterface, store, value string) error {
	_, err := runtimev1.NewRuntimeClient(cc).PublishEvent(ctx, &runtimev1.PublishEventRequest{PubsubName: store, Topic: "topic", Data: []byte(value)})
	return err
}

func tryLock(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
	_, err := runtimev1.NewRuntimeClient(cc).TryLock(ctx, &runtimev1.TryLockRequest{StoreName: store, ResourceId: "r", LockOwner: "me", Expire: 5})
	return err
}

func nextID(ctx context.Context, cc grpc.ClientConnInterface, store string) error {
	_, err := runtimev1.NewRuntimeClient(cc).GetNextId(ctx, &runtimev1.GetNextIdRequest{
		StoreName: store, Key: "k", Options: &runtimev1.SequencerOptions{Increment: runtimev1.SequencerOptions_STRONG},
	})
	return err
}

func saveConfiguration(ctx context.Context, cc grpc.ClientConnInterface, store, value string) error {
	_, err := runtimev1.NewRuntimeClient(cc).SaveConfiguration(ctx, &runtimev1.SaveConfigurationRequest{
		StoreName: store, AppId: "app", Items: []*runtimev1.ConfigurationItem{{Key: "k", Content: value}},
	})
	return err
}

func loadConfiguration(ctx context.Context, cc grpc.ClientConnInterface, store string) (string, error) {
	resp, err := runtimev1.NewRuntimeClient(cc).GetConfiguration(ctx, &runtimev1.GetConfigurationRequest{StoreName: store, AppId: "app", Keys: []string{"k"}})
	if err != nil || len(resp.GetItems()) == 0 {
		return "", err
	}
	return resp.GetItems()[0].GetContent(), nil
}

func saveFile(ctx context.Context, cc grpc.ClientConnInterface, store, value string) error {
	put, err := runtimev1.NewRuntimeClient(cc).PutFile(ctx)
	if err != nil {
		return err
	}
	const piece = 32 << 10
	first := &runtimev1.PutFileRequest{StoreName: store, Name: "bucket/k", Metadata: map[string]string{"FileMode": "420", "FileFlag": "578"}}
	for m := first; ; m = new(runtimev1.PutFileRequest) {
		n := min(piece, len(value))
		m.Data, value = []byte(value[:n]), value[n:]
		if err := put.Send(m); err != nil {
			break // CloseAndRecv says why
		}
		if value == "" {
			break
		}
	}
	_, err = put.CloseAndRecv()
	return err
}

func loadFile(ctx context.Context, cc grpc.ClientConnInterface, store string) (string, error) {
	get, err := runtimev1.NewRuntimeClient(cc).GetFile(ctx, &runtimev1.GetFileRequest{StoreName: store, Name: "bucket/k"})
	if err != nil {
		return "", err
	}
	return all(func() ([]byte, error) { m, err := get.Recv(); return m.GetData(), err })
}

func saveObject(ctx context.Context, cc grpc.ClientConnInterface, store, value string) error {
	put, err := s3v1.NewObjectStorageServiceClient(cc).PutObject(ctx)
	if err != nil {
		return err
	}
	const piece = 32 << 10
	first := &s3v1.PutObjectInput{StoreName: store, Bucket: "bucket", Key: "k", ContentLength: int64(len(value))}
	for m := first; ; m = new(s3v1.PutObjectInput) {
		n := min(piece, len(value))
		m.Body, value = []byte(value[:n]), value[n:]
		if err := put.Send(m); err != nil {
			break // CloseAndRecv says why
		}
		if value == "" {
			break
		}
	}
	_, err = put.CloseAndRecv()
	return err
}

func loadObject(ctx context.Context, cc grpc.ClientConnInterface, store string) (string, error) {
	get, err := s3v1.NewObjectStorageServiceClient(cc).GetObject(ctx, &s3v1.GetObjectInput{StoreName: store, Bucket: "bucket", Key: "k"})
	if err != nil {
		return "", err
	}
	return all(func() ([]byte, error) { m, err := get.Recv(); return m.GetBody(), err })
}

// A listener hears the events of a topic, or the changes of a configuration key.
type listener struct {
	mu    sync.Mutex
	heard map[string]bool
	err   error
}

func (l *listener) hear(value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard[value] = true
}

// missing tells which of the values were not heard.
func (l *listener) missing(values []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range values {
		if !l.heard[v] {
			return fmt.Errorf("%q was not heard; the stream's error is %w", v, l.err)
		}
	}
	return nil
}

func (l *listener) listen(recv func() error) {
	for {
		if err := recv(); err != nil {
			l.mu.Lock()
			l.err = err
			l.mu.Unlock()
			return
		}
	}
}

// subscribeTopic listens to a topic on a stream, and takes every event.
func subscribeTopic(ctx context.Context, t *testing.T, cc grpc.ClientConnInterface, store string) *listener {
	t.Helper()
	first := &runtimev1.SubscribeTopicEventsRequestInitial{PubsubName: store, Topic: "topic"}
	return subscribeAnswering(ctx, t, cc, first, runtimev1.TopicEventResponse_SUCCESS)
}

// subscribeAnswering listens as first asks for, and answers each event with status.
func subscribeAnswering(ctx context.Context, t *testing.T, cc grpc.ClientConnInterface, first *runtimev1.SubscribeTopicEventsRequestInitial,
	status runtimev1.TopicEventResponse_TopicEventResponseStatus,
) *listener {
	t.Helper()
	stream, err := runtimev1.NewRuntimeClient(cc).SubscribeTopicEvents(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&runtimev1.SubscribeTopicEventsRequest{SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequest_InitialRequest{
		InitialRequest: first,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatalf("subscribing: %v", err)
	}
	l := &listener{heard: map[string]bool{}}
	go l.listen(func() error {
		m, err := stream.Recv()
		if err != nil || m.GetEventMessage() == nil {
			return err
		}
		l.hear(string(m.GetEventMessage().GetData()))
		return stream.Send(&runtimev1.SubscribeTopicEventsRequest{SubscribeTopicEventsRequestType: &runtimev1.SubscribeTopicEventsRequest_EventProcessed{
			EventProcessed: &runtimev1.SubscribeTopicEventsRequestProcessed{Id: m.GetEventMessage().GetId(), Status: &runtimev1.TopicEventResponse{Status: status}},
		}})
	})
	return l
}

// subscribeConfiguration listens to the changes of the key k.
func subscribeConfiguration(ctx context.Context, t *testing.T, cc grpc.ClientConnInterface, store string) *listener {
	t.Helper()
	stream, err := runtimev1.NewRuntimeClient(cc).SubscribeConfiguration(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&runtimev1.SubscribeConfigurationRequest{StoreName: store, AppId: "app", Keys: []string{"k"}}); err != nil {
		t.Fatal(err)
	}
	l := &listener{heard: map[string]bool{}}
	go l.listen(func() error {
		m, err := stream.Recv()
		for _, item := range m.GetItems() {
			l.hear(item.GetContent())
		}
		return err
	})
	return l
}

// values are n texts that begin with prefix.
func values(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = prefix + strconv.Itoa(i)
	}
	return all
}

// eventually calls f until it returns nil, each time with a context of twenty
// seconds; the test ends when it does not within the limit.
func eventually(t *testing.T, limit time.Duration, what string, f func(ctx context.Context) error) {
	t.Helper()
	testserver.Eventually(t, limit, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := f(ctx); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// all reads a stream to its end.
func all(recv func() ([]byte, error)) (string, error) {
	var data []byte
	for {
		piece, err := recv()
		if errors.Is(err, io.EOF) {
			return string(data), nil
		}
		if err != nil {
			return "", err
		}
		data = append(data, piece...)
	}
}
