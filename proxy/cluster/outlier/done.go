package outlier

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/cluster/lb"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// verdict is what an outcome says about a host.
type verdict uint8

const (
	nothing verdict = iota // it is not the host's doing
	well
	failed        // a status of 500 and above
	failedGateway // 502, 503 or 504, or no answer
)

// judge says what an outcome says about the host.
//
// No answer, or only a part of one, because the host could not be connected to,
// broke off, sent garbage or took too long, is a failure. That the caller went
// away, that a limit of ours was reached or that nothing was sent at all says
// nothing; then a status that was there all the same counts. An end without a
// status and without an error, of a one-way request or a connection, is well.
func judge(o *lb.Outcome) verdict {
	if o.Err != nil {
		if HostFailed(o.Err) {
			return failedGateway
		}
		if o.Status == 0 {
			return nothing
		}
	}
	switch s := o.Status; {
	case s == 499: // gRPC's CANCELLED
		return nothing
	case s >= 502 && s <= 504:
		return failedGateway
	case s >= 500:
		return failed
	}
	return well
}

// HostFailed reports whether an error is the doing of the host it came from: not
// that of the caller, nor a limit or defect of ours.
func HostFailed(err error) bool {
	e := stream.AsError(err)
	if e.Side == stream.Downstream {
		return false
	}
	switch e.Kind {
	case stream.Connect, stream.Reset:
		return true
	case stream.Timeout:
		return e.Side == stream.Upstream || !e.Retry // else it waited for a connection, or its time was over before
	case stream.BadMessage, stream.TooLarge:
		return e.Side == stream.Upstream
	}
	return false
}

// Done counts the outcome of an attempt at host, and may take the host out. It
// does not block and does not allocate, but when a host goes out. A host that
// is not judged, and one that is out, counts for nothing.
func (d *Detector) Done(host *upstream.Host, o lb.Outcome) {
	r := d.hosts.Load().find(host)
	if r == nil || r.out.Load() {
		return
	}
	switch judge(&o) {
	case nothing:
	case well:
		r.rate.Add(1<<32 | 1)
		// Looking first: while all goes well nothing is written here.
		if r.fives.Load() != 0 {
			r.fives.Store(0)
		}
		if r.gateway.Load() != 0 {
			r.gateway.Store(0)
		}
	case failed:
		r.rate.Add(1 << 32)
		if r.gateway.Load() != 0 {
			r.gateway.Store(0)
		}
		d.row(r, &r.fives, d.cfg.Consecutive5xx, "failures")
	case failedGateway:
		r.rate.Add(1 << 32)
		if !d.row(r, &r.gateway, d.cfg.ConsecutiveGateway, "gateway failures") {
			d.row(r, &r.fives, d.cfg.Consecutive5xx, "failures")
		}
	}
}

// row counts one more failure in a row, and takes the host out when there are
// as many as most. If that was not allowed, as many more have it tried again.
func (d *Detector) row(r *record, count *atomic.Uint32, most int, what string) bool {
	n := int(count.Add(1))
	if most <= 0 || n%most != 0 {
		return false
	}
	d.mu.Lock()
	out := d.eject(r, time.Now())
	d.mu.Unlock()
	if out {
		d.tell(r, fmt.Sprintf("%d %s in a row", n, what))
	}
	return out
}
