package rediscluster

import (
	"fmt"
	"strconv"

	goredis "github.com/go-redis/redis/v8"
)

// tokenKey holds the last fencing token of a server, as the type redis has it.
const tokenKey = "ottavo|||fencing-token"

// Each script replies with one of these, and for another's lock with its owner.
const (
	free   = 0 // nobody holds it
	done   = 1
	others = 2 // another owner holds it
)

var (
	// tryScript takes KEYS[1] for the owner ARGV[1] and ARGV[2] milliseconds; done
	// comes with a token.
	tryScript = goredis.NewScript(`
local last = tonumber(redis.call('GET', KEYS[2]) or '0') or 0
local owner = redis.call('GET', KEYS[1])
if owner then return {2, owner} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local now = redis.call('TIME')
local token = string.format('%.0f', math.max(last + 1, now[1] * 1000000 + now[2]))
redis.call('SET', KEYS[2], token)
return {1, token}`)
	// tokenScript makes the last token at least ARGV[1].
	tokenScript = goredis.NewScript(`
if (tonumber(redis.call('GET', KEYS[1]) or '0') or 0) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return {1, ''}`)
	// checkScript writes the last token as it is.
	checkScript = goredis.NewScript(`
redis.call('SET', KEYS[1], redis.call('GET', KEYS[1]) or '0')
return {1, ''}`)
	unlockScript = goredis.NewScript(`
local owner = redis.call('GET', KEYS[1])
if not owner then return {0, ''} end
if owner ~= ARGV[1] then return {2, owner} end
redis.call('DEL', KEYS[1])
return {1, ''}`)
	renewScript = goredis.NewScript(`
local owner = redis.call('GET', KEYS[1])
if not owner then return {0, ''} end
if owner ~= ARGV[1] then return {2, owner} end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {1, ''}`)
)

// reply is what one server answered.
type reply struct {
	code int64
	text string // the owner, or the token
	err  error
	late <-chan reply // of a server that had not answered in time: its answer, when it comes
}

// read makes a reply of what a script returned.
func read(value any, err error) reply {
	if err != nil {
		return reply{err: err}
	}
	list, _ := value.([]any)
	if len(list) == 2 {
		code, ok1 := list[0].(int64)
		text, ok2 := list[1].(string)
		if ok1 && ok2 {
			return reply{code: code, text: text}
		}
	}
	return reply{err: fmt.Errorf("redis replied %v", value)}
}

// votes are the replies, counted.
type votes struct {
	yes     int            // done
	unknown int            // no answer
	holders map[string]int // others, by owner
	most    int            // for the one of them who has the most
	token   uint64         // the greatest
}

func count(replies []reply) votes {
	v := votes{holders: map[string]int{}}
	for _, r := range replies {
		switch {
		case r.err != nil:
			v.unknown++
		case r.code == done:
			v.yes++
			if token, err := strconv.ParseUint(r.text, 10, 64); err == nil {
				v.token = max(v.token, token)
			}
		case r.code == others:
			v.holders[r.text]++
			v.most = max(v.most, v.holders[r.text])
		}
	}
	return v
}
