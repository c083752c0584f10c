package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"time"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

// serviceID names the service; the runtime's routes match it as the header "service".
const serviceID = "HelloBolt:1.0"

// call calls the service in four ways.
func call(ctx context.Context, address, name string, out *log.Logger) (err error) {
	client, err := ottavo.Dial(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	// A call with a header and a time limit of its own, which the service learns.
	resp, err := client.Invoke(ctx, serviceID, &ottavo.Request{
		Method: "hello", Data: []byte(name), Header: http.Header{"X-Token": {"t-1"}}, Timeout: 2 * time.Second,
	})
	if err != nil {
		return err
	}
	out.Printf("hello:  %s (X-Token: %s)", resp.Data, resp.Header.Get("X-Token"))

	// A one-way call: there is no answer, and nothing is waited for.
	resp, err = client.Invoke(ctx, serviceID, &ottavo.Request{
		Method: "note", Data: []byte("seen " + name), Header: http.Header{"Rpc_request_type": {"oneway"}},
	})
	if err != nil {
		return err
	}
	out.Printf("note:   %d bytes of answer", len(resp.Data))

	// A method that the service does not have.
	if err := fails(ctx, client, out, "nobody", &ottavo.Request{Method: "nobody"}); err != nil {
		return err
	}
	// A method that takes longer than the caller wants to wait.
	return fails(ctx, client, out, "slow", &ottavo.Request{Method: "slow", Timeout: 100 * time.Millisecond})
}

// fails makes a call that must fail, and prints how.
func fails(ctx context.Context, client *ottavo.Client, out *log.Logger, name string, req *ottavo.Request) error {
	_, err := client.Invoke(ctx, serviceID, req)
	if err == nil {
		return errors.New("the call of " + name + " succeeded")
	}
	failure, ok := errors.AsType[*ottavo.Error](err)
	if !ok {
		return err
	}
	out.Printf("%-7s %s", name+":", failure.Code)
	return nil
}
