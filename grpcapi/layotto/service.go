package layotto

import (
	"google.golang.org/grpc"

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

// runtimeServer answers the methods of spec.proto.runtime.v1.Runtime; the embedded
// type is there for the interface only, and a test sees that nothing is left to it.
type runtimeServer struct {
	runtimev1.UnimplementedRuntimeServer
	Config
	fileChunks *chunks
}

// Register registers all services of the API.
func (a *API) Register(r grpc.ServiceRegistrar) {
	runtimev1.RegisterRuntimeServer(r, &runtimeServer{Config: a.cfg, fileChunks: newChunks(fileChunk)})
	runtimev1.RegisterLifecycleServer(r, &lifecycleServer{lifecycle: a.cfg.Lifecycle})
	s3v1.RegisterObjectStorageServiceServer(r, &objectServer{objects: a.cfg.Objects, chunks: newChunks(objectChunk)})
	cryptionv1.RegisterCryptionServiceServer(r, &cryptionServer{cryption: a.cfg.Cryption})
	delayqueuev1.RegisterDelayQueueServer(r, &delayQueueServer{pubsub: a.cfg.PubSub})
	emailv1.RegisterEmailServiceServer(r, &emailServer{email: a.cfg.Email})
	phonev1.RegisterPhoneCallServiceServer(r, &phoneServer{phone: a.cfg.Phone})
	smsv1.RegisterSmsServiceServer(r, &smsServer{sms: a.cfg.SMS})
}
