package ottavotest

import (
	"context"
	"log"
	"strings"
	"testing"
	"time"
)

// Prints runs a demo twice, as it can be run again, and fails the test unless it
// prints each time what demo/<name>/README.md says, in its only block of text, and
// the README has the command.
func Prints(t testing.TB, name string, run func(context.Context, *log.Logger) error) {
	t.Helper()
	readme := "demo/" + name + "/README.md"
	want := CodeBlocks(t, readme, "```text")
	if len(want) != 1 {
		t.Fatalf("%s has %d blocks of output, want 1", readme, len(want))
	}
	if commands := strings.Join(CodeBlocks(t, readme, "```sh"), ""); !strings.Contains(commands, "make run\n") || !strings.Contains(commands, "go run ./demo/"+name+"\n") {
		t.Errorf("%s has the commands\n%swant those that start the runtime and the demo", readme, commands)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for range 2 {
		var out strings.Builder
		if err := run(ctx, log.New(&out, "", 0)); err != nil {
			t.Fatalf("%v\nafter\n%s", err, &out)
		}
		if out.String() != want[0] {
			t.Errorf("it printed\n%swant, as in %s\n%s", &out, readme, want[0])
		}
	}
}
