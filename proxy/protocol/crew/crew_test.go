package crew_test

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/crew"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// job is work that takes a while.
type job struct {
	takes time.Duration
	done  *atomic.Int64
}

func (j job) Serve() {
	time.Sleep(j.takes)
	j.done.Add(1)
}

// workers counts the goroutines of crews.
func workers() int {
	synctest.Wait()
	buf := make([]byte, 8<<20)
	return bytes.Count(buf[:runtime.Stack(buf, true)], []byte("work("))
}

// All work is begun at once, workers are used again, those that are not needed go
// home, and the last connection takes all along.
func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c crew.Crew[job]
		var done atomic.Int64
		want := func(when string, n int) {
			t.Helper()
			if got := workers(); got != n {
				t.Errorf("%s: %d workers, want %d", when, got, n)
			}
		}
		c.Join()
		c.Join()
		begin := time.Now()
		for range 300 {
			c.Do(job{100 * time.Millisecond, &done})
		}
		want("at work", 300)
		time.Sleep(100 * time.Millisecond)
		want("as many as may rest", 256)
		if done.Load() != 300 || time.Since(begin) != 100*time.Millisecond {
			t.Errorf("%d done after %v", done.Load(), time.Since(begin))
		}
		for range 30 { // ten at a time are enough
			for range 10 {
				c.Do(job{50 * time.Millisecond, &done})
			}
			time.Sleep(100 * time.Millisecond)
		}
		want("after three seconds of less work", 10)
		time.Sleep(3 * time.Second)
		want("after three seconds without", 0)

		c.Do(job{time.Second, &done})
		c.Do(job{time.Millisecond, &done})
		c.Leave()
		time.Sleep(10 * time.Millisecond)
		want("with one connection left", 2)
		c.Leave()
		want("with none", 1)
		time.Sleep(time.Second)
		want("when all is done", 0)
		if n := done.Load(); n != 602 {
			t.Errorf("%d done", n)
		}
	})
}

// Nothing is lost, whoever comes and goes meanwhile.
func TestCrewConcurrently(t *testing.T) {
	var c crew.Crew[job]
	var done atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				c.Join()
				for range 10 {
					c.Do(job{0, &done})
				}
				c.Leave()
			}
		})
	}
	wg.Wait()
	for limit := time.Now().Add(time.Minute); done.Load() != 16000 && time.Now().Before(limit); {
		runtime.Gosched()
	}
	if n := done.Load(); n != 16000 {
		t.Errorf("%d done", n)
	}
}
