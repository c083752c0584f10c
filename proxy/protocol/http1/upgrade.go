package http1

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// hidden are protocols in which further requests would pass us by, unseen:
// offers of them end here.
var hidden = [...]string{"h2c", "h2", "HTTP", "TLS"}

// passable returns those protocols of an Upgrade field's value that are passed
// on: value itself if all are, "" if none is or the value is malformed.
func passable(value string) string {
	var kept []string
	all := true
	for item := range strings.SplitSeq(value, ",") {
		item = strings.Trim(item, " \t")
		name, version, versioned := strings.Cut(item, "/")
		switch {
		case item == "":
			all = false
		case !isToken(name) || versioned && !isToken(version):
			return ""
		case among(hidden[:], name):
			all = false
		default:
			kept = append(kept, item)
		}
	}
	if all {
		return value
	}
	return strings.Join(kept, ", ")
}

func among(names []string, name string) bool {
	for _, n := range names {
		if stream.EqualName(n, name) {
			return true
		}
	}
	return false
}

// agrees reports whether chosen, the value of Upgrade in a 101, names protocols
// that were offered, and nothing else.
func agrees(offered, chosen string) bool {
	for item := range strings.SplitSeq(chosen, ",") {
		if item = strings.Trim(item, " \t"); item == "" || !offers(offered, item) {
			return false
		}
	}
	return true
}

// offers reports whether name stands in the value of Upgrade.
func offers(value, name string) bool {
	for item := range strings.SplitSeq(value, ",") {
		if stream.EqualName(strings.Trim(item, " \t"), name) {
			return true
		}
	}
	return false
}

func writeUpgrade(w *bufio.Writer, protocols string) {
	_, _ = w.WriteString("Connection: Upgrade\r\nUpgrade: ")
	_, _ = w.WriteString(protocols)
	_, _ = w.WriteString("\r\n")
}

// writeSwitch writes the head of a 101.
func writeSwitch(w *bufio.Writer, resp *stream.Response) {
	writeStatusLine(w, resp.Status)
	writeFields(w, &resp.Header)
	writeUpgrade(w, resp.Upgrade)
	_, _ = w.WriteString("\r\n")
}

// rawSize is what a direction of a tunnel reads at a time while little comes.
const rawSize = 512

// copyRaw writes to c what src has, as it comes, up to its end. While nothing
// comes it holds no large buffer, unless the last bytes happened to fill one.
// n counts the bytes that c took; moved, which may be nil, is called when it
// has taken some.
func copyRaw(c *conn.Conn, src io.Reader, moved func()) (n int64, err error) {
	small := make([]byte, rawSize)
	var large *copyBuffer
	defer func() {
		if large != nil {
			copyBuffers.Put(large)
		}
	}()
	for empty := 0; ; {
		buf := small
		if large != nil {
			buf = large[:copySize]
		}
		m, rerr := src.Read(buf)
		if m > 0 {
			k, err := c.Write(buf[:m])
			n += int64(k)
			if err != nil {
				return n, err
			}
			if empty = 0; moved != nil {
				moved()
			}
		}
		switch {
		case errors.Is(rerr, io.EOF):
			return n, nil
		case rerr != nil:
			return n, &readError{rerr}
		case m == 0:
			if empty++; empty >= maxEmptyReads {
				return n, &readError{io.ErrNoProgress}
			}
		case m >= rawSize && large == nil:
			large = copyBuffers.Get().(*copyBuffer)
		case m < rawSize && large != nil:
			copyBuffers.Put(large)
			large = nil
		}
	}
}

// offersUpgrade reports whether the client passes the request's offer on.
func offersUpgrade(req *stream.Request) bool {
	return req.Upgrade != "" && req.Tunnel != nil && req.Body == nil
}

var errUpgraded = errors.New("the connection speaks another protocol now")

// upgraded takes in a 101: the connection belongs to the exchange from here on.
func (cl *client) upgraded(req *stream.Request) error {
	f, resp := &cl.frame, &cl.resp
	switch {
	case !offersUpgrade(req):
		return bad("101 Switching Protocols without having been asked")
	case f.http10 || !f.upgrades:
		return bad("101 Switching Protocols that is no upgrade of the connection")
	case !agrees(req.Upgrade, f.upgrade):
		return bad("101 Switching Protocols to a protocol that was not offered")
	case f.length > 0 || f.chunked:
		return bad("101 Switching Protocols with a body")
	}
	resp.Upgrade, resp.ContentLength = f.upgrade, -1
	cl.finish(errUpgraded)
	cl.deadline, cl.c.NotAfter = time.Time{}, time.Time{}
	_ = cl.c.SetReadDeadline(time.Time{})
	cl.c.Release()
	cl.body.r.reset(cl.c, bodyRaw, 0, nil)
	return nil
}

// startTunnel has what the caller sends passed on to the host, in a goroutine,
// unless that was done already.
func (s *sender) startTunnel(tunnel io.ReadCloser) {
	if s.running {
		return
	}
	s.begin(tunnel)
	go s.runTunnel(tunnel)
}

func (s *sender) runTunnel(tunnel io.ReadCloser) {
	c := s.cl.c
	_, err := copyRaw(c, tunnel, nil)
	_, source := errors.AsType[*readError](err)
	switch {
	case err == nil:
		_ = c.CloseWrite() // if it is dead, who reads it learns that
	case conn.LeftInOrder(err): // what the host says still counts, up to its end
	default:
		s.mu.Lock()
		s.failed = err
		s.mu.Unlock()
		switch {
		case source && sourceError(err).Kind == stream.Reset:
			_ = c.Abort() // the host is not to take it for an end in order
		case source || errors.Is(err, os.ErrDeadlineExceeded):
			_ = c.Close()
		}
	}
	_ = tunnel.Close()
	s.done <- err
}

// agreed reports whether resp is a 101 to what the caller offered.
func (x *exchange) agreed(resp *stream.Response) bool {
	return resp.Status == http.StatusSwitchingProtocols && x.tunnel != nil && resp.Body != nil && agrees(x.tunnel.offered, resp.Upgrade)
}

// upgrade answers 101 and passes on what the host sends, until both directions
// have ended. It returns errLast for an end in order.
func (x *exchange) upgrade(resp *stream.Response) error {
	t, c := x.tunnel, x.c
	if x.watch.stop() {
		return errLast
	}
	writeSwitch(c.Writer(), resp)
	if err := c.Writer().Flush(); err != nil {
		return err
	}
	c.NotAfter = time.Time{}
	_ = c.SetReadDeadline(time.Time{})
	c.Release()
	t.open()
	n, err := copyRaw(c, resp.Body, t.touch)
	if err == nil {
		_ = c.CloseWrite() // if it is dead, who reads it learns that
		t.wait()
	}
	idle := t.end()
	x.req.Info.BytesIn, x.req.Info.BytesOut = t.taken, n
	switch {
	case idle:
		c.SetCause(conn.IdleTimeout)
		return errLast
	case err == nil:
		return errLast
	case errors.As(err, new(*readError)):
		_ = c.Abort() // the caller is not to take it for an end in order
	}
	return err
}
