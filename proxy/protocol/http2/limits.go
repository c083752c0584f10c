package http2

import (
	"time"
)

// Limits that are not options.
const (
	// maxFrame is the most bytes of payload in a frame, sent or received
	// (SETTINGS_MAX_FRAME_SIZE, which we leave at its default).
	maxFrame = 16 << 10
	// maxFields is the most fields in a header block.
	maxFields = 256
	// maxBlockFrames is the most frames in a header block.
	maxBlockFrames = 64
	// maxTrailerBytes limits a trailer section's list size.
	maxTrailerBytes = 16 << 10
	// maxControl is how many bytes of answers to control frames may wait for a
	// peer that does not read them.
	maxControl = 64 << 10
	// maxInformational is how many 1xx answers are skipped before a final one.
	maxInformational = 16
	// tableSize is HPACK's dynamic table, in either direction.
	tableSize = 4096
)

// Times that are not options.
const (
	// keepAlive is how long a session with open streams may hear nothing
	// before it asks the peer whether it is still there. Servers of gRPC send
	// clients away that ask more often than every five minutes.
	keepAlive = 5*time.Minute + 10*time.Second
	// pingWait is how long the answer to that may take.
	pingWait = 20 * time.Second
	// drainWait is how long requests that were under way when we announced
	// the end of the connection may take to arrive.
	drainWait = time.Second
	// lingerTime is how long a connection stays half open after our last
	// frame, so that the peer gets to read it.
	lingerTime = 500 * time.Millisecond
	// lingerBytes is how much of what the peer still sends is read then.
	lingerBytes = 256 << 10
)

// budget bounds the work that a peer can cause without doing any itself. It
// grows with time and with useful frames, and each useless one draws on it.
type budget struct {
	left int
	at   time.Time
}

const (
	budgetFull = 4000 // most that can be saved up
	budgetRate = 200  // per second

	costFrame = 1 // a ping, settings, priority, empty data, window update or unknown frame
	costReset = 8 // a request that was taken back, or was not one

	earnedByStream = 8 // an answered request
	earnedByData   = 4 // a frame of data, sent or received
)

// earn adds to the budget.
func (b *budget) earn(n int) { b.left = min(b.left+n, budgetFull) }

// draw takes cost from the budget; false means that it is used up.
func (b *budget) draw(cost int) bool {
	if b.left < cost {
		// Nothing is looked up while there is plenty.
		now := time.Now()
		if n := int(now.Sub(b.at) * budgetRate / time.Second); n > 0 {
			b.left = min(b.left+n, budgetFull)
			b.at = now
		}
	}
	b.left -= cost
	return b.left >= 0
}
