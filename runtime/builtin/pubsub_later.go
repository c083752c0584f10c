package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/later"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// withDelays gives delays to the brokers that are contrib's: those that have some of
// their own say so when they are asked for others.
func withDelays(rows []components.Row[pubsub.Broker]) []components.Row[pubsub.Broker] {
	for i, row := range rows {
		if row.Metadata != nil {
			continue
		}
		rows[i].New = later.Over(row.New)
		if row.Keys != nil {
			rows[i].Keys = func() []decode.Key {
				keys := row.Keys()
				if keys == nil { // nobody can say: ours would be the only ones
					return nil
				}
				return append(keys, later.Keys()...)
			}
		}
	}
	return rows
}
