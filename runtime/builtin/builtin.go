// Package builtin is the list of what ships: protocols, balancers, filters and
// the backends of every kind of component. It is the only package that knows
// them; adding one is adding a line here.
package builtin

import (
	"context"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/hello"
	"github.com/ottavo-runtime/ottavo/components/hello/greeting"
	"github.com/ottavo-runtime/ottavo/components/rpc"
	"github.com/ottavo-runtime/ottavo/components/rpc/mesh"
	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/filter"
	"github.com/ottavo-runtime/ottavo/proxy/filter/dsl"
	"github.com/ottavo-runtime/ottavo/proxy/filter/dubbostream"
	"github.com/ottavo-runtime/ottavo/proxy/filter/fault"
	"github.com/ottavo-runtime/ottavo/proxy/filter/faulttolerance"
	"github.com/ottavo-runtime/ottavo/proxy/filter/headertometadata"
	"github.com/ottavo-runtime/ottavo/proxy/filter/mirror"
	"github.com/ottavo-runtime/ottavo/proxy/filter/transcoder"
	"github.com/ottavo-runtime/ottavo/proxy/filter/unable"
	"github.com/ottavo-runtime/ottavo/proxy/protocol"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/bolt"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbo"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/dubbothrift"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http1"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/http2"
	"github.com/ottavo-runtime/ottavo/proxy/protocol/tars"
	"github.com/ottavo-runtime/ottavo/proxy/router"
	"github.com/ottavo-runtime/ottavo/runtime"
)

// Tables returns everything that is built in.
func Tables() runtime.Tables {
	return runtime.Tables{
		Protocols: []protocol.Protocol{
			http1.Protocol{},
			http2.Protocol{},
			bolt.New(bolt.V1(), frame.Options{}), bolt.New(bolt.V2(), frame.Options{}), tars.New(frame.Options{}),
			frame.New(dubbo.Codec{}, frame.Options{}), frame.New(dubbothrift.Codec{}, frame.Options{}),
		},
		Balancers: lb.Builtin(),
		Choosers:  router.BuiltinChoosers(),
		Filters: append([]filter.Spec{
			{Name: dsl.Name, Make: dsl.Make},
			fault.Spec(), faulttolerance.Spec(), headertometadata.Spec(), mirror.Spec(),
			dubbostream.Spec(), transcoder.Spec(transcoder.Builtin()...),
		}, unable.Specs()...),
		Hellos: []components.Row[hello.Greeter]{
			{Type: "helloworld", Doc: "greets with the text of `hello`", Metadata: &struct{}{}, New: greeting.New},
		},
		States:         states(),
		Secrets:        secrets(),
		Configurations: configurations(),
		Bindings:       bindings(),
		Brokers:        withDelays(brokers()),
		Files:          files(),
		ObjectStores:   objectStores(),
		Locks:          locks(),
		Sequencers:     sequencers(),
		Ciphers:        ciphers(),
		EmailSenders:   emailSenders(),
		PhoneCallers:   phoneCallers(),
		SMSSenders:     smsSenders(),
		Invokers: []runtime.Invoker{{
			Type: mesh.Type, Doc: "calls services through the proxy core", Metadata: ptr(mesh.Defaults()),
			Check: func(cfg components.Config) error { return mesh.Check(cfg, mesh.Callbacks()...) },
			New: func(_ context.Context, _ components.Env, cfg components.Config, open runtime.OpenChannel) (rpc.Invoker, error) {
				return mesh.New(cfg, mesh.Open(open), mesh.Callbacks()...)
			},
		}},
	}
}

func ptr[T any](v T) *T { return &v }
