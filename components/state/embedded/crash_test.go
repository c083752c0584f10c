package embedded

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/ottavo-runtime/ottavo/components/state"
)

// crashChildEnv makes the test binary a child that writes to the file it names.
const crashChildEnv = "OTTAVO_EMBEDDED_CRASH_CHILD"

const crashWriters = 4

// crashChild writes from several goroutines, one key each, growing numbers,
// and prints "writer number" once the store has acknowledged it. It goes on
// until it is killed.
func crashChild(path string) {
	ctx := context.Background()
	s, err := open(ctx, path, bolt.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var out sync.Mutex
	var wg sync.WaitGroup
	for w := range crashWriters {
		wg.Go(func() {
			last := 0
			item, err := s.Get(ctx, state.Get{Key: crashKey(w)})
			if err == nil && item != nil {
				_, err = fmt.Sscanf(string(item.Value), "%d ", &last)
			}
			for n := last + 1; err == nil; n++ {
				if err = s.Transact(ctx, []state.Op{
					{Key: crashKey(w), Value: crashValue(w, n)},
					{Key: crashKey(w) + "/twin", Value: crashValue(w, n), TTL: time.Hour},
				}); err == nil {
					out.Lock()
					_, err = fmt.Printf("%d %d\n", w, n)
					out.Unlock()
				}
			}
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		})
	}
	wg.Wait()
}

func crashKey(writer int) string { return fmt.Sprintf("writer-%d", writer) }

func crashValue(writer, n int) []byte {
	return fmt.Appendf(nil, "%d %d %s", n, writer, strings.Repeat("x", n%5000))
}

// TestKillLosesNoAcknowledgedWrite kills a process that writes, several times
// at random moments, and looks for every write that it had acknowledged.
func TestKillLosesNoAcknowledgedWrite(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "crash.db")
	acked := make([]int, crashWriters)
	for round := range 6 {
		before := slices.Clone(acked)
		killChild(t, exe, path, time.Duration(20+rand.IntN(200))*time.Millisecond, acked)
		if slices.Equal(acked, before) {
			t.Errorf("round %d: nothing was acknowledged, the test shows nothing", round)
		}

		s, err := open(t.Context(), path, bolt.Options{})
		if err != nil {
			t.Fatalf("round %d: opening after the kill: %v", round, err)
		}
		for w, n := range acked {
			item := get(t, s, crashKey(w))
			if item == nil {
				t.Fatalf("round %d: writer %d had acknowledged %d, its key is gone", round, w, n)
			}
			got := 0
			if _, err := fmt.Sscanf(string(item.Value), "%d ", &got); err != nil {
				t.Fatal(err)
			}
			// The last write may be there without its acknowledgement having been read.
			if got < n || got > n+1 || string(item.Value) != string(crashValue(w, got)) {
				t.Errorf("round %d: writer %d had acknowledged %d, the file has %d", round, w, n, got)
			}
			if twin := get(t, s, crashKey(w)+"/twin"); twin == nil || string(twin.Value) != string(item.Value) {
				t.Errorf("round %d: half of a transaction of writer %d is there", round, w)
			}
			acked[w] = got
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killChild runs a child, kills it with SIGKILL some time after its first
// acknowledgement, and notes the last one of each writer.
func killChild(t *testing.T, exe, path string, after time.Duration, acked []int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), crashChildEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kill *time.Timer
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // the child is dead; a line without an end does not count
			break
		}
		var w, n int
		if _, err := fmt.Sscanf(line, "%d %d\n", &w, &n); err != nil {
			t.Errorf("the child says %q", line)
			continue
		}
		acked[w] = n
		if kill == nil {
			kill = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the child ended by itself: %v", err)
	}
}
