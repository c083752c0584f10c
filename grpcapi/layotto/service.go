package layotto

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/grpcapi/capability"
	cryptionv1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/cryption"
	delayqueuev1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/delay_queue"
	emailv1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/email"
	phonev1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/phone"
	s3v1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/s3"
	smsv1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/sms"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// Config is what the API serves from. A nil capability has no components: its
// methods answer as if none were configured.
type Config struct {
	Hello         *capability.Hello
	RPC           *capability.RPC
	Configuration *capability.Configuration
	Lock          *capability.Lock
	Sequencer     *capability.Sequencer
	State         *capability.State
	PubSub        *capability.PubSub
	File          *capability.File
	Binding       *capability.Binding
	Secret        *capability.Secret
	Lifecycle     *capability.Lifecycle
	Objects       *capability.Objects
	Cryption      *capability.Cryption
	Email         *capability.Email
	Phone         *capability.Phone
	SMS           *capability.SMS
}

// API is Layotto's whole API. It implements grpcapi.Service.
type API struct {
	cfg Config
}

// New makes the API.
func New(cfg Config) *API { return &API{cfg: cfg} }

// runtimeServer answers the methods of spec.proto.runtime.v1.Runtime that are in
// built; the embedded type is there for the interface only.
type runtimeServer struct {
	runtimev1.UnimplementedRuntimeServer
	Config
	fileChunks *chunks
}

// built are the methods of Runtime that this build has.
var built = []string{
	"SayHello", "InvokeService",
	"InvokeBinding", "GetSecret", "GetBulkSecret",
	"GetConfiguration", "SaveConfiguration", "DeleteConfiguration", "SubscribeConfiguration",
	"PublishEvent", "SubscribeTopicEvents",
	"GetState", "GetBulkState", "SaveState", "DeleteState", "DeleteBulkState", "ExecuteStateTransaction",
	"GetFile", "PutFile", "ListFile", "DelFile", "GetFileMeta",
	"TryLock", "Unlock", "LockKeepAlive", "GetNextId",
}

// Register registers all services of the API, complete or not, so that
// reflection shows the whole of it.
func (a *API) Register(r grpc.ServiceRegistrar) {
	register(r, &runtimev1.Runtime_ServiceDesc, &runtimeServer{Config: a.cfg, fileChunks: newChunks(fileChunk)}, built)
	register(r, &runtimev1.Lifecycle_ServiceDesc, &lifecycleServer{lifecycle: a.cfg.Lifecycle}, nil)
	register(r, &s3v1.ObjectStorageService_ServiceDesc, &objectServer{objects: a.cfg.Objects, chunks: newChunks(objectChunk)}, objectMethods)
	register(r, &cryptionv1.CryptionService_ServiceDesc, &cryptionServer{cryption: a.cfg.Cryption}, nil)
	register(r, &delayqueuev1.DelayQueue_ServiceDesc, &delayQueueServer{pubsub: a.cfg.PubSub}, []string{"PublishDelayMessage"})
	register(r, &emailv1.EmailService_ServiceDesc, &emailServer{email: a.cfg.Email}, nil)
	register(r, &phonev1.PhoneCallService_ServiceDesc, &phoneServer{phone: a.cfg.Phone}, nil)
	register(r, &smsv1.SmsService_ServiceDesc, &smsServer{sms: a.cfg.SMS}, nil)
}

// register registers a service of which only the built methods are there; the
// others say so. With an implementation and no list, all are there.
func register(r grpc.ServiceRegistrar, desc *grpc.ServiceDesc, impl any, built []string) {
	if impl != nil && built == nil {
		r.RegisterService(desc, impl)
		return
	}
	d := *desc
	d.Methods = slices.Clone(d.Methods)
	for i := range d.Methods {
		if m := &d.Methods[i]; !slices.Contains(built, m.MethodName) {
			err := notBuilt(d.ServiceName, m.MethodName)
			m.Handler = func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
				return nil, err
			}
		}
	}
	d.Streams = slices.Clone(d.Streams)
	for i := range d.Streams {
		if s := &d.Streams[i]; !slices.Contains(built, s.StreamName) {
			err := notBuilt(d.ServiceName, s.StreamName)
			s.Handler = func(any, grpc.ServerStream) error { return err }
		}
	}
	r.RegisterService(&d, impl)
}

func notBuilt(service, method string) error {
	return status.Errorf(codes.Unimplemented, "/%s/%s: this build does not have this method yet", service, method)
}
