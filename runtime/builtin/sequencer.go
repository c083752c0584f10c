package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/sequencer"
	"github.com/ottavo-runtime/ottavo/components/sequencer/embedded"
	"github.com/ottavo-runtime/ottavo/components/sequencer/memory"
)

// sequencers are the makers of ids.
func sequencers() []components.Row[sequencer.Sequencer] {
	return []components.Row[sequencer.Sequencer]{
		{Type: memory.Type, Doc: "in this process; begins anew when it ends", Metadata: &memory.Metadata{}, New: memory.New},
		{Type: embedded.Type, Doc: "a file of this process; survives a crash", Metadata: &embedded.Metadata{}, New: embedded.New},
	}
}
