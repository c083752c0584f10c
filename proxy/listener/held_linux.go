package listener

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// nobodyListens reports whether the system says that no TCP socket listens on
// the port, at any address. See proc_net_tcp.txt of the Linux kernel: the second
// column is the local address, the fourth the state, where 0A is LISTEN.
func nobodyListens(port int) bool {
	end := ":" + strings.ToUpper(strconv.FormatInt(0x10000|int64(port), 16)[1:])
	for _, path := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(path, "6") {
			continue // a system without IPv6
		}
		if err != nil {
			return false // nobody knows
		}
		found, ok := listens(bufio.NewScanner(f), end)
		_ = f.Close()
		if found || !ok {
			return false
		}
	}
	return true
}

// listens looks for a socket that listens on an address with this end; ok is
// whether all was read.
func listens(lines *bufio.Scanner, end string) (found, ok bool) {
	for lines.Scan() {
		columns := strings.Fields(lines.Text())
		if len(columns) > 3 && columns[3] == "0A" && strings.HasSuffix(columns[1], end) {
			return true, true
		}
	}
	return false, lines.Err() == nil
}
