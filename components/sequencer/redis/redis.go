package redis

import (
	"context"
	"strings"
	"sync/atomic"

	goredis "github.com/go-redis/redis/v8"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/redisnode"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this backend in a configuration.
const Type = "redis"

// Metadata is the configuration.
type Metadata struct {
	redisnode.Metadata
	sequencer.Common
}

// New connects to Redis. It fails, within the time limits or when ctx ends, if the
// server does not answer; the error names its address.
func New(ctx context.Context, _ components.Env, cfg components.Config) (sequencer.Sequencer, error) {
	var m Metadata
	decode.Defaults(&m)
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	client, err := redisnode.Open(ctx, m.Metadata, cfg.SettingsPath())
	if err != nil {
		return nil, err
	}
	return sequencer.Count(ctx, &counter{client: client}), nil
}

type counter struct {
	client *redisnode.Client
	last   atomic.Pointer[string] // the key that was counted last; nil: none yet
}

// Add implements sequencer.Counter.
func (c *counter) Add(ctx context.Context, key string, n int64) (sum int64, err error) {
	err = c.client.Do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error {
		sum, err = r.IncrBy(ctx, key, n).Result()
		return err
	})
	switch {
	case err == nil:
		c.last.Store(&key)
	case strings.Contains(err.Error(), "would overflow"):
		err = sequencer.ErrExhausted
	}
	return sum, err
}

// raiseScript makes KEYS[1] at least ARGV[1]. The numbers are compared as text,
// since Lua has no whole ones beyond 2^53.
var raiseScript = goredis.NewScript(`
local number, least = redis.call('GET', KEYS[1]) or '0', ARGV[1]
if string.sub(least, 1, 1) == '-' then return 0 end
if string.sub(number, 1, 1) == '-' or #number < #least or #number == #least and number < least then
  redis.call('SET', KEYS[1], least)
end
return 1`)

// Raise implements sequencer.Counter.
func (c *counter) Raise(ctx context.Context, key string, least int64) error {
	_, err := c.client.Script(ctx, true, raiseScript, []string{key}, least)
	return err
}

// Check implements sequencer.Counter: it adds nothing to the key that was counted last,
// so that it fails where counting would: at a server that has become a replica or has
// no room, and without the right to write. Before the first it sends a PING.
func (c *counter) Check(ctx context.Context) error {
	key := c.last.Load()
	if key == nil {
		return c.client.Check(ctx)
	}
	_, err := c.Add(ctx, *key, 0)
	return err
}

// Close implements sequencer.Counter.
func (c *counter) Close() error { return c.client.Close() }
