package mongo

import (
	"context"
	"errors"
	"fmt"
	"math"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/mongonode"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this backend in a configuration.
const Type = "mongo"

// Metadata is the configuration.
type Metadata struct {
	mongonode.Metadata
	sequencer.Common
}

// field holds the number.
const field = "sequence_value"

// New connects to MongoDB. It fails, within operationTimeout or when ctx ends, if
// there is no answer; the error names the server.
func New(ctx context.Context, _ components.Env, cfg components.Config) (sequencer.Sequencer, error) {
	var m Metadata
	decode.Defaults(&m)
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	client, err := mongonode.Open(ctx, m.Metadata, cfg.SettingsPath())
	if err != nil {
		return nil, err
	}
	return sequencer.Count(ctx, counter{client}), nil
}

type counter struct {
	client *mongonode.Client
}

// Add implements sequencer.Counter. The number is raised only where there is room;
// what has none is not matched, and a second document cannot be made.
func (c counter) Add(ctx context.Context, key string, n int64) (int64, error) {
	filter := bson.D{{Key: "_id", Value: key}, {Key: field, Value: bson.D{{Key: "$lte", Value: math.MaxInt64 - n}}}}
	var found struct {
		Number int64 `bson:"sequence_value"`
	}
	err := c.update(ctx, key, func(ctx context.Context) error {
		return c.client.FindOneAndUpdate(ctx, filter, bson.D{{Key: "$inc", Value: bson.D{{Key: field, Value: n}}}},
			options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)).Decode(&found)
	})
	if mongo.IsDuplicateKeyError(err) {
		return 0, sequencer.ErrExhausted
	}
	return found.Number, err
}

// Raise implements sequencer.Counter.
func (c counter) Raise(ctx context.Context, key string, least int64) error {
	if least <= 0 {
		return nil
	}
	return c.update(ctx, key, func(ctx context.Context) error {
		_, err := c.client.UpdateByID(ctx, key, bson.D{{Key: "$max", Value: bson.D{{Key: field, Value: least}}}}, options.Update().SetUpsert(true))
		return err
	})
}

// update makes a call that may make the document. When two make it at a time, one
// of them fails, and is told so a second time only if it cannot be otherwise.
func (c counter) update(ctx context.Context, key string, call func(context.Context) error) error {
	err := c.client.Call(ctx, call)
	if mongo.IsDuplicateKeyError(err) {
		err = c.client.Call(ctx, call)
	}
	switch {
	case errors.Is(err, mongonode.ErrClosed):
		return sequencer.ErrClosed
	case err != nil && !mongo.IsDuplicateKeyError(err):
		return fmt.Errorf("key %q: %w", key, err)
	}
	return err
}

// Check implements sequencer.Counter.
func (c counter) Check(ctx context.Context) error { return c.client.Check(ctx) }

// Close implements sequencer.Counter.
func (c counter) Close() error { return c.client.Close() }
