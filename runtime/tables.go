package runtime

import (
	"context"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/cryption"
	"github.com/ottavo-runtime/ottavo/components/custom"
	"github.com/ottavo-runtime/ottavo/components/email"
	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/hello"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
	"github.com/ottavo-runtime/ottavo/components/phone"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/components/secret"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sms"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/router"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// Tables list what is built in.
type Tables struct {
	Protocols []protocol.Protocol
	Balancers []lb.Row
	// Choosers are the ways to choose among routes (router_handler_name), the default
	// first. None: the first route is taken.
	Choosers       []router.Chooser
	Filters        []filter.Spec
	Secrets        []components.Row[secret.Store]
	Configurations []components.Row[configuration.Store]
	// Customs are the rows of a user's own kinds, by kind.
	Customs      map[string][]components.Row[custom.Component]
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
	Invokers     []Invoker

	pluggables *pluggables // set by Discover
}

// Invoker is one type of rpc.Invoker.
type Invoker struct {
	// Type is the name by which a configuration asks for it.
	Type string
	// Doc says in one line what it is.
	Doc string
	// Metadata is a pointer to the struct that the settings are decoded into,
	// holding the defaults; it is only read.
	Metadata any
	// Check finds what is wrong with settings before anything is started; nil:
	// nothing that decoding them does not find. What it warns of, New does not.
	Check func(cfg components.Config) error
	// New makes one. open gives it its way into the proxy core.
	New func(ctx context.Context, env components.Env, cfg components.Config, open OpenChannel) (rpc.Invoker, error)
}

// OpenChannel opens a way into the proxy core: to a listener, by its name or
// as host:port, speaking a protocol, for at most size requests at a time (0: no
// limit). The handler is good until closeChannel is called.
type OpenChannel func(listener, protocol string, size int) (handler stream.Handler, closeChannel func(), err error)
