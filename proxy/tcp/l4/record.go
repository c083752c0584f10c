package l4

import (
	"fmt"
	"net/netip"
	"time"
)

// Record is what is known about a connection, or a UDP session, after its end.
type Record struct {
	Listener string
	// Label is the configuration's stat_prefix.
	Label string
	// Cluster and Host say where it went; "" as far as it did not get.
	Cluster, Host string
	// Source is the client, Destination what it connected to; not valid where
	// there is no IP address.
	Source, Destination netip.AddrPort
	Start               time.Time
	// Duration is the time from Start to the end, Connect the part of it that
	// passed until a host was connected.
	Duration, Connect time.Duration
	// Attempts counts the connect attempts.
	Attempts int
	// Sent counts bytes that the host's connection took, Received those that
	// the client's took.
	Sent, Received int64
	// End is why it ended, Err the error if there was one.
	End End
	Err error
}

// End is why a connection ended.
type End uint8

// The ends. The first one to happen counts: when the client closes and the
// host then does, too, that is ClientClosed.
const (
	Unknown      End = iota // a defect of ours
	ClientClosed            // the client was the first to end its direction
	HostClosed              // the host was the first to end its direction
	ClientBroke             // the client's connection failed
	HostBroke               // the host's connection failed
	Idle                    // no byte in either direction for too long
	NoRoute                 // no route matched
	NotConnected            // no host could be connected
	Stopped                 // this side is shutting down
)

var endNames = [...]string{
	Unknown: "unknown", ClientClosed: "client closed", HostClosed: "host closed", ClientBroke: "client broke off",
	HostBroke: "host broke off", Idle: "idle", NoRoute: "no route", NotConnected: "not connected", Stopped: "stopped",
}

// String returns the end in words.
func (e End) String() string {
	if int(e) < len(endNames) {
		return endNames[e]
	}
	return fmt.Sprintf("end %d", uint8(e))
}
