package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/metadata"

	"github.com/ottavo-runtime/ottavo/cmd/cli/grpccall"
	"github.com/ottavo-runtime/ottavo/runtime/config"
)

// callFlags are the flags of call.
type callFlags struct {
	data     string
	headers  []string
	address  string
	timeout  time.Duration
	size     string
	verbose  bool
	list     bool
	describe string
}

func (p *program) call() *cobra.Command {
	f := callFlags{data: "{}"}
	cmd := &cobra.Command{
		Use:   "call SERVICE/METHOD",
		Short: "Call a method of the API, or of any gRPC server with reflection",
		Long: `Calls a method of a gRPC server, the API of a running ottavo by default, and prints
the answer as JSON. What methods there are, the server says itself (reflection).
The end of a service's name is enough if no other service ends so.

The request is JSON as protobuf defines it; field names may be written serviceName
or service_name, and bytes are in base64. For methods that take a stream, -d may
hold any number of JSON documents; answers of a stream are printed one by one.

google.protobuf.Any: Layotto's API carries plain bytes in such fields (the data of
InvokeService). A JSON text stands for its bytes, and an object without "@type", or
a list, for its own JSON text. In answers, {"value": …} holds the bytes as a text,
or in base64 if they are no UTF-8.`,
		Example: `  ottavo call Runtime/SayHello -d '{"serviceName": "helloworld", "name": "eva"}'
  ottavo call Runtime/SaveState -d '{"storeName": "state_demo", "states": [{"key": "k", "value": "aGVsbG8="}]}'
  ottavo call Runtime/InvokeService -H 'rpc_request_timeout: 500' -d '{
    "id": "HelloService:1.0",
    "message": {"method": "/hello", "contentType": "application/json",
                "data": {"name": "eva"}, "httpExtension": {"verb": "POST"}}}'
  ottavo call Runtime/GetState -d @request.json
  echo '{"service": ""}' | ottavo call grpc.health.v1.Health/Check -d -
  ottavo call --list
  ottavo call --list Runtime
  ottavo call --describe Runtime/InvokeService`,
		Args: func(cmd *cobra.Command, args []string) error { return f.check(cmd, args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.runCall(cmd, f, append(args, "")[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.data, "data", "d", f.data, "the request: JSON `DOCUMENTS`, @FILE, or - for standard input")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "`'NAME: VALUE'` to send as metadata; may be repeated")
	flags.StringVar(&f.address, "address", config.DefaultListen, "where the server listens: `ADDRESS` is host:port or unix:/path")
	flags.DurationVar(&f.timeout, "timeout", 10*time.Second, "most time for everything; 0 is no limit")
	flags.StringVar(&f.size, "max-message-size", "64MiB", "largest message in both directions: `SIZE` in bytes, or with KiB, MiB")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print the answer's header and trailer, too (to standard error)")
	flags.BoolVar(&f.list, "list", false, "list the services, or the methods of the service named")
	flags.StringVar(&f.describe, "describe", "", "explain `NAME`: a method's request with an example, a service, a message")
	return cmd
}

func (f callFlags) check(cmd *cobra.Command, args []string) error {
	switch {
	case f.list && f.describe != "":
		return usage(cmd, errors.New("--list and --describe do not go together"))
	case f.list && len(args) > 1, f.describe != "" && len(args) > 0, len(args) > 1:
		return usage(cmd, fmt.Errorf("unexpected argument %q", args[len(args)-1]))
	case !f.list && f.describe == "" && len(args) == 0:
		return usage(cmd, errors.New("name the method to call, like Runtime/SayHello; --list shows what there is"))
	case f.timeout < 0:
		return usage(cmd, fmt.Errorf("--timeout %s is less than nothing", f.timeout))
	}
	return nil
}

func (p *program) runCall(cmd *cobra.Command, f callFlags, name string) (err error) {
	size, err := parseSize(f.size)
	if err != nil {
		return usage(cmd, fmt.Errorf("--max-message-size: %w", err))
	}
	header, err := parseHeaders(f.headers)
	if err != nil {
		return usage(cmd, err)
	}
	client, err := grpccall.New(grpccall.Options{Address: f.address, MaxMessageSize: size, UserAgent: "ottavo-call/" + p.Version})
	if err != nil {
		return usage(cmd, fmt.Errorf("--address: %w", err))
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	// Reflection gets the metadata, too: a server may want a token for it.
	ctx := metadata.NewOutgoingContext(cmd.Context(), header)
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.timeout)
		defer cancel()
	}
	switch {
	case f.list && name == "":
		services, err := client.Services(ctx)
		return p.lines(services, err)
	case f.list:
		methods, err := client.Methods(ctx, name)
		return p.lines(methods, err)
	case f.describe != "":
		text, err := client.Describe(ctx, f.describe)
		if err != nil {
			return err
		}
		_, err = io.WriteString(p.Stdout, text)
		return err
	}
	method, err := client.Method(ctx, name)
	if err != nil {
		return err
	}
	requests, closeRequests, err := p.requests(f.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeRequests()) }()
	call := grpccall.Call{
		Method: method, Requests: requests, MaxMessageSize: size,
		OnMessage: func(json []byte) error {
			_, err := p.Stdout.Write(append(json, '\n'))
			return err
		},
	}
	if f.verbose {
		call.OnHeader = func(md metadata.MD) { p.metadata("header", md) }
		call.OnTrailer = func(md metadata.MD) { p.metadata("trailer", md) }
	}
	return explainCall(client.Call(ctx, call))
}

// lines prints one text a line.
func (p *program) lines(texts []string, err error) error {
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for _, t := range texts {
		out.WriteString(t + "\n")
	}
	_, err = p.Stdout.Write(out.Bytes())
	return err
}

// requests opens what -d says.
func (p *program) requests(data string) (io.Reader, func() error, error) {
	nothing := func() error { return nil }
	switch file, isFile := strings.CutPrefix(data, "@"); {
	case data == "-":
		return p.Stdin, nothing, nil
	case isFile:
		f, err := os.Open(file)
		if err != nil {
			return nil, nil, fmt.Errorf("the request cannot be read: %w", err)
		}
		return f, f.Close, nil
	}
	return strings.NewReader(data), nothing, nil
}

// parseHeaders makes metadata of "name: value".
func parseHeaders(headers []string) (metadata.MD, error) {
	md := metadata.MD{}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || name == "" {
			return nil, fmt.Errorf("--header %q is not 'NAME: VALUE'", h)
		}
		value = strings.TrimSpace(value)
		if strings.HasSuffix(name, "-bin") {
			raw, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				return nil, fmt.Errorf("--header %q: names with -bin carry bytes; write them in base64: %w", h, err)
			}
			value = string(raw)
		}
		md.Append(name, value)
	}
	return md, nil
}

