// Package hello is the contract of the smallest component there is: one that
// greets. It shows that client, runtime and configuration have found each other.
package hello

import "context"

// Greeter greets. It is safe for concurrent use.
type Greeter interface {
	// Hello returns the greeting for name; name may be "".
	Hello(ctx context.Context, name string) (string, error)
}
