package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/mongonode"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this backend in a configuration.
const Type = "mongo"

// Metadata is the configuration.
type Metadata struct {
	mongonode.Metadata
	// KeyPrefix belongs to the caller, which puts the prefixes on; it is listed
	// here so that it counts as known.
	KeyPrefix string `json:"keyPrefix"`
}

// keep is how long a document stays when nobody holds the lock: while it is there,
// tokens are counted on, whatever the clock does.
const keep = 24 * time.Hour

// maxExpire is the longest lock that can be counted.
const maxExpire = 100 * 365 * 24 * time.Hour

// document is a lock. Layotto's have LockOwner and Expire only.
type document struct {
	Owner  string    `bson:"LockOwner"` // "": nobody's
	Since  time.Time `bson:"Since"`     // by the server's clock
	Millis int64     `bson:"Millis"`
	Token  int64     `bson:"Token"`
	Change int64     `bson:"Change"` // grows with every change
	Expire time.Time `bson:"Expire"`
}

// held tells whether somebody holds the lock when the server's clock shows now.
func (d *document) held(now time.Time) bool {
	if d == nil || d.Owner == "" {
		return false
	}
	end := d.Since.Add(time.Duration(d.Millis) * time.Millisecond)
	if d.Change == 0 {
		end = d.Expire
	}
	return now.Before(end)
}

// Locker keeps locks in MongoDB. Use New. It implements lock.Locker and
// components.Checker.
type Locker struct {
	client *mongonode.Client
}

