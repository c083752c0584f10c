//go:build unix

package listener

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Waiting for somebody else's lock on a folder: how long, and how often to look.
const (
	lockTime = 3 * time.Second
	lockStep = 5 * time.Millisecond
)

// lockFolder keeps other processes, and goroutines of this one, from doing the
// same until the returned function is called. It leaves no file behind.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(lockStep)
	defer tick.Stop()
	for end := time.Now().Add(lockTime); ; <-tick.C {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // which unlocks
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) || time.Now().After(end) {
			_ = f.Close() // the lock's error is the one to tell
			return nil, fmt.Errorf("locking the folder %s: %w", dir, err)
		}
	}
}
