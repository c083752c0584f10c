package grpcapi

import (
	"fmt"
	"reflect"
	"slices"

	"google.golang.org/grpc"
)

// registrar registers services with the guard around each of their methods. It
// finds the mistakes for which gRPC would end the process.
type registrar struct {
	server *grpc.Server
	guard  *guard
	// around, if not nil, is put around streams, inside of the guard.
	around func(grpc.StreamHandler) grpc.StreamHandler
	names  []string
	errs   []error
}

// RegisterService implements grpc.ServiceRegistrar.
func (r *registrar) RegisterService(desc *grpc.ServiceDesc, impl any) {
	if slices.Contains(r.names, desc.ServiceName) {
		r.errs = append(r.errs, fmt.Errorf("grpcapi: the service %s is registered twice: list it once", desc.ServiceName))
		return
	}
	if impl != nil {
		if want := reflect.TypeOf(desc.HandlerType).Elem(); !reflect.TypeOf(impl).Implements(want) {
			r.errs = append(r.errs, fmt.Errorf("grpcapi: the service %s is registered with a %T, which is no %s", desc.ServiceName, impl, want))
			return
		}
	}
	r.names = append(r.names, desc.ServiceName)

	d := *desc
	d.Methods = slices.Clone(d.Methods)
	for i := range d.Methods {
		m := &d.Methods[i]
		m.Handler = r.guard.unary("/"+d.ServiceName+"/"+m.MethodName, m.Handler)
	}
	d.Streams = slices.Clone(d.Streams)
	for i := range d.Streams {
		s := &d.Streams[i]
		if r.around != nil {
			s.Handler = r.around(s.Handler)
		}
		s.Handler = r.guard.streaming("/"+d.ServiceName+"/"+s.StreamName, *s)
	}
	r.server.RegisterService(&d, impl)
}

// GetServiceInfo is for server reflection.
func (r *registrar) GetServiceInfo() map[string]grpc.ServiceInfo { return r.server.GetServiceInfo() }
