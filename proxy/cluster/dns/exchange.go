package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	// udpSize is the largest answer asked for over UDP: what passes the networks
	// of today in one piece. What is larger comes truncated, and again over TCP.
	udpSize = 1232
	// maxStray is how many packets that are no answer to the question are passed
	// over, before it is asked anew with another id from another port: so many
	// guesses has who wants to answer in the server's place.
	maxStray = 16
	// maxAsked is how often an answer that ends in an alias is followed by a
	// question for what it stands for.
	maxAsked = 4
)

// refusedError says that a server has answered, but not the question.
type refusedError struct{ server, why string }

func (e *refusedError) Error() string { return "name server " + e.server + ": " + e.why }

// find returns the addresses of a full name, and for how long they hold.
func (r *Resolver) find(ctx context.Context, s *settings, name string, family Family) ([]netip.Addr, time.Duration, error) {
	var v4, v6 []netip.Addr
	ttl4, ttl6 := maxTTL, maxTTL
	none := &NotFoundError{Name: name, Family: family}
	if family != V4Only {
		var err error
		v6, ttl6, err = r.ask(ctx, s, name, dns.TypeAAAA)
		switch {
		case err == nil && family != All:
			return v6, ttl6, nil
		case err != nil && !none.merge(err) && (family != Auto || ended(ctx) != nil):
			return nil, 0, err
		case err != nil:
			ttl6 = maxTTL
		}
	}
	if family != V6Only {
		var err error
		v4, ttl4, err = r.ask(ctx, s, name, dns.TypeA)
		switch {
		case err != nil && !none.merge(err):
			return nil, 0, err
		case err != nil:
			ttl4 = maxTTL
		}
	}
	if len(v4)+len(v6) == 0 {
		return nil, 0, none
	}
	return append(v4, v6...), min(ttl4, ttl6), nil
}

// merge notes what another NotFoundError says; false if err is none.
func (e *NotFoundError) merge(err error) bool {
	o, ok := errors.AsType[*NotFoundError](err)
	if ok {
		e.Exists = e.Exists || o.Exists
	}
	return ok
}

// ask returns the addresses of one type that a full name has, following aliases.
func (r *Resolver) ask(ctx context.Context, s *settings, name string, qtype uint16) ([]netip.Addr, time.Duration, error) {
	ttl := maxTTL
	asked := name
	for range maxAsked {
		msg, server, err := r.exchange(ctx, s, asked, qtype)
		if err != nil {
			return nil, 0, err
		}
		a, ok := read(msg.Answer, asked, qtype)
		ttl = min(ttl, a.ttl)
		switch {
		case !ok:
			return nil, 0, &refusedError{server, fmt.Sprintf("more than %d aliases, or aliases in a circle, for %s", maxLinks, name)}
		case len(a.addrs) > 0:
			return a.addrs, ttl, nil
		case msg.Rcode == dns.RcodeNameError:
			return nil, 0, &NotFoundError{Name: name}
		case sameName(a.end, asked) || final(msg):
			return nil, 0, &NotFoundError{Name: name, Exists: true}
		}
		asked = a.end
	}
	return nil, 0, fmt.Errorf("the servers lead from alias to alias for %s, %d times", name, maxAsked)
}

// final reports whether the server says that the end of its aliases has nothing
// of what was asked for, instead of saying nothing of it.
func final(msg *dns.Msg) bool {
	for _, rr := range msg.Ns {
		if rr.Header().Rrtype == dns.TypeSOA {
			return true
		}
	}
	return false
}

// exchange asks the servers in turn. The answer says that there is the name, or
// that there is not. The error is a *refusedError if all servers refused.
func (r *Resolver) exchange(ctx context.Context, s *settings, name string, qtype uint16) (*dns.Msg, string, error) {
	var refused, silent error
	for range s.attempts {
		for _, server := range s.servers {
			msg, err := r.try(ctx, s, server, name, qtype)
			if over := ended(ctx); over != nil {
				return nil, "", over
			}
			if err == nil {
				if why := refusal(msg); why == "" {
					return msg, server, nil
				} else {
					refused = &refusedError{server, why + " for " + name}
				}
				continue
			}
			silent = fmt.Errorf("name server %s does not answer for %s: %w", server, name, err)
		}
	}
	if silent != nil {
		return nil, "", silent
	}
	return nil, "", refused
}

// ended returns why ctx has ended; nil if it has not. A connection can notice a
// deadline before the context does.
func ended(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// refusal returns why an answer is not one to the question; "" if it is.
func refusal(msg *dns.Msg) string {
	switch msg.Rcode {
	case dns.RcodeNameError:
		return ""
	case dns.RcodeSuccess:
		if len(msg.Answer) == 0 && !msg.Authoritative && !msg.RecursionAvailable && !final(msg) {
			return "it refers to other servers"
		}
		return ""
	}
	if text, ok := dns.RcodeToString[msg.Rcode]; ok {
		return text
	}
	return fmt.Sprintf("response code %d", msg.Rcode)
}

// try asks one server once: over UDP, with what that leads to.
func (r *Resolver) try(ctx context.Context, s *settings, server, name string, qtype uint16) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	q := new(dns.Msg)
	q.SetQuestion(name, qtype)
	q.SetEdns0(udpSize, false)
	msg, err := r.send(ctx, "udp", server, q)
	if err == nil && (msg.Rcode == dns.RcodeFormatError || msg.Rcode == dns.RcodeNotImplemented || msg.Rcode == dns.RcodeBadVers) {
		q.Extra = nil // a server of before EDNS0
		msg, err = r.send(ctx, "udp", server, q)
	}
	if err == nil && msg.Truncated {
		msg, err = r.send(ctx, "tcp", server, q)
	}
	return msg, err
}

// send sends a question with a new id over a new socket, and returns the answer.
func (r *Resolver) send(ctx context.Context, network, server string, q *dns.Msg) (*dns.Msg, error) {
	q.Id = dns.Id()
	packed, err := q.Pack()
	if err != nil {
		return nil, err
	}
	c, err := r.dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	if network == "tcp" {
		return overStream(c, packed, q)
	}
	return overPackets(c, packed, q)
}

func overPackets(c net.Conn, packed []byte, q *dns.Msg) (*dns.Msg, error) {
	if _, err := c.Write(packed); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096) // more than was asked for
	for range maxStray {
		n, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		if msg := answer(buf[:n], q); msg != nil {
			return msg, nil
		}
	}
	return nil, fmt.Errorf("%d packets were no answers to the question", maxStray)
}

func overStream(c net.Conn, packed []byte, q *dns.Msg) (*dns.Msg, error) {
	if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, buf); err != nil {
		return nil, err
	}
	msg := answer(buf, q)
	if msg == nil || msg.Truncated {
		return nil, fmt.Errorf("what came over TCP is no answer to the question")
	}
	return msg, nil
}

// answer returns the message in a packet if it answers q; else nil.
func answer(packet []byte, q *dns.Msg) *dns.Msg {
	msg := new(dns.Msg)
	err := msg.Unpack(packet)
	if err != nil && !msg.Truncated { // where it is cut, it need not be whole
		return nil
	}
	if msg.Id != q.Id || !msg.Response || msg.Opcode != dns.OpcodeQuery {
		return nil
	}
	if len(msg.Question) == 0 && msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError {
		return msg // a refusal may be a header alone
	}
	if len(msg.Question) != 1 {
		return nil
	}
	want, got := q.Question[0], msg.Question[0]
	if got.Qtype != want.Qtype || got.Qclass != want.Qclass || !sameName(got.Name, want.Name) {
		return nil
	}
	return msg
}
