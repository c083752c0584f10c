package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
)

// sequencers are the makers of ids.
func sequencers() []components.Row[sequencer.Sequencer] {
	return nil
}
