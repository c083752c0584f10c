package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"net/url"
	"time"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

// serviceID names the service; the runtime's routes match it as the header "id".
const serviceID = "HelloService:1.0"

// call calls the service in three ways.
func call(ctx context.Context, address, name string, out *log.Logger) (err error) {
	client, err := ottavo.Dial(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	// A GET with a query.
	resp, err := client.Invoke(ctx, serviceID, &ottavo.Request{Method: "/hello", Query: url.Values{"name": {name}}.Encode()})
	if err != nil {
		return err
	}
	out.Printf("GET:  %s (%s, X-Greeter: %s)", resp.Data, resp.ContentType, resp.Header.Get("X-Greeter"))

	// A POST with a header, a body, and a time limit of its own. The service
	// answers with 201: every 2xx is a success.
	body, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		return err
	}
	resp, err = client.Invoke(ctx, serviceID, &ottavo.Request{
		Method: "/hello", Verb: "POST", ContentType: "application/json", Data: body,
		Header: http.Header{"X-Token": {"t-1"}}, Timeout: 2 * time.Second,
	})
	if err != nil {
		return err
	}
	out.Printf("POST: %s (%s, X-Token: %s)", resp.Data, resp.ContentType, resp.Header.Get("X-Token"))

	// A path that the service does not have.
	_, err = client.Invoke(ctx, serviceID, &ottavo.Request{Method: "/nothing-here"})
	if err == nil {
		return errors.New("a call of /nothing-here succeeded")
	}
	failure, ok := errors.AsType[*ottavo.Error](err)
	if !ok || failure.HTTPStatus == 0 {
		return err // another failure than the service's own
	}
	out.Printf("404:  %s with HTTP status %d", failure.Code, failure.HTTPStatus)
	return nil
}
