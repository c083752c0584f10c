package ottavo

import (
	"context"

	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// ApplyConfiguration gives a running component its settings anew, all of them.
// kind is the section of the configuration file that it is in, such as "hellos", and
// name its name there. Not every component can; where it refuses, it
// keeps what it had.
func (c *Client) ApplyConfiguration(ctx context.Context, kind, name string, settings map[string]string) error {
	_, err := runtimev1.NewLifecycleClient(c.conn).ApplyConfiguration(ctx, &runtimev1.DynamicConfiguration{
		ComponentConfig: &runtimev1.ComponentConfig{Kind: kind, Name: name, Metadata: settings},
	})
	return failed("ApplyConfiguration", err)
}
