// Command google emulates one service of Google Cloud for make test-wide: the first
// argument says which, the second where it listens. It keeps everything in memory and asks
// for no credentials.
//
//	google pubsub 127.0.0.1:8085     Pub/Sub, by Google's own pstest
//	google storage 127.0.0.1:8086    Cloud Storage, by fake-gcs-server; with a bucket "bucket"
//	google datastore 127.0.0.1:8087  Datastore, a stand-in: reading, writing and deleting by key
package main

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"cloud.google.com/go/datastore/apiv1/datastorepb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/fsouza/fake-gcs-server/fakestorage"
	"google.golang.org/grpc"
)

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: google pubsub|storage|datastore HOST:PORT"))
	}
	host, text, err := net.SplitHostPort(os.Args[2])
	if err != nil {
		fail(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		fail(err)
	}
	switch os.Args[1] {
	case "pubsub":
		pstest.NewServerWithAddress(os.Args[2])
	case "storage":
		server, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: host, Port: uint16(port), PublicHost: os.Args[2]})
		if err != nil {
			fail(err)
		}
		server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "bucket"})
	case "datastore":
		l, err := net.Listen("tcp", os.Args[2])
		if err != nil {
			fail(err)
		}
		s := grpc.NewServer(grpc.MaxRecvMsgSize(16 << 20))
		datastorepb.RegisterDatastoreServer(s, newDatastore())
		fail(s.Serve(l))
	default:
		fail(fmt.Errorf("no service %q", os.Args[1]))
	}
	select {} // until it is killed
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "google:", err)
	os.Exit(1)
}
