package grpccall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	// Messages that an Any or an error may hold although no server mentions them
	// when it describes its methods.
	_ "google.golang.org/genproto/googleapis/rpc/errdetails"
	_ "google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/emptypb"
	_ "google.golang.org/protobuf/types/known/fieldmaskpb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"
	_ "google.golang.org/protobuf/types/known/wrapperspb"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// maxFiles bounds the files in which a server may describe itself.
const maxFiles = 10_000

// reflectionMethods are the versions of server reflection, the better one first.
// Their messages are the same on the wire.
var reflectionMethods = []string{
	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
}

// descriptors is what is known of the server so far.
type descriptors struct {
	services []string                                     // nil: not asked yet
	raw      map[string]*descriptorpb.FileDescriptorProto // by file name
	files    *protoregistry.Files
}

func newDescriptors() *descriptors {
	return &descriptors{raw: make(map[string]*descriptorpb.FileDescriptorProto), files: new(protoregistry.Files)}
}

// Services returns the full names of the server's services, sorted.
func (c *Client) Services(ctx context.Context) ([]string, error) {
	if c.server.services == nil {
		var services []string
		err := c.reflect(ctx, func(ask asker) error {
			resp, err := ask(&reflection.ServerReflectionRequest{
				MessageRequest: &reflection.ServerReflectionRequest_ListServices{ListServices: "*"},
			})
			if err != nil {
				return err
			}
			for _, s := range resp.GetListServicesResponse().GetService() {
				services = append(services, s.GetName())
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		slices.Sort(services)
		c.server.services = append([]string{}, services...)
	}
	return slices.Clone(c.server.services), nil
}

// find returns the descriptor of a service or message by its full name, nil if
// the server knows none.
func (c *Client) find(ctx context.Context, name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d, err := c.server.files.FindDescriptorByName(name); err == nil {
		return d, nil
	}
	err := c.reflect(ctx, func(ask asker) error {
		resp, err := ask(&reflection.ServerReflectionRequest{
			MessageRequest: &reflection.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: string(name)},
		})
		if err != nil {
			return err
		}
		return c.server.load(resp, ask)
	})
	if status.Code(err) == codes.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking the server what %s is: %w", name, err)
	}
	d, err := c.server.files.FindDescriptorByName(name)
	if err != nil {
		return nil, fmt.Errorf("the server's description of %s does not contain it", name)
	}
	return d, nil
}

// load takes files from an answer, and asks for those that they import.
func (d *descriptors) load(resp *reflection.ServerReflectionResponse, ask asker) error {
	todo, err := d.add(resp)
	if err != nil {
		return err
	}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if d.raw[name] != nil {
			continue
		}
		resp, err := ask(&reflection.ServerReflectionRequest{
			MessageRequest: &reflection.ServerReflectionRequest_FileByFilename{FileByFilename: name},
		})
		if status.Code(err) == codes.NotFound {
			continue // what needs it becomes a placeholder
		}
		if err != nil {
			return err
		}
		more, err := d.add(resp)
		if err != nil {
			return err
		}
		todo = append(todo, more...)
	}
	set := &descriptorpb.FileDescriptorSet{}
	for _, f := range d.raw {
		set.File = append(set.File, f)
	}
	files, err := protodesc.FileOptions{AllowUnresolvable: true}.NewFiles(set)
	if err != nil {
		return fmt.Errorf("the server's descriptions do not fit together: %w", err)
	}
	d.files = files
	return nil
}

// add takes the files of an answer and returns the names of their imports.
func (d *descriptors) add(resp *reflection.ServerReflectionResponse) (imports []string, err error) {
	files := resp.GetFileDescriptorResponse().GetFileDescriptorProto()
	if len(d.raw)+len(files) > maxFiles {
		return nil, fmt.Errorf("the server describes itself in more than %d files", maxFiles)
	}
	for _, data := range files {
		f := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(data, f); err != nil {
			return nil, fmt.Errorf("a description that the server sent is malformed: %w", err)
		}
		if d.raw[f.GetName()] == nil {
			d.raw[f.GetName()] = f
			imports = append(imports, f.GetDependency()...)
		}
	}
	return imports, nil
}

// An asker asks the server one question about itself. An answer that is an error
// becomes an error with that code.
type asker func(*reflection.ServerReflectionRequest) (*reflection.ServerReflectionResponse, error)

// reflect lets ask questions on one reflection stream, of the newest version that
// the server has.
func (c *Client) reflect(ctx context.Context, questions func(asker) error) error {
	var err error
	for _, method := range reflectionMethods {
		if err = c.reflectBy(ctx, method, questions); status.Code(err) != codes.Unimplemented {
			break
		}
	}
	return c.unreachable(err)
}

func (c *Client) reflectBy(ctx context.Context, method string, questions func(asker) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errCallEnded)
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	return questions(func(req *reflection.ServerReflectionRequest) (*reflection.ServerReflectionResponse, error) {
		// io.EOF says that the stream has ended; RecvMsg knows why.
		if err := stream.SendMsg(req); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		resp := &reflection.ServerReflectionResponse{}
		if err := stream.RecvMsg(resp); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, errors.New("the server ended the reflection without an answer")
			}
			return nil, err
		}
		if e := resp.GetErrorResponse(); e != nil {
			code := codes.Code(e.GetErrorCode()) //nolint:gosec // any number is a code
			return nil, status.Error(code, e.GetErrorMessage())
		}
		return resp, nil
	})
}

// resolver finds message types by name: first the server's, then those compiled
// into this program. It is what protojson and the printer ask about the content
// of an Any.
type resolver struct{ server *dynamicpb.Types }

func (c *Client) resolver() resolver { return resolver{dynamicpb.NewTypes(c.server.files)} }

func (r resolver) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	if t, err := r.server.FindMessageByName(name); err == nil {
		return t, nil
	}
	return protoregistry.GlobalTypes.FindMessageByName(name)
}

func (r resolver) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	if t, err := r.server.FindMessageByURL(url); err == nil {
		return t, nil
	}
	return protoregistry.GlobalTypes.FindMessageByURL(url)
}

func (r resolver) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return r.server.FindExtensionByName(name)
}

func (r resolver) FindExtensionByNumber(message protoreflect.FullName, n protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	return r.server.FindExtensionByNumber(message, n)
}
