package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

// serviceID names the service. It is in the body of each call, from where the
// runtime's routes have it as the header "service".
const serviceID = "org.demo.Echo"

// call calls the service in four ways.
func call(ctx context.Context, address, name string, out *log.Logger) (err error) {
	client, err := ottavo.Dial(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	// A call with a time limit and a header, which the service has as attachments.
	resp, err := client.Invoke(ctx, serviceID, &ottavo.Request{
		Data: body("echo", "hello, "+name), Header: http.Header{"X-Token": {"t-1"}}, Timeout: 2 * time.Second,
	})
	if err != nil {
		return err
	}
	text, attachments, err := parseAnswer(resp.Data)
	if err != nil {
		return fmt.Errorf("the answer of echo: %w", err)
	}
	out.Printf("echo:   %s (x-token: %s)", text, attachments["x-token"])

	// A one-way call: there is no answer, and nothing is waited for.
	resp, err = client.Invoke(ctx, serviceID, &ottavo.Request{
		Data: body("note", "seen "+name), Header: http.Header{"Rpc_request_type": {"oneway"}},
	})
	if err != nil {
		return err
	}
	out.Printf("note:   %d bytes of answer", len(resp.Data))

	// A method that the service does not have.
	if err := fails(ctx, client, out, "nobody", &ottavo.Request{Data: body("nobody", name)}); err != nil {
		return err
	}
	// A method that takes longer than the caller wants to wait.
	return fails(ctx, client, out, "slow", &ottavo.Request{Data: body("slow", name), Timeout: 100 * time.Millisecond})
}

// body returns a call of a method of the service with one argument.
func body(method, arg string) []byte {
	c := invocation{service: serviceID, version: noVersion, method: method, args: []string{arg}}
	return c.body()
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
