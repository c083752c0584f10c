package builtin_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver/nats"
	delayqueuev1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/delay_queue"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

func publishLater(ctx context.Context, cc grpc.ClientConnInterface, data string, seconds int32) error {
	_, err := delayqueuev1.NewDelayQueueClient(cc).PublishDelayMessage(ctx, &delayqueuev1.DelayMessageRequest{
		ComponentName: "one", Topic: "topic", Data: []byte(data), DelayInSeconds: seconds,
	})
	return err
}

// TestDelayStore: a broker without delays has some with delayStore, not before their
// time, and while it is away they wait.
func TestDelayStore(t *testing.T) {
	t.Parallel()
	matrix.Backend(t, "pubsub", "jetstream")
	s := nats.Start(t, "")
	makeStream(t, s.Addr)
	file := func(more string) string {
		return faultFile(s.Addr, "", faultComponent{kind: "pubsub", typ: "jetstream", config: func(addr, _ string) string {
			return fmt.Sprintf("metadata: {natsURL: \"nats://%s\", ackWait: 2s%s}", addr, more)
		}})
	}
	without := newPatient(t, file(""))
	if err := publishLater(t.Context(), without.cc, "x", 1); status.Code(err) != codes.InvalidArgument {
		t.Errorf("without it: %v", err)
	}

	p := newPatient(t, file(", delayStore: embedded"))
	p.up(testserver.Patience)
	heard := subscribeTopic(t.Context(), t, p.cc, "one")
	begin := time.Now()
	if err := publishLater(t.Context(), p.cc, "second", 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, testserver.Patience, "it arrives", func(context.Context) error { return heard.missing([]string{"second"}) })
	if took := time.Since(begin); took < time.Second {
		t.Errorf("it came after %s", took)
	}
	s.Stop()
	if err := publishLater(t.Context(), p.cc, "away", 1); err != nil {
		t.Errorf("while the broker is away: %v", err)
	}
	p.down(testserver.Patience, "pubsub")
	s.Start()
	eventually(t, testserver.Patience, "it arrives when the broker is back", func(context.Context) error { return heard.missing([]string{"away"}) })
	p.up(testserver.Patience)
}
