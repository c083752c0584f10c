package redis

import (
	"context"

	goredis "github.com/go-redis/redis/v8"
)

// rawPending returns how many messages of a topic are not acknowledged.
func (b *Broker) rawPending(ctx context.Context, topic string) (n int64, err error) {
	err = b.client.Do(ctx, true, func(ctx context.Context, r goredis.UniversalClient) error {
		p, err := r.XPending(ctx, topic, b.group).Result()
		if err == nil {
			n = p.Count
		}
		return err
	})
	return n, err
}
