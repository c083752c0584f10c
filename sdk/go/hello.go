package ottavo

import (
	"context"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// SayHello asks the hello component of that name to greet somebody, who may be
// "". It is the quickest way to find out whether client, runtime and
// configuration have found each other.
func (c *Client) SayHello(ctx context.Context, component, name string) (string, error) {
	resp, err := c.api.SayHello(ctx, &runtimev1.SayHelloRequest{ServiceName: component, Name: name})
	if err != nil {
		return "", failed("SayHello", err)
	}
	return resp.GetHello(), nil
}
