package proxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/ottavo-runtime/ottavo/proxy/proxytest"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// The host breaks off. Before the head the caller gets an answer that says so;
// after it, one that is broken, and never a short one that looks whole.
func TestEachHostBreaksOff(t *testing.T) {
	const body = "0123456789"
	// A body that is taken up to a point where ending is called.
	until := func(n int, ending func() error) io.ReadCloser {
		r, give := io.Pipe()
		go func() {
			_, _ = io.WriteString(give, body[:n])
			time.Sleep(time.Second) // what was written is on its way
			_ = give.CloseWithError(ending())
		}()
		return r
	}
	for _, tc := range []struct {
		name string
		got  int // bytes that the caller sees; -1: no head
		host func(ctx context.Context, p Protocol, length int64) (*stream.Response, error)
	}{
		{"connection, before the head", -1, func(ctx context.Context, _ Protocol, _ int64) (*stream.Response, error) {
			Break(ctx)
			return nil, ErrBroken
		}},
		{"exchange, before the head", -1, func(context.Context, Protocol, int64) (*stream.Response, error) { panic(ErrBroken) }},
		{"connection, behind the head", 0, func(ctx context.Context, p Protocol, length int64) (*stream.Response, error) {
			return p.Answer(200, until(0, func() error { Break(ctx); return ErrBroken }), length), nil
		}},
		{"exchange, behind the head", 0, func(_ context.Context, p Protocol, length int64) (*stream.Response, error) {
			return p.Answer(200, until(0, func() error { return ErrBroken }), length), nil
		}},
		{"connection, in the body", 6, func(ctx context.Context, p Protocol, length int64) (*stream.Response, error) {
			return p.Answer(200, until(6, func() error { Break(ctx); return ErrBroken }), length), nil
		}},
		{"exchange, in the body", 6, func(_ context.Context, p Protocol, length int64) (*stream.Response, error) {
			return p.Answer(200, until(6, func() error { return ErrBroken }), length), nil
		}},
		{"body too short", 6, func(_ context.Context, p Protocol, length int64) (*stream.Response, error) {
			if length < 0 {
				return p.Answer(200, until(6, func() error { return ErrBroken }), length), nil
			}
			return p.Answer(200, until(6, func() error { return io.EOF }), length), nil
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			EachProtocol(t, func(t *testing.T, p Protocol) {
				for i, length := range []int64{int64(len(body)), -1} {
					r := p.Start(t, 0, handler(func(ctx context.Context, req *stream.Request) (*stream.Response, error) {
						if _, err := all(req.Body); err != nil {
							return nil, err
						}
						return tc.host(ctx, p, length)
					}))
					// Not a request that might be sent again.
					begin := time.Now()
					resp, err := r.Caller(t).Handle(t.Context(), p.Request("/", strings.NewReader("hello"), 5))
					must(t, err)
					says := p.Says(resp)
					b, err := all(resp.Body)
					_ = resp.Close()
					if d := time.Since(begin); d > 2*time.Second {
						t.Errorf("%d: after %v", i, d)
					}
					if tc.got < 0 {
						if says != p.Fails(stream.Reset) && says != p.Fails(stream.BadMessage) || err != nil {
							t.Errorf("%d: the caller was told %s %q, %v", i, says, b, err)
						}
						r.Record(t, 1, 502, stream.Reset)
						continue
					}
					if says != "200" || b != body[:tc.got] || err == nil {
						t.Errorf("%d: the caller got %s %q, %v", i, says, b, err)
					}
					rec := r.Record(t, 1, 200, stream.Reset, stream.BadMessage)
					if stream.AsError(rec.Err).Side != stream.Upstream || rec.BytesOut != int64(tc.got) {
						t.Errorf("%d: record %+v", i, rec)
					}
				}
			})
		})
	}
}

// The bytes of an exchange are recorded at both ends, and played again, cut
// off after each of them.
type played struct {
	request, answer []byte
}

const (
	sentBody  = "what the caller sends"
	takenBody = "what the host answers, and no less"
)

func play(t *testing.T, p Protocol, length func(string) int64) (rec played) {
	t.Helper()
	r := p.Start(t, 0, nil)
	host := r.Network.Record(t, "host:1", p, handler(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
		if b, err := all(req.Body); b != sentBody || err != nil {
			t.Errorf("the host got %q, %v", b, err)
		}
		return p.Answer(200, strings.NewReader(takenBody), length(takenBody)), nil
	}))
	c := r.Caller(t)
	resp, err := c.Handle(t.Context(), p.Request("/", strings.NewReader(sentBody), length(sentBody)))
	must(t, err)
	if b := whole(t, resp); b != takenBody {
		t.Errorf("the caller got %q", b)
	}
	synctest.Wait()
	return played{c.Conn.Written(), host.Written()}
}

// lengths are the two ways to say how long a body is.
var lengths = []func(string) int64{
	func(s string) int64 { return int64(len(s)) },
	func(string) int64 { return -1 },
}

