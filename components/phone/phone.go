// Package phone is the contract of services that call telephones and read out
// a text.
package phone

import "context"

// Call is a text of the service's, read out to some numbers.
type Call struct {
	TemplateID string
	Params     map[string]string
	To         []string
	From       string
}

// Caller is the contract. It is safe for concurrent use.
type Caller interface {
	// Call returns the service's id of the request, or "". It does not wait until
	// somebody answers, and returns promptly when ctx ends.
	Call(ctx context.Context, c *Call) (requestID string, err error)
	// Close releases everything. It is safe twice.
	Close() error
}
