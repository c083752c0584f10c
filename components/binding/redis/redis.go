package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/go-redis/redis/v8"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/internal/redisnode"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this binding in a configuration.
const Type = "redis"

// Metadata is the binding's configuration, under the names that Dapr has for them. A
// duration is a Go duration, or a bare number of milliseconds.
type Metadata struct {
	redisnode.Metadata
	redisnode.AzureLogin
	// Direction is Dapr's; this binding is an output.
	Direction string `json:"direction"`
}

// The operations.
const (
	createOp    = "create"
	getOp       = "get"
	deleteOp    = "delete"
	incrementOp = "increment"
)

// Binding reads and writes keys of Redis. Use New. It implements binding.Output and
// components.Checker.
type Binding struct {
	client *redisnode.Client
	trial  redisnode.Trial
}

// New connects to Redis. It fails, within the time limits or when ctx ends, if the
// server does not answer; the error names its address.
func New(ctx context.Context, _ components.Env, cfg components.Config) (binding.Binding, error) {
	var m Metadata
	decode.Defaults(&m)
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	if m.Direction != "" && !slices.Contains(strings.Fields(strings.ToLower(strings.ReplaceAll(m.Direction, ",", " "))), "output") {
		return nil, decode.Problems{{
			Path: decode.Join(cfg.SettingsPath(), "direction"), Message: fmt.Sprintf("%q: this binding is an output only", m.Direction), Remedy: `write "output", or leave it out`,
		}}
	}
	client, err := redisnode.OpenAny(ctx, m.Metadata, cfg.SettingsPath())
	if err != nil {
		return nil, err
	}
	return &Binding{client: client}, nil
}

// Operations implements binding.Output.
func (*Binding) Operations() []string { return []string{createOp, deleteOp, getOp, incrementOp} }

// Check implements components.Checker: once a key was made, it fails where that would,
// at a server that has become a replica or has no room, and without the right to write;
// before, it sends a PING.
func (b *Binding) Check(ctx context.Context) error {
	key := b.trial.Key()
	if key == "" {
		return b.client.Check(ctx)
	}
	return b.trial.Verdict(b.client.Do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error {
		// Refused for the time once it is sure that it may be done.
		return r.Do(ctx, "set", key, "", "ex", 0).Err()
	}), key, "invalid expire")
}

// Invoke implements binding.Output. An increment, and a get that deletes, is not sent
// again when nobody knows whether it was carried out.
func (b *Binding) Invoke(ctx context.Context, req *binding.Request) (*binding.Response, error) {
	key := req.Metadata["key"]
	if key == "" {
		return nil, errors.New("the request's metadata have no key: say there which key of Redis is meant")
	}
	resp := &binding.Response{}
	var harmless bool
	var command redisnode.Command
	switch req.Operation {
	case createOp, incrementOp:
		ttl, err := ttlOf(req.Metadata)
		if err != nil {
			return nil, err
		}
		if harmless = req.Operation == createOp; harmless {
			command = func(ctx context.Context, r goredis.UniversalClient) error {
				return r.Set(ctx, key, req.Data, ttl).Err()
			}
			break
		}
		command = func(ctx context.Context, r goredis.UniversalClient) error { return increment(ctx, r, key, ttl) }
	case getOp:
		take := req.Metadata["delete"] == "true"
		harmless = !take
		command = func(ctx context.Context, r goredis.UniversalClient) (err error) {
			if take {
				resp.Data, err = r.GetDel(ctx, key).Bytes()
			} else {
				resp.Data, err = r.Get(ctx, key).Bytes()
			}
			return err
		}
	case deleteOp:
		harmless = true
		command = func(ctx context.Context, r goredis.UniversalClient) error { return r.Del(ctx, key).Err() }
	default:
		return nil, fmt.Errorf("%w: operation %q: it has %s", binding.ErrNotSupported, req.Operation, strings.Join(b.Operations(), ", "))
	}
	err := b.client.Do(ctx, harmless, command)
	switch {
	case errors.Is(err, goredis.Nil):
		return &binding.Response{}, nil
	case errors.Is(err, redisnode.ErrClosed):
		return nil, binding.ErrClosed
	case err != nil:
		return nil, err
	}
	if req.Operation == createOp {
		b.trial.Wrote(key)
	}
	return resp, nil
}

// incrementScript adds one to a key and sets its time to live. A key that holds no
// number keeps its own, so that it is no transaction: that goes on after a failure.
var incrementScript = goredis.NewScript(`
redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
`)

// increment adds one to a key and sets its time to live, together; 0: it keeps the one
// that it has.
func increment(ctx context.Context, r goredis.UniversalClient, key string, ttl time.Duration) error {
	if ttl == 0 {
		return r.Incr(ctx, key).Err()
	}
	return incrementScript.Run(ctx, r, []string{key}, ttl.Milliseconds()).Err()
}

// ttlOf reads a time to live; 0: there is none.
func ttlOf(metadata map[string]string) (time.Duration, error) {
	text, found := "", ""
	for _, name := range []string{"ttl", "ttlInSeconds"} {
		for key, value := range metadata {
			if text == "" && strings.EqualFold(key, name) {
				text, found = value, name
			}
		}
	}
	if text == "" {
		return 0, nil
	}
	ttl, err := time.ParseDuration(text)
	if seconds, no := strconv.ParseInt(text, 10, 64); no == nil {
		ttl, err = time.Duration(min(seconds, maxSeconds))*time.Second, nil
	}
	if err != nil || ttl < time.Millisecond {
		return 0, fmt.Errorf("%s %q is no number of seconds above 0, and no Go duration of a millisecond or more", found, text)
	}
	return ttl, nil
}

// maxSeconds keeps an expiry within what Redis can count; longer ones become this.
const maxSeconds = 100 * 365 * 24 * 60 * 60

// Close implements binding.Binding.
func (b *Binding) Close() error { return b.client.Close() }
