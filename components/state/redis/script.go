package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by it
	"encoding/hex"
	"strings"

	goredis "github.com/go-redis/redis/v8"
)

// setScript stores a value whatever is there: KEYS[1]; data, TTL in ms or 0.
// The counter goes first: it fails, before anything has changed, on whatever is
// not an item. It returns 1, or the kind of thing that is in the way.
const setScript = `
if redis.call('HINCRBY', KEYS[1], 'version', 1) == 1 and redis.call('HLEN', KEYS[1]) > 1 then
  redis.call('HDEL', KEYS[1], 'version')
  return 'hash without a version'
end
redis.call('HSET', KEYS[1], 'data', ARGV[1])
if ARGV[2] == '0' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
`

// writeScript carries out operations, one per KEYS entry (keys may repeat), all
// or none. For each there are four ARGV: flags, etag, TTL in ms or 0, data. The
// flags are s (set) or d (delete), then = (etag must match), + (key must not
// exist) or - (neither), then f (leave the first-write mark) or -. It returns
// {1}, or {0, n, why} for the operation n, counted from 1, that is in the way;
// why is 'changed', 'missing', 'exists', or the kind of foreign thing.
//
// The first loop only looks, and keeps account of what the operations before
// would have done; the second writes, and has no reason left to fail.
const writeScript = `
local versions = {}
for i = 1, #KEYS do
  local key, flags = KEYS[i], ARGV[4*i-3]
  local version = versions[key]
  if version == nil then
    local kind = redis.call('TYPE', key).ok
    version = false
    if kind == 'hash' then
      version = redis.call('HGET', key, 'version')
      if not version then return {0, i, 'hash without a version'} end
      if #version > 18 or not string.match(version, '^%d+$') then return {0, i, 'hash with another kind of version'} end
    elseif kind ~= 'none' then
      return {0, i, kind}
    end
  end
  local cond = string.sub(flags, 2, 2)
  if cond == '=' and version ~= ARGV[4*i-2] then return {0, i, version and 'changed' or 'missing'} end
  if cond == '+' and version then return {0, i, 'exists'} end
  if string.sub(flags, 1, 1) == 'd' then
    versions[key] = false
  else
    versions[key] = string.format('%.0f', tonumber(version or '0') + 1)
  end
end
for i = 1, #KEYS do
  local key, flags, ttl = KEYS[i], ARGV[4*i-3], ARGV[4*i-1]
  if string.sub(flags, 1, 1) == 'd' then
    redis.call('DEL', key)
  else
    redis.call('HINCRBY', key, 'version', 1)
    redis.call('HSET', key, 'data', ARGV[4*i])
    if string.sub(flags, 3, 3) == 'f' then redis.call('HSET', key, 'first-write', 0) end
    if ttl == '0' then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, ttl) end
  end
end
return {1}
`

// tryScript does to KEYS[1] what writes do, each with an argument that Redis refuses
// after it has looked whether the rest is allowed: nothing is ever changed. It returns
// 1, or the first other refusal.
const tryScript = `
for _, command in ipairs({{'HINCRBY', KEYS[1], 'version', 'trial'}, {'HSET', KEYS[1], 'data', 'trial', 'no value'}}) do
  local reply = redis.pcall(unpack(command))
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'not an integer') and not string.find(reply.err, 'number of arg') then
    return redis.error_reply(reply.err)
  end
end
return 1
`

// script is a Lua script and the name that Redis knows it by.
type script struct{ source, sha string }

func newScript(source string) script {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // see above
	return script{source: source, sha: hex.EncodeToString(sum[:])}
}

// call returns the command that runs s by its name.
func (s script) call(ctx context.Context, keys []string, args ...any) *goredis.Cmd {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, "evalsha", s.sha, len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	return goredis.NewCmd(ctx, append(all, args...)...)
}

// withSource returns cmd, a call of one of scripts that Redis did not know,
// with the script itself, which Redis keeps then.
func withSource(ctx context.Context, cmd goredis.Cmder, scripts []script) goredis.Cmder {
	args := cmd.Args()
	for _, s := range scripts {
		if args[1] == any(s.sha) {
			return goredis.NewCmd(ctx, append([]any{"eval", s.source}, args[2:]...)...)
		}
	}
	return cmd
}

// unknownScript tells whether cmd failed because Redis does not know its script.
func unknownScript(cmd goredis.Cmder) bool {
	return cmd.Err() != nil && strings.HasPrefix(cmd.Err().Error(), "NOSCRIPT ")
}
