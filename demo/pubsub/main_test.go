package main

import (
	"context"
	"fmt"
	"log"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/demo/internal/ottavotest"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

// lines passes on what is printed, line by line.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// block returns what README.md says that somebody prints.
func block(t *testing.T, who string) string {
	t.Helper()
	blocks := ottavotest.CodeBlocks(t, "demo/pubsub/README.md", "```"+who)
	if len(blocks) != 1 {
		t.Fatalf("README.md has %d blocks %s, want 1", len(blocks), who)
	}
	return blocks[0]
}

// Publisher and subscriber print what README.md says, whichever way the events take.
func TestDemo(t *testing.T) {
	commands := strings.Join(ottavotest.CodeBlocks(t, "demo/pubsub/README.md", "```sh"), "")
	for _, want := range []string{"subscriber", "publisher", "-callbacks 127.0.0.1:9999 subscriber"} {
		if !strings.Contains(commands, "go run ./demo/pubsub "+want+"\n") {
			t.Errorf("README.md does not say how to start %q", want)
		}
	}
	for _, way := range []string{"stream", "callbacks"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			port := testserver.Port(t)
			rt := runtimetest.Start(t, ottavotest.DefaultConfig(t, ottavotest.NoCallbacks, fmt.Sprintf("grpc_callback_port: %d", port)))
			address := rt.Addr(t, rt.Config.Runtime.Listener)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			printed, ended := make(lines, 1000), make(chan error, 1)
			next := func() string {
				t.Helper()
				select {
				case line := <-printed:
					return line
				case err := <-ended:
					t.Fatalf("the subscriber ended with %v", err)
				case <-ctx.Done():
					t.Fatal("the subscriber prints nothing")
				}
				return ""
			}
			if way == "stream" {
				go func() { ended <- subscribe(ctx, address, log.New(printed, "", 0)) }()
				if line := next(); line != "subscribed\n" {
					t.Errorf("it printed %q", line)
				}
			} else {
				go func() { ended <- listen(ctx, fmt.Sprintf("127.0.0.1:%d", port), log.New(printed, "", 0)) }()
				if line := next(); line != "listening\n" {
					t.Errorf("it printed %q", line)
				}
				untilSubscribed(ctx, t, address, printed)
			}
			var out strings.Builder
			if err := publish(ctx, address, log.New(&out, "", 0)); err != nil {
				t.Fatal(err)
			}
			if want := block(t, "publisher"); out.String() != want {
				t.Errorf("the publisher printed\n%swant\n%s", &out, want)
			}
			// When the one that failed comes again depends on how fast all of this is.
			want := slices.Sorted(strings.Lines(block(t, "subscriber")))
			var got []string
			for len(got) < len(want) {
				if line := next(); !strings.Contains(line, "probe") {
					got = append(got, line)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("the subscriber printed\n%q, want\n%q", got, want)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// untilSubscribed publishes until the runtime has found the application.
func untilSubscribed(ctx context.Context, t *testing.T, address string, printed lines) {
	t.Helper()
	client, err := ottavo.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // nothing hangs on it
	ottavotest.Eventually(t, 2*time.Minute, "the application gets events", func() error {
		if err := client.PubSub(broker).Publish(ctx, topic, []byte("probe")); err != nil {
			return err
		}
		select {
		case <-printed:
			return nil
		default:
			return fmt.Errorf("nothing came yet")
		}
	})
}
