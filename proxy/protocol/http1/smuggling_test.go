package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// upstreams is a host that writes down what it gets, byte for byte. It answers
// every request with 200; each connection carries one.
type upstreams struct {
	mu  sync.Mutex
	wg  sync.WaitGroup
	got []*bytes.Buffer
}

func (u *upstreams) dial() (net.Conn, error) {
	ours, theirs := conn.NewPipe("proxy", "host")
	record := new(bytes.Buffer)
	u.mu.Lock()
	u.got = append(u.got, record)
	u.mu.Unlock()
	u.wg.Go(func() {
		defer func() { _ = theirs.Close() }()
		r := bufio.NewReader(io.TeeReader(theirs, record))
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		_, _ = io.WriteString(theirs, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		_, _ = io.Copy(io.Discard, r) // whatever else is sent is recorded, too
	})
	return ours, nil
}

// through sends raw through server and client. It returns the statuses of the
// answers, in order, and what the host got.
func through(t *testing.T, raw string) (statuses []int, arrived []string) {
	t.Helper()
	u := new(upstreams)
	s := serve(t, &forward{dial: u.dial})
	go func() {
		_, _ = io.WriteString(s, raw)
		_ = s.CloseWrite()
	}()
	for {
		resp, err := http.ReadResponse(s.r, nil)
		if err != nil {
			break
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		statuses = append(statuses, resp.StatusCode)
	}
	if err := <-s.ended; err != nil {
		t.Logf("ended with %v", err)
	}
	u.wg.Wait()
	for _, record := range u.got {
		arrived = append(arrived, record.String())
	}
	return statuses, arrived
}

// TestSmuggling sends what attackers send. Each case is refused, or reaches
// the host as one message that can be read one way only. "evil" is the request
// that the attacker wants to hide; it must not arrive as a request of its own,
// unless it is one to us, too.
func TestSmuggling(t *testing.T) {
	const evil = "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n"
	type c struct {
		name, raw string
		status    string   // of the answers, in order
		arrives   []string // the requests at the host
	}
	// p makes a POST of these field lines and this rest.
	p := func(fields, rest string) string { return "POST /1 HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" + rest }
	// ws makes a GET that offers WebSocket, with these field lines.
	ws := func(fields string) string {
		return "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + fields + "\r\n"
	}
	up := func(framing, body string) string { return "POST /1 HTTP/1.1\r\nHost: h\r\n" + framing + "\r\n" + body }
	chunked := func(body string) []string { return []string{up("Transfer-Encoding: chunked\r\n", body)} }
	refused := func(status int, name, raw string) c { return c{name, raw, fmt.Sprint(status), nil} }
	// half: the head is good, the body is not: the host sees no whole request.
	half := func(name, body string) c {
		return c{name, p("Transfer-Encoding: chunked\r\n", body), "400", []string{"half"}}
	}
	cases := []c{
		// Two lengths, or a length and a coding (CL.TE, TE.CL, CL.CL).
		refused(400, "CL.TE", p("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG"+evil)),
		refused(400, "TE.CL", p("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "5e\r\n"+evil+"0\r\n\r\n")),
		refused(400, "CL.CL differ", p("Content-Length: 0\r\nContent-Length: 44\r\n", evil)),
		refused(400, "CL.CL same", p("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")),
		refused(400, "CL list", p("Content-Length: 5, 5\r\n", "hello")),
		refused(400, "CL list differs", p("Content-Length: 5, 44\r\n", "hello"+evil)),
		refused(400, "CL and TE with CL in capitals", p("CONTENT-LENGTH: 6\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"+evil)),
		refused(400, "CL 0 and TE", p("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
		// Lengths that some read and some do not.
		refused(400, "CL plus", p("Content-Length: +5\r\n", "hello")),
		refused(400, "CL minus", p("Content-Length: -5\r\n", "hello")),
		refused(400, "CL hex", p("Content-Length: 0x5\r\n", "hello")),
		refused(400, "CL underscore", p("Content-Length: 1_0\r\n", "hellohello")),
		refused(400, "CL empty", p("Content-Length:\r\n", evil)),
		refused(400, "CL blank inside", p("Content-Length: 4 4\r\n", evil)),
		refused(400, "CL with fraction", p("Content-Length: 5.0\r\n", "hello")),
		refused(400, "CL exponent", p("Content-Length: 5e0\r\n", "hello")),
		refused(400, "CL in quotes", p("Content-Length: \"5\"\r\n", "hello")),
		refused(400, "CL too large", p("Content-Length: 18446744073709551617\r\n", "h")),
		refused(400, "CL with NUL", p("Content-Length: 5\x00\r\n", "hello")),
		refused(400, "CL other digits", p("Content-Length: \xd9\xa5\r\n", "hello")),
		refused(400, "CL behind a form feed", p("Content-Length: \x0c5\r\n", "hello")),
		{"CL with zeros in front", p("Content-Length: 0005\r\n", "hello"), "200", []string{up("Content-Length: 5\r\n", "hello")}},
		{"CL with blanks around", p("Content-Length: \t 5 \t\r\n", "hello"), "200", []string{up("Content-Length: 5\r\n", "hello")}},
		// Codings that some take for chunked (TE.TE).
		refused(501, "TE identity", p("Transfer-Encoding: identity\r\n", evil)),
		refused(501, "TE xchunked", p("Transfer-Encoding: xchunked\r\n", evil)),
		refused(501, "TE chunked, identity", p("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"+evil)),
		refused(501, "TE identity, chunked", p("Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n"+evil)),
		refused(501, "TE chunked twice in a list", p("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"+evil)),
		refused(400, "TE twice", p("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+evil)),
		refused(400, "TE and TE unknown", p("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n"+evil)),
		refused(501, "TE unknown and TE", p("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+evil)),
		refused(501, "TE in quotes", p("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"+evil)),
		refused(501, "TE in ticks", p("Transfer-Encoding: 'chunked'\r\n", "0\r\n\r\n"+evil)),
		refused(501, "TE with a parameter", p("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"+evil)),
		refused(501, "TE with comma", p("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"+evil)),
		refused(501, "TE empty", p("Transfer-Encoding:\r\n", evil)),
		refused(501, "TE other letters", p("Transfer-Encoding: chun\xe2\x84\xaaed\r\n", "0\r\n\r\n"+evil)),
		refused(400, "TE behind a vertical tab", p("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"+evil)),
		refused(400, "TE with NUL", p("Transfer-Encoding: chunked\x00\r\n", "0\r\n\r\n"+evil)),
		refused(400, "TE blank before colon", p("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"+evil)),
		refused(400, "TE tab before colon", p("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"+evil)),
		refused(501, "TE folded", p("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+evil)),
		refused(400, "TE on a line that continues", p("A: b\r\n Transfer-Encoding: chunked\r\n", evil)),
		refused(400, "TE behind bare LF", p("A: b\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+evil)),
		refused(400, "TE behind bare CR", p("A: b\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+evil)),
		refused(400, "TE name in quotes", p("\"Transfer-Encoding\": chunked\r\n", "0\r\n\r\n"+evil)),
		refused(400, "TE with NUL in the name", p("Transfer\x00-Encoding: chunked\r\n", "0\r\n\r\n"+evil)),
		refused(400, "Connection with other letters", "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: clo\xc5\xbfe\r\n\r\n"),
		refused(400, "scheme with other letters", "GET http\xc5\xbf://h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
		{
			"TE with underscore is another field", p("Transfer_Encoding: chunked\r\n", evil), "200 200",
			[]string{up("Transfer_Encoding: chunked\r\nContent-Length: 0\r\n", ""), "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n"},
		},
		{"TE in capitals", p("TRANSFER-ENCODING: CHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n"), "200", chunked("5\r\nhello\r\n0\r\n\r\n")},
		{"TE taken away by Connection", p("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), "200", chunked("5\r\nhello\r\n0\r\n\r\n")},
		{"CL taken away by Connection", p("Connection: Content-Length\r\nContent-Length: 5\r\n", "hello"), "200", []string{up("Content-Length: 5\r\n", "hello")}},
		refused(400, "TE in HTTP/1.0", "POST /1 HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+evil),
		refused(400, "TE and CL in HTTP/1.0", "POST /1 HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello"),
		// Chunks that some read differently.
		half("chunk size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
		half("chunk size with plus", "+5\r\nhello\r\n0\r\n\r\n"),
		half("chunk size negative", "-1\r\nhello\r\n0\r\n\r\n"),
		half("chunk size overflows", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
		half("chunk size empty", "\r\nhello\r\n0\r\n\r\n"),
		half("chunk size with blank behind", "5 \r\nhello\r\n0\r\n\r\n"),
		half("chunk size with blank before", " 5\r\nhello\r\n0\r\n\r\n"),
		half("chunk size with underscore", "1_0\r\nhellohello123456\r\n0\r\n\r\n"),
		half("chunk line ends in LF (TERM.EXT)", "5\nhello\r\n0\r\n\r\n"),
		half("chunk extension holds LF (EXT.TERM)", "5;a\nhello\r\n0\r\n\r\n"),
		half("chunk extension holds CR", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
		half("chunk extension holds NUL", "5;\x00\r\nhello\r\n0\r\n\r\n"),
		half("chunk data longer than said", "5\r\nhelloX\r\n0\r\n\r\n"),
		half("chunk data shorter than said (SPILL)", "5\r\nhell\r\n0\r\n\r\n"+evil),
		half("chunk data ended by LF", "5\r\nhello\n0\r\n\r\n"),
		half("chunk data ended by CR", "5\r\nhello\r0\r\n\r\n"),
		half("chunk data ended by CR and another byte", "5\r\nhello\rX0\r\n\r\n"),
		half("chunk data ended by any two bytes", "5\r\nhelloXX0\r\n\r\n"),
		half("last chunk ended by LF", "0\n\r\n"+evil),
		half("trailer ended by LF", "0\r\nA: b\n\r\n"+evil),
		half("trailer line without colon", "0\r\nGET /evil HTTP/1.1\r\n\r\n"),
		half("trailer name with blank", "0\r\nA : b\r\n\r\n"),
		half("trailer folded", "0\r\nA: b\r\n c\r\n\r\n"),
		{"chunk extensions end here", p("Transfer-Encoding: chunked\r\n", "5;a=\"b;c\"\r\nhello\r\n0;x\r\n\r\n"), "200", chunked("5\r\nhello\r\n0\r\n\r\n")},
		{"chunk size with zeros", p("Transfer-Encoding: chunked\r\n", "0005\r\nhello\r\n0000\r\n\r\n"), "200", chunked("5\r\nhello\r\n0\r\n\r\n")},
		{
			"trailers that frame are dropped", p("Transfer-Encoding: chunked\r\n", "0\r\nContent-Length: 44\r\nTransfer-Encoding: x\r\nHost: evil\r\nA: b\r\n\r\n"+evil), "200 200",
			[]string{up("Transfer-Encoding: chunked\r\n", "0\r\nA: b\r\n\r\n"), evil},
		},
		{
			"chunks hold a request", p("Transfer-Encoding: chunked\r\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(evil), evil)), "200",
			chunked(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(evil), evil)),
		},
		// Lines.
		refused(400, "all lines end in LF", "GET /1 HTTP/1.1\nHost: h\n\n"+evil),
		refused(400, "empty line is LF", "GET /1 HTTP/1.1\r\nHost: h\r\n\n"+evil),
		refused(400, "empty line is CR", "GET /1 HTTP/1.1\r\nHost: h\r\n\r"+evil),
		refused(400, "CR CR LF", "GET /1 HTTP/1.1\r\nHost: h\r\r\n\r\n"+evil),
		refused(400, "NUL in a value", "GET /1 HTTP/1.1\r\nHost: h\r\nA: b\x00c\r\n\r\n"),
		refused(400, "line without colon", "GET /1 HTTP/1.1\r\nHost: h\r\nGET /evil HTTP/1.1\r\n\r\n"),
		refused(400, "first field begins with blank", "GET /1 HTTP/1.1\r\n Host: h\r\n\r\n"),
		refused(400, "name with blank", "GET /1 HTTP/1.1\r\nHost: h\r\nX Y: z\r\n\r\n"),
		refused(400, "name with other letters", "GET /1 HTTP/1.1\r\nHost: h\r\nX\xc3\xa9: z\r\n\r\n"),
		refused(400, "two empty lines first", "\r\n\r\n"+evil),
		{"one empty line first", "\r\n" + evil, "200", []string{evil}},
		// Request lines.
		refused(400, "no version (HTTP/0.9)", "GET /1\r\n\r\n"+evil),
		refused(505, "HTTP/2.0", "GET /1 HTTP/2.0\r\nHost: h\r\n\r\n"),
		refused(400, "HTTP/11", "GET /1 HTTP/11\r\nHost: h\r\n\r\n"),
		refused(400, "HTTP/1.10", "GET /1 HTTP/1.10\r\nHost: h\r\n\r\n"),
		refused(400, "blank in the target", "GET /1 HTTP/1.1 x HTTP/1.1\r\nHost: h\r\n\r\n"),
		refused(400, "tab in place of blank", "GET\t/1\tHTTP/1.1\r\nHost: h\r\n\r\n"),
		refused(400, "method with CR", "GE\rT /1 HTTP/1.1\r\nHost: h\r\n\r\n"),
		refused(501, "CONNECT", "CONNECT evil:80 HTTP/1.1\r\nHost: h\r\n\r\n"+evil),
		refused(505, "HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		{"method in small letters is another method", "get /1 HTTP/1.1\r\nHost: h\r\n\r\n", "200", []string{"get /1 HTTP/1.1\r\nHost: h\r\n\r\n"}},
		{"HTTP/1.0 becomes 1.1", "GET /1 HTTP/1.0\r\nHost: h\r\n\r\n", "200", []string{"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"}},
		// Hosts.
		refused(400, "no Host", "GET /1 HTTP/1.1\r\n\r\n"),
		refused(400, "two Hosts", "GET /1 HTTP/1.1\r\nHost: h\r\nHost: evil\r\n\r\n"),
		refused(400, "two Hosts, the same", "GET /1 HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n"),
		refused(400, "blank before colon of Host", "GET /1 HTTP/1.1\r\nHost: h\r\nHost : evil\r\n\r\n"),
		refused(400, "Host is a list", "GET /1 HTTP/1.1\r\nHost: h, evil\r\n\r\n"),
		refused(400, "Host with path", "GET /1 HTTP/1.1\r\nHost: h/evil\r\n\r\n"),
		refused(400, "Host with user", "GET /1 HTTP/1.1\r\nHost: h@evil\r\n\r\n"),
		refused(400, "target with user", "GET http://h@evil/1 HTTP/1.1\r\nHost: h\r\n\r\n"),
		{"target goes before Host", "GET http://h/1 HTTP/1.1\r\nHost: evil\r\n\r\n", "200", []string{"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"}},
		{"Host taken away by Connection", "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: Host\r\n\r\n", "200", []string{"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"}},
		// Fields of one hop.
		{
			"upgrade to h2c", "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n" + evil, "200 200",
			[]string{"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", evil},
		},
		{
			"upgrade to websocket", "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n", "200",
			[]string{"GET /1 HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
		},
		{
			"upgrade to websocket that is refused, with a request behind", ws("") + evil, "200 200",
			[]string{"GET /1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", evil},
		},
		{"upgrade with a length", ws("Content-Length: 5\r\n") + "hello" + evil, "200 200", []string{"GET /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", evil}},
		{
			"upgrade with chunks", ws("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n" + evil, "200 200",
			[]string{"GET /1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", evil},
		},
		refused(400, "upgrade with length and chunks", ws("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")+"0\r\n\r\n"+evil),
		refused(400, "upgrade with two lengths", ws("Content-Length: 0\r\nContent-Length: 44\r\n")+evil),
		{"upgrade to h2c beside websocket", ws("Upgrade: h2c\r\n") + evil, "200 200", []string{"GET /1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", evil}},
		{"upgrade to h2c in capitals, with version", "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: H2C/1\r\n\r\n" + evil, "200 200", []string{"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", evil}},
		{"upgrade to TLS and to HTTP", "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: TLS/1.0, HTTP/2.0\r\n\r\n" + evil, "200 200", []string{"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", evil}},
		{"Expect is ours to fulfil", p("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"), "200", []string{up("Content-Length: 5\r\n", "hello")}},
		refused(417, "Expect unknown", p("Content-Length: 44\r\nExpect: x\r\n", evil)),
		{
			"GET with a body", "GET /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" + evil, "200 200",
			[]string{"GET /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", evil},
		},
		{
			"HEAD with a body", "HEAD /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "200",
			[]string{"HEAD /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"},
		},
		{"body cut off (CL.0)", p("Content-Length: 100\r\n", evil), "", []string{"half"}},
	}
	if len(cases) < 60 {
		t.Errorf("%d cases only", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				statuses, arrived := through(t, c.raw)
				if got := strings.Trim(fmt.Sprint(statuses), "[]"); got != c.status && c.status != "" {
					t.Errorf("answered %s, want %s", got, c.status)
				}
				if len(c.arrives) == 1 && c.arrives[0] == "half" {
					for _, raw := range arrived {
						if whole(raw) {
							t.Errorf("the host got a whole request: %q", raw)
						}
					}
					return
				}
				if fmt.Sprintf("%q", arrived) != fmt.Sprintf("%q", c.arrives) {
					t.Errorf("the host got %q\nwant %q", arrived, c.arrives)
				}
			})
		})
	}
}

// whole reports whether raw begins with a complete request.
func whole(raw string) bool {
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

// The same for answers: what a host sends beyond its answer never becomes the
// answer to somebody else's request.
func TestAnswerSplitting(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for _, c := range []struct{ name, method, raw string }{
		{"behind a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + evil},
		{"behind chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + evil},
		{"behind 204", "GET", "HTTP/1.1 204 No\r\n\r\n" + evil},
		{"behind 304", "GET", "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n" + evil},
		{"in place of the body of HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n" + evil},
	} {
		bubble(t, func(t *testing.T) {
			d := dial(t)
			go func() { _, _ = io.WriteString(d.host, c.raw) }()
			req := get("/")
			req.Method = c.method
			resp, err := d.Handle(t.Context(), req)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			_, _ = io.ReadAll(resp.Body)
			_ = resp.Close()
			if d.Err() == nil {
				t.Errorf("%s: the connection is used again", c.name)
			}
			_, err = d.Handle(t.Context(), req)
			wantError(t, err, stream.Reset, stream.Upstream, true)
		})
	}
}
