package contrib

import (
	"context"
	"fmt"
	"time"
)

// callLimit is how long a call may take whose caller sets no limit. Some backends
// wait for ever for a server that hangs.
const callLimit = 30 * time.Second

// outcome is what a call of a backend came to.
type outcome[T any] struct {
	value T
	err   error
}

// await calls a backend and returns its answer, or ctx's error as soon as ctx has
// ended: not every backend heeds its context. A call that is left behind goes on
// in its goroutine until the backend returns, and its answer is dropped. A panic of
// the backend becomes an error.
func await[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if ctx.Done() == nil {
		o := protect(ctx, call)
		return o.value, o.err
	}
	done := make(chan outcome[T], 1)
	go func() { done <- protect(ctx, call) }()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		// It may have ended at the same moment.
		select {
		case o := <-done:
			return o.value, o.err
		default:
			return none, ctx.Err()
		}
	}
}

// protect calls a backend and turns its panic into an error.
func protect[T any](ctx context.Context, call func(context.Context) (T, error)) (o outcome[T]) {
	defer func() {
		if p := recover(); p != nil {
			o.err = fmt.Errorf("the backend panicked: %v", p)
		}
	}()
	o.value, o.err = call(ctx)
	return o
}

// run is await for calls without an answer.
func run(ctx context.Context, call func(context.Context) error) error {
	_, err := await(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) })
	return err
}

// answered is await for a call that never takes long: without a deadline it has
// callLimit. The error says so then, and is not ctx's.
func answered[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	if _, ok := ctx.Deadline(); ok {
		return await(ctx, call)
	}
	limited, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	value, err := await(limited, call)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("the backend does not answer within %s", callLimit)
	}
	return value, err
}
