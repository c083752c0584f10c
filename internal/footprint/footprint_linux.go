package footprint

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Trim unmaps the pages of the program's own file. Those that are needed come back
// one by one, from the kernel's cache, in a fraction of a microsecond each; nothing is
// read from disk. It takes a few milliseconds; call it when the start is over. Safe
// for concurrent use.
func Trim() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("footprint: %w", err)
	}
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("footprint: %w", err)
	}
	areas, err := ownPages(file, exe)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("footprint: %w", err)
	}
	for _, a := range areas {
		if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, a.start, a.end-a.start, syscall.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("footprint: madvise: %w", errno)
		}
	}
	return nil
}

// area is a part of the address space.
type area struct{ start, end uintptr }

// ownPages finds, in the form of /proc/self/smaps, the parts that hold the bytes of a
// file and nothing else: not writable, and without a page that was written before it
// became so (a dynamic linker does that).
func ownPages(smaps io.Reader, file string) ([]area, error) {
	var found []area
	var now area
	candidate := false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		if from, to, ok := strings.Cut(fields[0], "-"); ok && !strings.HasSuffix(fields[0], ":") {
			start, err1 := strconv.ParseUint(from, 16, 64)
			end, err2 := strconv.ParseUint(to, 16, 64)
			if err := errors.Join(err1, err2); err != nil {
				return nil, err
			}
			now = area{uintptr(start), uintptr(end)}
			// address, permissions, offset, device, inode, name
			candidate = len(fields) >= 6 && strings.Join(fields[5:], " ") == file && (fields[1] == "r-xp" || fields[1] == "r--p")
			continue
		}
		if candidate && fields[0] == "Anonymous:" {
			if fields[1] == "0" {
				found = append(found, now)
			}
			candidate = false
		}
	}
	return found, lines.Err()
}