// metadata prints the header or trailer of an answer.
func (p *program) metadata(what string, md metadata.MD) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s:\n", what)
	for _, name := range slices.Sorted(maps.Keys(md)) {
		for _, value := range md[name] {
			if strings.HasSuffix(name, "-bin") {
				value = base64.StdEncoding.EncodeToString([]byte(value))
			}
			fmt.Fprintf(&out, "  %s: %s\n", name, value)
		}
	}
	_, _ = p.Stderr.Write(out.Bytes()) // there is nowhere else to complain
}

// parseSize reads a number of bytes: 4096, 64KiB, 16MiB.
func parseSize(text string) (int, error) {
	number, shift := text, 0
	for suffix, bits := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if n, ok := strings.CutSuffix(text, suffix); ok {
			number, shift = n, bits
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
	if err != nil || n <= 0 || n > math.MaxInt32>>shift {
		return 0, fmt.Errorf("%q is no size from 1 to 2147483647 bytes, like 4096, 64KiB or 16MiB", text)
	}
	return int(n << shift), nil
}

// callError is the error of a call with its details.
type callError struct {
	error
	lines string
}

func (e *callError) details() string { return e.lines }
func (e *callError) Unwrap() error   { return e.error }

// explainCall prepares an error for people.
func explainCall(err error) error {
	if e, ok := errors.AsType[*grpccall.JSONError](err); ok {
		return fmt.Errorf("the request, %w", e)
	}
	e, ok := errors.AsType[*grpccall.StatusError](err)
	if !ok || len(e.Details) == 0 {
		return err
	}
	var out bytes.Buffer
	for _, d := range e.Details {
		fmt.Fprintf(&out, "  %s\n", bytes.ReplaceAll(d.JSON, []byte("\n"), []byte("\n  ")))
	}
	return &callError{err, out.String()}
}
