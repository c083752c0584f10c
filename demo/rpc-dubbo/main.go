// Command rpc-dubbo shows a call to a service that speaks Dubbo 2: "rpc-dubbo
// service" is such a service, "rpc-dubbo caller" calls it. The call is written as
// Dubbo wants it, in Hessian 2; where the service runs is known to the runtime's
// configuration only.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

const usage = `usage: rpc-dubbo service [-listen host:port]
       rpc-dubbo caller [-address host:port] [-name name]
`

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("say which part to play\n%s", usage)
	}
	flags := flag.NewFlagSet("rpc-dubbo "+args[0], flag.ExitOnError)
	out := log.New(os.Stdout, "", 0)
	switch args[0] {
	case "service":
		listen := flags.String("listen", "127.0.0.1:20880", "where the service listens")
		_ = flags.Parse(args[1:]) // it exits on an error
		return serve(ctx, *listen, out)
	case "caller":
		address := flags.String("address", ottavo.DefaultAddress, "where the runtime's API listens")
		name := flags.String("name", "eva", "who is greeted")
		_ = flags.Parse(args[1:]) // it exits on an error
		return call(ctx, *address, *name, out)
	}
	return fmt.Errorf("there is no part %q\n%s", args[0], usage)
}