// New connects to MongoDB. It fails, within operationTimeout or when ctx ends, if
// there is no answer; the error names the server.
func New(ctx context.Context, _ components.Env, cfg components.Config) (lock.Locker, error) {
	var m Metadata
	decode.Defaults(&m)
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	client, err := mongonode.Open(ctx, m.Metadata, cfg.SettingsPath())
	if err != nil {
		return nil, err
	}
	l := &Locker{client: client}
	err = l.call(ctx, func(ctx context.Context) error {
		_, err := client.Indexes().CreateOne(ctx, mongo.IndexModel{
			Keys: bson.D{{Key: "Remove", Value: 1}}, Options: options.Index().SetExpireAfterSeconds(0).SetName("ottavo_lock_remove"),
		})
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make the index that removes old locks: %w", err), l.Close()) //nolint:contextcheck // closing has a time of its own
	}
	return l, nil
}

// TryLock implements lock.Locker.
func (l *Locker) TryLock(ctx context.Context, resource, owner string, expire time.Duration) (grant *lock.Grant, err error) {
	if err := lock.Check(resource, owner, expire); err != nil {
		return nil, err
	}
	err = l.call(ctx, func(ctx context.Context) error {
		for {
			before, now, err := l.find(ctx, resource)
			if err != nil || before.held(now) {
				return err
			}
			token := now.UnixMilli()
			if before != nil {
				token = max(token, before.Token+1)
			}
			set := bson.D{{Key: "LockOwner", Value: owner}, {Key: "Token", Value: token}}
			done, err := l.change(ctx, resource, before, until(set, now, expire), true)
			if done && err == nil {
				grant = &lock.Grant{Token: uint64(max(token, 0))}
			}
			if done || err != nil {
				return err
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return grant, nil
}

// until adds to set for how long the lock is taken.
func until(set bson.D, now time.Time, expire time.Duration) bson.D {
	expire = min(expire, maxExpire)
	return append(set, bson.E{Key: "Millis", Value: expire.Milliseconds()}, bson.E{Key: "Remove", Value: now.Add(expire + keep)})
}

// find returns the document, nil when there is none, and what the server's clock
// shows after that.
func (l *Locker) find(ctx context.Context, resource string) (*document, time.Time, error) {
	d := &document{}
	err := l.client.FindOne(ctx, bson.D{{Key: "_id", Value: resource}}).Decode(d)
	if errors.Is(err, mongo.ErrNoDocuments) {
		d, err = nil, nil
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	now, err := l.client.Now(ctx)
	return d, now, err
}

// change changes the document from what it was before, nil for one that was not
// there; done is false when it has changed meanwhile. since says that the time of
// the lock begins.
func (l *Locker) change(ctx context.Context, resource string, before *document, set bson.D, since bool) (done bool, err error) {
	filter := bson.D{{Key: "_id", Value: resource}}
	opts := options.Update()
	switch {
	case before == nil:
		// When there is one by now, this tries to make a second and fails.
		filter = append(filter, bson.E{Key: "Change", Value: -1})
		opts.SetUpsert(true)
		set = append(set, bson.E{Key: "Change", Value: int64(1)})
	case before.Change == 0:
		filter = append(filter, bson.E{Key: "Change", Value: bson.D{{Key: "$exists", Value: false}}}, bson.E{Key: "LockOwner", Value: before.Owner})
		set = append(set, bson.E{Key: "Change", Value: int64(1)})
	default:
		filter = append(filter, bson.E{Key: "Change", Value: before.Change}, bson.E{Key: "Token", Value: before.Token})
		set = append(set, bson.E{Key: "Change", Value: before.Change + 1})
	}
	update := bson.D{{Key: "$set", Value: set}}
	if since {
		update = append(update, bson.E{Key: "$currentDate", Value: bson.D{{Key: "Since", Value: true}}})
	}
	result, err := l.client.UpdateOne(ctx, filter, update, opts)
	if mongo.IsDuplicateKeyError(err) {
		return false, nil
	}
	return err == nil && result.MatchedCount+result.UpsertedCount > 0, err
}

// Unlock implements lock.Locker.
func (l *Locker) Unlock(ctx context.Context, resource, owner string) (lock.Status, error) {
	if err := lock.Check(resource, owner, time.Second); err != nil {
		return 0, err
	}
	return l.owned(ctx, resource, owner, func(ctx context.Context, before *document, now time.Time) (bool, error) {
		set := bson.D{{Key: "LockOwner", Value: ""}, {Key: "Token", Value: before.Token}, {Key: "Remove", Value: now.Add(keep)}}
		return l.change(ctx, resource, before, set, false)
	})
}

// Renew implements lock.Locker.
func (l *Locker) Renew(ctx context.Context, resource, owner string, expire time.Duration) (lock.Status, error) {
	if err := lock.Check(resource, owner, expire); err != nil {
		return 0, err
	}
	return l.owned(ctx, resource, owner, func(ctx context.Context, before *document, now time.Time) (bool, error) {
		return l.change(ctx, resource, before, until(bson.D{{Key: "Token", Value: before.Token}}, now, expire), true)
	})
}

// owned does something with the document of a lock that owner holds; when it has
// changed meanwhile, it is looked at again.
func (l *Locker) owned(ctx context.Context, resource, owner string, do func(ctx context.Context, before *document, now time.Time) (bool, error)) (status lock.Status, err error) {
	err = l.call(ctx, func(ctx context.Context) error {
		for {
			before, now, err := l.find(ctx, resource)
			switch {
			case err != nil:
				return err
			case !before.held(now):
				status = lock.NotLocked
				return nil
			case before.Owner != owner:
				status = lock.NotTheOwner
				return nil
			}
			if done, err := do(ctx, before, now); done || err != nil {
				status = lock.Done
				return err
			}
		}
	})
	return status, err
}

func (l *Locker) call(ctx context.Context, call func(context.Context) error) error {
	err := l.client.Call(ctx, call)
	if errors.Is(err, mongonode.ErrClosed) {
		return lock.ErrClosed
	}
	return err
}

// Check implements components.Checker: it asks for the primary.
func (l *Locker) Check(ctx context.Context) error { return l.client.Check(ctx) }

// Close implements lock.Locker.
func (l *Locker) Close() error { return l.client.Close() }
