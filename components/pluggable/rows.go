package pluggable

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/cryption"
	"github.com/ottavo-runtime/ottavo/components/custom"
	"github.com/ottavo-runtime/ottavo/components/email"
	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/hello"
	"github.com/ottavo-runtime/ottavo/components/internal/settings"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
	"github.com/ottavo-runtime/ottavo/components/phone"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/secret"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sms"
	"github.com/ottavo-runtime/ottavo/components/state"
	daprv1 "github.com/ottavo-runtime/ottavo/spec/proto/dapr/components/v1"
	commonv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/common"
	componentv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/component"
	configurationv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/configuration"
	cryptionv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/cryption"
	customv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/custom"
	emailv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/email"
	filev1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/file"
	hellov1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/hello"
	lockv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/lock"
	objectstorev1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/objectstore"
	phonev1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/phone"
	sequencerv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/sequencer"
	smsv1 "github.com/ottavo-runtime/ottavo/spec/proto/pluggable/v1/sms"
)

// Rows are types of component, by kind. A type is there twice when two sockets
// offer it.
type Rows struct {
	Secrets        []components.Row[secret.Store]
	Configurations []components.Row[configuration.Store]
	// Customs are good for any of a user's own kinds.
	Customs      []components.Row[custom.Component]
	Hellos       []components.Row[hello.Greeter]
	States       []components.Row[state.Store]
	Bindings     []components.Row[binding.Binding]
	Brokers      []components.Row[pubsub.Broker]
	Files        []components.Row[file.Store]
	ObjectStores []components.Row[objectstore.Store]
	Locks        []components.Row[lock.Locker]
	Sequencers   []components.Row[sequencer.Sequencer]
	Ciphers      []components.Row[cryption.Cipher]
	EmailSenders []components.Row[email.Sender]
	PhoneCallers []components.Row[phone.Caller]
	SMSSenders   []components.Row[sms.Sender]
}

// RowsOf returns what a socket offers. known says that it offers anything that we
// know.
func RowsOf(s Socket) (rows Rows, known bool) {
	offer(&rows.Secrets, &known, s, newSecret, daprv1.SecretStore_ServiceDesc)
	offer(&rows.Configurations, &known, s, newConfiguration, configurationv1.Configuration_ServiceDesc)
	offer(&rows.Customs, &known, s, newCustom, customv1.Custom_ServiceDesc)
	offer(&rows.Hellos, &known, s, newHello, hellov1.Hello_ServiceDesc)
	offer(&rows.States, &known, s, newState, daprv1.StateStore_ServiceDesc)
	offer(&rows.Bindings, &known, s, newBinding, daprv1.InputBinding_ServiceDesc, daprv1.OutputBinding_ServiceDesc)
	offer(&rows.Brokers, &known, s, newBroker, daprv1.PubSub_ServiceDesc)
	offer(&rows.Files, &known, s, newFile, filev1.File_ServiceDesc)
	offer(&rows.ObjectStores, &known, s, newObjectStore, objectstorev1.ObjectStore_ServiceDesc)
	offer(&rows.Locks, &known, s, newLock, lockv1.Lock_ServiceDesc)
	offer(&rows.Sequencers, &known, s, newSequencer, sequencerv1.Sequencer_ServiceDesc)
	offer(&rows.Ciphers, &known, s, newCipher, cryptionv1.Cryption_ServiceDesc)
	offer(&rows.EmailSenders, &known, s, newEmail, emailv1.Email_ServiceDesc)
	offer(&rows.PhoneCallers, &known, s, newPhone, phonev1.Phone_ServiceDesc)
	offer(&rows.SMSSenders, &known, s, newSMS, smsv1.Sms_ServiceDesc)
	return rows, known
}

// Doc is what a row says that a socket has offered.
func Doc(s Socket) string { return "a process of its own, at " + s.Path }

// maker makes a component over a link that is not connected yet; it sets start and
// ping, and connects.
type maker[T any] func(ctx context.Context, l *link, s Socket, env components.Env, cfg components.Config) (T, error)

// offer adds a row if the socket serves one of the services.
func offer[T any](rows *[]components.Row[T], known *bool, s Socket, make maker[T], services ...grpc.ServiceDesc) {
	for _, service := range services {
		if !s.serves(service.ServiceName) {
			continue
		}
		*known = true
		*rows = append(*rows, components.Row[T]{
			Type: s.Type, Doc: Doc(s),
			New: func(ctx context.Context, env components.Env, cfg components.Config) (T, error) {
				return make(ctx, newLink(ctx, s, env, cfg), s, env, cfg)
			},
		})
		return
	}
}

// startDapr initialises one of Dapr's services, whose messages for that are alike.
func startDapr(ctx context.Context, conn grpc.ClientConnInterface, service grpc.ServiceDesc, cfg components.Config) error {
	req := &daprv1.InitRequest{Metadata: &daprv1.MetadataRequest{Properties: settings.Texts(cfg.Metadata)}}
	return conn.Invoke(ctx, "/"+service.ServiceName+"/Init", req, new(daprv1.InitResponse), grpc.StaticMethod())
}

// featuresOf asks one of Dapr's services what it can do. One that does not say can nothing.
func featuresOf(ctx context.Context, conn grpc.ClientConnInterface, service grpc.ServiceDesc) ([]string, error) {
	resp := new(daprv1.FeaturesResponse)
	err := conn.Invoke(ctx, "/"+service.ServiceName+"/Features", new(daprv1.FeaturesRequest), resp, grpc.StaticMethod())
	if unimplemented(err) {
		return nil, nil
	}
	return resp.GetFeatures(), err
}

// pingDapr returns what pings one of Dapr's services.
func (l *link) pingDapr(service grpc.ServiceDesc) func(context.Context) error {
	return func(ctx context.Context) error {
		return l.Invoke(ctx, "/"+service.ServiceName+"/Ping", new(daprv1.PingRequest), new(daprv1.PingResponse), grpc.StaticMethod())
	}
}

// startOwn sets how one of our services is initialised and pinged, and connects.
// said is called with each answer.
func (l *link) startOwn(ctx context.Context, service grpc.ServiceDesc, kind string, env components.Env, cfg components.Config, said func(*componentv1.InitResponse)) error {
	l.start = func(ctx context.Context, conn grpc.ClientConnInterface) error {
		req := &componentv1.InitRequest{
			Config: references(cfg), Type: cfg.Type, Name: cfg.Name, Metadata: settings.Texts(cfg.Metadata), AppId: env.AppID, Kind: kind,
		}
		resp := new(componentv1.InitResponse)
		err := conn.Invoke(ctx, "/"+service.ServiceName+"/Init", req, resp, grpc.StaticMethod())
		if err == nil && said != nil {
			said(resp)
		}
		return err
	}
	l.ping = func(ctx context.Context) error {
		return l.Invoke(ctx, "/"+service.ServiceName+"/Ping", new(emptypb.Empty), new(emptypb.Empty), grpc.StaticMethod())
	}
	return l.connect(ctx)
}

// references are a component's references as its process is told them.
func references(cfg components.Config) *commonv1.Config {
	out := &commonv1.Config{ComponentRef: &commonv1.ComponentRefConfig{SecretStore: cfg.Refs.SecretStore, ConfigStore: cfg.Refs.ConfigStore}}
	for _, ref := range cfg.Refs.Secrets {
		out.SecretRef = append(out.SecretRef, &commonv1.SecretRefConfig{StoreName: ref.StoreName, Key: ref.Key, SubKey: ref.SubKey, InjectAs: ref.InjectAs})
	}
	return out
}
