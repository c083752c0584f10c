package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/go-redis/redis/v8"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/internal/redisnode"
	"github.com/ottavo-runtime/ottavo/components/lock"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Type is the name of this backend in a configuration.
const Type = "redis"

// Metadata is the configuration.
type Metadata struct {
	redisnode.Metadata
	// KeyPrefix belongs to the caller, which puts the prefixes on; it is listed
	// here so that it counts as known.
	KeyPrefix string `json:"keyPrefix"`
}

// tokenKey holds the last fencing token. No resource has this name, as they begin
// with "lock|||".
const tokenKey = "ottavo|||fencing-token"

var (
	// tryScript takes KEYS[1] for the owner ARGV[1] and ARGV[2] milliseconds. It
	// returns the token that it leaves in KEYS[2], or 0.
	tryScript = goredis.NewScript(`
local last = tonumber(redis.call('GET', KEYS[2]) or '0') or 0
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return '0' end
local now = redis.call('TIME')
local token = string.format('%.0f', math.max(last + 1, now[1] * 1000000 + now[2]))
redis.call('SET', KEYS[2], token)
return token`)
	// unlockScript and renewScript return 1 when done, 0 when nobody holds
	// KEYS[1], 2 when somebody else does.
	unlockScript = goredis.NewScript(`
local owner = redis.call('GET', KEYS[1])
if not owner then return 0 end
if owner ~= ARGV[1] then return 2 end
redis.call('DEL', KEYS[1])
return 1`)
	renewScript = goredis.NewScript(`
local owner = redis.call('GET', KEYS[1])
if not owner then return 0 end
if owner ~= ARGV[1] then return 2 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`)
	// checkScript writes the last token KEYS[1] as it is.
	checkScript = goredis.NewScript(`
redis.call('SET', KEYS[1], redis.call('GET', KEYS[1]) or '0')
return 1`)
)

// Locker keeps locks in Redis. Use New. It implements lock.Locker and
// components.Checker.
type Locker struct {
	client *redisnode.Client
}

// New connects to Redis. It fails, within the time limits or when ctx ends, if the
// server does not answer; the error names its address.
func New(ctx context.Context, _ components.Env, cfg components.Config) (lock.Locker, error) {
	var m Metadata
	decode.Defaults(&m)
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	client, err := redisnode.Open(ctx, m.Metadata, cfg.SettingsPath())
	if err != nil {
		return nil, err
	}
	return &Locker{client: client}, nil
}

// TryLock implements lock.Locker. It is not sent again when its outcome is
// unknown: the second try would not get what the first has got.
func (l *Locker) TryLock(ctx context.Context, resource, owner string, expire time.Duration) (*lock.Grant, error) {
	if err := lock.Check(resource, owner, expire); err != nil {
		return nil, err
	}
	reply, err := l.run(ctx, false, tryScript, []string{resource, tokenKey}, owner, expire.Milliseconds())
	if err != nil {
		return nil, err
	}
	return grant(reply)
}

// grant reads the reply of tryScript.
func grant(reply any) (*lock.Grant, error) {
	text, _ := reply.(string)
	token, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("redis replied %v, not a token", reply)
	}
	if token == 0 {
		return nil, nil
	}
	return &lock.Grant{Token: token}, nil
}

// Unlock implements lock.Locker.
func (l *Locker) Unlock(ctx context.Context, resource, owner string) (lock.Status, error) {
	if err := lock.Check(resource, owner, time.Second); err != nil {
		return 0, err
	}
	return status(l.run(ctx, false, unlockScript, []string{resource}, owner))
}

// Renew implements lock.Locker.
func (l *Locker) Renew(ctx context.Context, resource, owner string, expire time.Duration) (lock.Status, error) {
	if err := lock.Check(resource, owner, expire); err != nil {
		return 0, err
	}
	return status(l.run(ctx, true, renewScript, []string{resource}, owner, expire.Milliseconds()))
}

// status reads the reply of unlockScript or renewScript.
func status(reply any, err error) (lock.Status, error) {
	if err != nil {
		return 0, err
	}
	switch reply {
	case int64(0):
		return lock.NotLocked, nil
	case int64(1):
		return lock.Done, nil
	case int64(2):
		return lock.NotTheOwner, nil
	}
	return 0, fmt.Errorf("redis replied %v, not a status", reply)
}

func (l *Locker) run(ctx context.Context, harmless bool, s *goredis.Script, keys []string, args ...any) (any, error) {
	reply, err := l.client.Script(ctx, harmless, s, keys, args...)
	if errors.Is(err, redisnode.ErrClosed) {
		err = lock.ErrClosed
	}
	return reply, err
}

// Check implements components.Checker: it writes, as locks do, so that it fails where
// they would: at a server that has become a replica or has no room, and without the
// right to write.
func (l *Locker) Check(ctx context.Context) error {
	_, err := l.run(ctx, true, checkScript, []string{tokenKey})
	return err
}

// Close implements lock.Locker.
func (l *Locker) Close() error { return l.client.Close() }
