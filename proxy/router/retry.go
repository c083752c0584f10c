package router

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// retryWord is what a word of retry_on adds to a policy.
type retryWord struct {
	on       stream.RetryOn
	statuses []int
	grpc     []int
}

// Sets of conditions that several words stand for.
const (
	retrySafely  = stream.RetryConnect | stream.RetryReset
	retryDefault = retrySafely | stream.RetryStatus
)

// retryWords are the words that retry_on may hold.
var retryWords = map[string]retryWord{
	"connect-failure":        {on: stream.RetryConnect},
	"reset":                  {on: stream.RetryReset},
	"reset-before-request":   {on: stream.RetryReset},
	"reset-any":              {on: stream.RetryReset | stream.RetryResetAny},
	"refused-stream":         {on: retrySafely},
	"per-try-timeout":        {on: stream.RetryTry},
	"per-try-timeout-any":    {on: stream.RetryTry | stream.RetryTryAny},
	"5xx":                    {on: retryDefault},
	"gateway-error":          {on: retryDefault, statuses: []int{502, 503, 504}},
	"status":                 {on: stream.RetryStatus},
	"retriable-status-codes": {on: stream.RetryStatus},
	"grpc":                   {on: stream.RetryGRPC, grpc: []int{1, 4, 8, 13, 14}},
	"cancelled":              {on: stream.RetryGRPC, grpc: []int{1}},
	"deadline-exceeded":      {on: stream.RetryGRPC, grpc: []int{4}},
	"resource-exhausted":     {on: stream.RetryGRPC, grpc: []int{8}},
	"internal":               {on: stream.RetryGRPC, grpc: []int{13}},
	"unavailable":            {on: stream.RetryGRPC, grpc: []int{14}},
}

// Back-off where the configuration says nothing of it.
const (
	defaultBackOff    = 25 * time.Millisecond
	defaultBackOffMax = 250 * time.Millisecond
)

// retry compiles a retry policy; nil if it asks for no retries.
func (c *compiler) retry(cfg *config.RetryPolicy, path string) *stream.Retry {
	if cfg.NumRetries < 0 {
		c.fail(path+".num_retries", "0 is the default of 1", "must not be negative, is %d", cfg.NumRetries)
	}
	for i, status := range cfg.StatusCodes {
		if status < 100 || status > 599 {
			c.fail(decode.At(path+".status_codes", i), "", "must be from 100 to 599, is %d", status)
		}
	}
	r := &stream.Retry{Max: cfg.NumRetries, Base: defaultBackOff, Cap: defaultBackOffMax}
	if r.Max == 0 {
		r.Max = 1
	}
	if b := cfg.BackOff; b != nil {
		c.notNegative(path+".retry_back_off.base_interval", "no wait", b.Base)
		c.notNegative(path+".retry_back_off.max_interval", "no limit", b.Max)
		if r.Base, r.Cap = b.Base, b.Max; r.Cap > 0 && r.Cap < r.Base {
			c.warn(path+".retry_back_off.max_interval", "make it longer", "is below base_interval, so no wait is longer than %v", r.Cap)
		}
	}
	every, gateway := false, false
	for _, word := range c.retryOn(cfg.RetryOn, path+".retry_on") {
		w := retryWords[word]
		r.On |= w.on
		r.GRPC = append(r.GRPC, w.grpc...)
		gateway = gateway || w.statuses != nil
		every = every || w.statuses == nil && w.on&stream.RetryStatus != 0
	}
	slices.Sort(r.GRPC)
	r.GRPC = slices.Compact(r.GRPC)
	switch {
	case len(cfg.StatusCodes) > 0:
		r.Statuses = slices.Clone(cfg.StatusCodes)
		if r.On&stream.RetryStatus == 0 {
			c.warn(path+".status_codes", "add status to retry_on", "has no effect, as retry_on does not name the status")
		}
	case gateway && !every:
		r.Statuses = retryWords["gateway-error"].statuses
	}
	if r.On == 0 {
		return nil
	}
	return r
}

// retryOn returns the words that the value stands for.
func (c *compiler) retryOn(value any, path string) (words []string) {
	switch v := value.(type) {
	case nil:
		c.warn(path, "set it to true, or list conditions", "is not given, so nothing is sent again")
	case bool:
		if v {
			return []string{"5xx"}
		}
	case string:
		if b, err := strconv.ParseBool(v); err == nil {
			return c.retryOn(b, path)
		}
		for word := range strings.SplitSeq(v, ",") {
			if word = strings.TrimSpace(word); word != "" {
				words = append(words, c.retryWord(word, path)...)
			}
		}
	case []string:
		for i, word := range v {
			words = append(words, c.retryWord(word, decode.At(path, i))...)
		}
	case []any:
		for i, item := range v {
			word, ok := item.(string)
			if !ok {
				c.fail(decode.At(path, i), knownRetryWords(), "is no condition: %v", item)
				continue
			}
			words = append(words, c.retryWord(word, decode.At(path, i))...)
		}
	default:
		c.fail(path, "write true, or a list of: "+knownRetryWords(), "is neither true or false nor a list: %v", value)
	}
	return words
}

// retryWord returns the word if it is known, and else says so.
func (c *compiler) retryWord(word, path string) []string {
	name := lower(strings.TrimSpace(word))
	if _, ok := retryWords[name]; ok {
		return []string{name}
	}
	remedy := "known: " + knownRetryWords()
	if near := decode.Nearest(name, slices.Sorted(maps.Keys(retryWords))); near != "" {
		remedy = fmt.Sprintf("did you mean %q? %s", near, remedy)
	}
	c.fail(path, remedy, "unknown condition %q", word)
	return nil
}

func knownRetryWords() string { return strings.Join(slices.Sorted(maps.Keys(retryWords)), ", ") }