// The caller's connection ends after each byte of its request: the host never
// takes what it got for the whole, nothing hangs, and there is one record at most.
func TestEachCallerCutAnywhere(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		for _, length := range lengths {
			request := play(t, p, length).request
			var mu sync.Mutex
			var visits, complete int
			r := p.Start(t, 0, handler(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
				b, err := all(req.Body)
				mu.Lock()
				defer mu.Unlock()
				visits++
				if err != nil {
					return nil, err
				}
				if complete++; b != sentBody {
					t.Errorf("the host took %q for the whole", b)
				}
				return p.Answer(200, strings.NewReader(takenBody), length(takenBody)), nil
			}))
			records := 0
			for cut := range len(request) + 1 {
				c := r.Dial(t, "in")
				_, err := c.Write(request[:cut])
				must(t, err)
				time.Sleep(time.Second)
				must(t, c.Close())
				time.Sleep(time.Second)
				synctest.Wait()
				if n := r.Status(t, "in").Connections; n != 0 {
					t.Fatalf("cut after %d bytes: the connection is still served", cut)
				}
				n := len(r.Records.All())
				if n < records || n > records+1 {
					t.Errorf("cut after %d bytes: %d records", cut, n-records)
				}
				records = n
			}
			if complete == 0 || visits > records {
				t.Errorf("%d of %d requests were whole, %d records", complete, visits, records)
			}
		}
	})
}

// greeting is how many of the bytes that a host says come before it has a
// request: a host of HTTP/2 begins with SETTINGS.
func greeting(p Protocol, said []byte) int {
	if p.Name() != "Http2" {
		return 0
	}
	return 9 + (int(said[0])<<16 | int(said[1])<<8 | int(said[2]))
}

// The host's connection ends after each byte of its answer: the caller never
// takes what it got for the whole.
func TestEachHostCutAnywhere(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		for _, length := range lengths {
			answer := play(t, p, length).answer
			r := p.Start(t, 0, nil)
			complete, first := 0, greeting(p, answer)
			for cut := range len(answer) + 1 {
				r.Network.Host("host:1", func(c net.Conn) {
					go func() {
						_, _ = c.Write(answer[:min(first, cut)])
						time.Sleep(time.Second) // the request is here
						_, _ = c.Write(answer[min(first, cut):cut])
						time.Sleep(time.Second)
						_ = c.Close()
					}()
					_, _ = io.Copy(io.Discard, c)
				})
				resp, err := r.Caller(t).Handle(t.Context(), p.Request("/", strings.NewReader(sentBody), length(sentBody)))
				must(t, err)
				says := p.Says(resp)
				b, err := all(resp.Body)
				_ = resp.Close()
				rec := r.Records.Last(t, cut+1)
				switch {
				case says != "200":
					if says != p.Fails(stream.Reset) && says != p.Fails(stream.BadMessage) && (cut >= first || says != p.Fails(stream.Connect)) || err != nil || rec.Err == nil || rec.Status == 200 {
						t.Errorf("cut after %d bytes: %s %q, %v, record %+v", cut, says, b, err, rec)
					}
				case err == nil:
					if complete++; b != takenBody || rec.Err != nil {
						t.Errorf("cut after %d bytes: %q was taken for the whole, record %+v", cut, b, rec)
					}
				case !strings.HasPrefix(takenBody, b) || rec.Err == nil || rec.BytesOut != int64(len(b)):
					t.Errorf("cut after %d bytes: %q, %v, record %+v", cut, b, err, rec)
				}
				r.Network.Host("host:1", nil)
				time.Sleep(2 * time.Second) // the connection is gone
			}
			if complete == 0 {
				t.Error("no answer was whole")
			}
		}
	})
}

// The caller's body breaks off: the host must not take it for the whole, and
// the caller is told whose fault it is.
func TestEachCallerBodyBreaks(t *testing.T) {
	EachProtocol(t, func(t *testing.T, p Protocol) {
		for i, length := range lengths {
			ended := make(chan error, 1)
			r := p.Start(t, 0, handler(func(_ context.Context, req *stream.Request) (*stream.Response, error) {
				b, err := all(req.Body)
				if !strings.HasPrefix("begun", b) { // pieces that were on their way may be lost
					t.Errorf("the host got %q", b)
				}
				ended <- err
				return nil, err
			}))
			body, give := io.Pipe()
			go func() {
				_, _ = io.WriteString(give, "begun")
				time.Sleep(time.Second)
				_ = give.CloseWithError(ErrBroken)
			}()
			_, err := r.Caller(t).Handle(t.Context(), p.Request("/", body, length("0123456789")))
			if !errors.Is(err, ErrBroken) {
				t.Errorf("%d: %v", i, err)
			}
			if err := <-ended; err == nil {
				t.Errorf("%d: the host took it for the whole", i)
			}
			if rec := r.Records.Last(t, 1); rec.Err == nil || stream.AsError(rec.Err).Side != stream.Downstream {
				t.Errorf("%d: record %+v", i, rec)
			}
		}
	})
}
