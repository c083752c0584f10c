package capability

import (
	"maps"

	"github.com/ottavo-runtime/ottavo/components/sequencer"
)

// SequencerStore is one configured component.
type SequencerStore struct {
	// Sequencer does the work.
	Sequencer sequencer.Sequencer
	// Prefix is put before every key.
	Prefix KeyPrefix
}

// Sequencer is the capability over the components it was made from.
type Sequencer struct {
	stores map[string]SequencerStore
}

// NewSequencer takes them by their names. The map is copied.
func NewSequencer(stores map[string]SequencerStore) *Sequencer {
	return &Sequencer{stores: maps.Clone(stores)}
}
