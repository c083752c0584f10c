package pluggable

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

const (
	// discoverTimeout is how long all sockets together may take to tell what they serve.
	discoverTimeout = 5 * time.Second
	// maxSockets is how many sockets of a folder are asked, and maxAtOnce how many at a time.
	maxSockets = 1024
	maxAtOnce  = 64
)

// folders are where sockets are looked for: by default, and the environment
// variables that say otherwise, the first one that is set counts.
var folders = [...]struct {
	path string
	envs []string
}{
	// The second name is a mistake that Layotto's documentation makes.
	{"/tmp/runtime/component-sockets", []string{"LAYOTTO_COMPONENTS_SOCKETS_FOLDER", "LAYOTTO_COMPONETS_SOCKETS_FOLDER"}},
	{"/tmp/dapr-components-sockets", []string{"DAPR_COMPONENTS_SOCKETS_FOLDER"}},
}

// Folder is where sockets are looked for.
type Folder struct {
	Path string
	// Env is the environment variable that named it; "" for a default.
	Env string
}

// Folders returns where sockets are looked for: Layotto's folder and Dapr's, or
// those that the environment names.
func Folders(lookupEnv func(string) (string, bool)) []Folder {
	var out []Folder
	for _, f := range folders {
		folder := Folder{Path: f.path}
		for _, env := range f.envs {
			if value, ok := lookupEnv(env); ok && value != "" {
				folder = Folder{Path: value, Env: env}
				break
			}
		}
		if !slices.ContainsFunc(out, func(o Folder) bool { return filepath.Clean(o.Path) == filepath.Clean(folder.Path) }) {
			out = append(out, folder)
		}
	}
	return out
}

// Socket is a socket whose process has told what it serves.
type Socket struct {
	// Path is the socket's file.
	Path string
	// Type is the name by which a configuration asks for its components: the
	// file's name without its extension.
	Type string
	// Services are the gRPC services, sorted.
	Services []string
}

func (s Socket) serves(service string) bool { return slices.Contains(s.Services, service) }

// Problem is a socket or a folder that gave nothing.
type Problem struct {
	Path string
	// Type is what the socket's components would be called; "" for a folder.
	Type string
	Err  error
}

// Discover asks all sockets in the folders what they serve, side by side, for at
// most five seconds. What cannot be asked is a Problem and keeps no other from being
// found. Both results are sorted by path. A folder by default need not be there.
func Discover(ctx context.Context, folders []Folder) ([]Socket, []Problem) {
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	var (
		mu       sync.Mutex
		found    []Socket
		problems []Problem
		asking   sync.WaitGroup
	)
	room := make(chan struct{}, maxAtOnce)
	for _, folder := range folders {
		paths, bad := socketsIn(folder)
		mu.Lock()
		problems = append(problems, bad...)
		mu.Unlock()
		for _, path := range paths {
			asking.Go(func() {
				s := Socket{Path: path, Type: typeOf(path)}
				var err error
				select {
				case room <- struct{}{}:
					s.Services, err = services(ctx, path)
					<-room
				case <-ctx.Done():
					err = ctx.Err()
				}
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					problems = append(problems, Problem{path, s.Type, err})
					return
				}
				found = append(found, s)
			})
		}
	}
	asking.Wait()
	slices.SortFunc(found, func(a, b Socket) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Path, b.Path) })
	return found, problems
}

// typeOf is the type that a socket's components have.
func typeOf(path string) string {
	name := filepath.Base(path)
	return strings.TrimSuffix(name, filepath.Ext(name))
}

// socketsIn lists the sockets of a folder.
func socketsIn(folder Folder) (paths []string, problems []Problem) {
	entries, err := os.ReadDir(folder.Path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && folder.Env == "" {
			return nil, nil
		}
		if folder.Env != "" {
			err = fmt.Errorf("%w (the environment variable %s names it)", err, folder.Env)
		}
		return nil, []Problem{{Path: folder.Path, Err: err}}
	}
	for _, e := range entries {
		path := filepath.Join(folder.Path, e.Name())
		info, err := os.Stat(path) // of what a link leads to
		switch {
		case err != nil:
			problems = append(problems, Problem{path, typeOf(path), err})
		case info.IsDir():
		case info.Mode()&fs.ModeSocket == 0:
			problems = append(problems, Problem{path, typeOf(path), errors.New("is no socket")})
		case typeOf(path) == "":
			problems = append(problems, Problem{path, "", errors.New("has no name before its extension, so its components have no type")})
		case len(paths) == maxSockets:
			return paths, append(problems, Problem{Path: folder.Path, Err: fmt.Errorf("has more than %d sockets; the others are left out", maxSockets)})
		default:
			paths = append(paths, path)
		}
	}
	return paths, problems
}

// services asks a socket's process what it serves.
func services(ctx context.Context, path string) ([]string, error) {
	s, err := dial(ctx, path, "")
	if err != nil {
		return nil, err
	}
	defer s.close()
	names, err := list(ctx, s.conn)
	if err == nil {
		return names, nil
	}
	switch status.Code(err) {
	case codes.Unimplemented:
		return nil, errors.New("its process has no gRPC server reflection, by which it would say what it serves")
	case codes.DeadlineExceeded:
		return nil, fmt.Errorf("its process did not say within %s what it serves", discoverTimeout)
	}
	return nil, fmt.Errorf("its process does not say what it serves: %s", status.Convert(err).Message())
}

// The methods of both versions of reflection, whose messages are the same.
const (
	reflection      = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
	reflectionAlpha = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
)

// list asks by both versions of reflection.
func list(ctx context.Context, conn grpc.ClientConnInterface) ([]string, error) {
	names, err := listBy(ctx, conn, reflection)
	if status.Code(err) == codes.Unimplemented {
		names, err = listBy(ctx, conn, reflectionAlpha)
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

func listBy(ctx context.Context, conn grpc.ClientConnInterface, method string) ([]string, error) {
	raw, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return nil, err
	}
	stream := &grpc.GenericClientStream[reflectionv1.ServerReflectionRequest, reflectionv1.ServerReflectionResponse]{ClientStream: raw}
	// An error of Send is io.EOF only; Recv has the reason.
	_ = stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{ListServices: "*"}})
	resp, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	_ = stream.CloseSend()
	var names []string
	for _, s := range resp.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	return names, nil
}

// reachable explains why a socket cannot be dialed.
func reachable(err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("nobody listens on the socket: start its process again, or remove the file")
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("the socket is gone: its process has ended")
	}
	return err
}
