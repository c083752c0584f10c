package http1

import (
	"bytes"
	"strings"
	"unsafe"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/semantics"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// maxFields is the most field lines in a head or trailer.
const maxFields = 256

// badMessage is why a head was refused, with the status that says so to a caller.
type badMessage struct {
	status int
	reason string
}

func (b *badMessage) Error() string { return b.reason }

func bad(reason string) *badMessage { return &badMessage{status: 400, reason: reason} }

// framing is what a head says about the message around it.
type framing struct {
	http10 bool
	// host is the value of Host, "" when there is none.
	host string
	// length is the Content-Length, -1 when there is none.
	length  int64
	chunked bool
	// close and keepAlive are the connection options of these names.
	close, keepAlive bool
	// connection holds the options that name fields (all but the above and "upgrade").
	connection []string
	// upgrade is the value of Upgrade; it is said to us if upgrades, which is
	// the connection option of that name.
	upgrade  string
	upgrades bool
	// settings is the value of the last HTTP2-Settings of so many.
	settings     string
	settingsSeen int
	// expectContinue: the sender waits for 100 before it sends the body.
	expectContinue bool
	// response: the head is a response's, in which Host and Expect mean nothing.
	response bool
}

// scanFields checks the field lines of a head (each ended by CRLF, without the
// empty line) and adds the end-to-end ones to h. lines is a string that h may
// keep parts of.
func scanFields(lines string, h *stream.Header, f *framing) *badMessage {
	f.length = -1
	count, lengths, codings, hosts := 0, 0, 0, 0
	for lines != "" {
		end := strings.IndexByte(lines, '\r')
		if end < 0 || end+1 >= len(lines) || lines[end+1] != '\n' {
			return bad("a line is not ended by CRLF")
		}
		line := lines[:end]
		lines = lines[end+2:]
		if count++; count > maxFields {
			return &badMessage{status: 431, reason: "too many header fields"}
		}
		name, value, err := splitField(line)
		if err != nil {
			return err
		}
		switch special(name) {
		case fieldContentLength:
			if lengths++; lengths > 1 {
				return bad("several Content-Length fields")
			}
			n, ok := semantics.ParseLength(value)
			if !ok {
				return bad("malformed Content-Length")
			}
			f.length = n
			continue
		case fieldTransferEncoding:
			if codings++; codings > 1 {
				return bad("several Transfer-Encoding fields")
			}
			if !stream.EqualName(value, "chunked") {
				return &badMessage{status: 501, reason: "unsupported transfer coding"}
			}
			f.chunked = true
			continue
		case fieldHost:
			if f.response {
				continue
			}
			if hosts++; hosts > 1 {
				return bad("several Host fields")
			}
			if !validHost(value) {
				return bad("malformed Host")
			}
			f.host = value
			continue
		case fieldConnection:
			if err := f.options(value); err != nil {
				return err
			}
			continue
		case fieldExpect:
			if f.response {
				continue
			}
			if stream.EqualName(value, "100-continue") {
				f.expectContinue = true
				continue
			}
			return &badMessage{status: 417, reason: "unknown expectation"}
		case fieldUpgrade:
			if f.upgrade != "" {
				value = f.upgrade + ", " + value
			}
			f.upgrade = value
			continue
		case fieldSettings:
			f.settingsSeen++
			f.settings = value
			continue
		case fieldHop:
			continue
		}
		h.Add(name, value)
	}
	if f.chunked && lengths > 0 {
		return bad("both Content-Length and Transfer-Encoding")
	}
	if f.chunked && f.http10 {
		return bad("Transfer-Encoding in an HTTP/1.0 message")
	}
	if len(f.connection) > 0 {
		h.DelFunc(func(field stream.Field) bool {
			for _, option := range f.connection {
				if stream.EqualName(field.Name, option) {
					return true
				}
			}
			return false
		})
	}
	return nil
}

// options takes in one value of Connection.
func (f *framing) options(value string) *badMessage {
	for option := range strings.SplitSeq(value, ",") {
		option = strings.Trim(option, " \t")
		switch {
		case option == "":
		case stream.EqualName(option, "close"):
			f.close = true
		case stream.EqualName(option, "keep-alive"):
			f.keepAlive = true
		case stream.EqualName(option, "upgrade"):
			f.upgrades = true
		case !isToken(option):
			return bad("malformed Connection")
		default:
			if len(f.connection) >= 32 {
				return bad("too many connection options")
			}
			f.connection = append(f.connection, option)
		}
	}
	return nil
}

// splitField takes a field line apart (RFC 9112 section 5).
func splitField(line string) (name, value string, err *badMessage) {
	colon := strings.IndexByte(line, ':')
	switch {
	case line == "":
		return "", "", bad("empty line inside the header")
	case line[0] == ' ' || line[0] == '\t':
		return "", "", bad("folded header line")
	case colon < 0:
		return "", "", bad("header line without colon")
	case colon == 0 || !isToken(line[:colon]):
		return "", "", bad("malformed field name")
	}
	value = strings.Trim(line[colon+1:], " \t")
	if !validValue(value) {
		return "", "", bad("control character in a field value")
	}
	return line[:colon], value, nil
}

// The fields that this hop deals with itself.
type fieldKind uint8

const (
	fieldOther fieldKind = iota
	fieldContentLength
	fieldTransferEncoding
	fieldHost
	fieldConnection
	fieldExpect
	fieldUpgrade
	fieldSettings
	fieldHop // other hop-by-hop fields, which are dropped
)

func special(name string) fieldKind {
	switch len(name) {
	case 2:
		if stream.EqualName(name, "TE") {
			return fieldHop
		}
	case 4:
		if stream.EqualName(name, "Host") {
			return fieldHost
		}
	case 6:
		if stream.EqualName(name, "Expect") {
			return fieldExpect
		}
	case 7:
		if stream.EqualName(name, "Upgrade") {
			return fieldUpgrade
		}
	case 10:
		if stream.EqualName(name, "Connection") {
			return fieldConnection
		}
		if stream.EqualName(name, "Keep-Alive") {
			return fieldHop
		}
	case 14:
		if stream.EqualName(name, "Content-Length") {
			return fieldContentLength
		}
		if stream.EqualName(name, settingsField) {
			return fieldSettings
		}
	case 16:
		if stream.EqualName(name, "Proxy-Connection") {
			return fieldHop
		}
	case 17:
		if stream.EqualName(name, "Transfer-Encoding") {
			return fieldTransferEncoding
		}
	case 18:
		if stream.EqualName(name, "Proxy-Authenticate") {
			return fieldHop
		}
	case 19:
		if stream.EqualName(name, "Proxy-Authorization") {
			return fieldHop
		}
	}
	return fieldOther
}

// forbiddenTrailer reports whether a field may not stand in a trailer: it
// would change framing, routing or authentication after the fact (RFC 9110
// section 6.5.1).
func forbiddenTrailer(name string) bool {
	return special(name) != fieldOther || semantics.NotInTrailer(name)
}

// requestLine is a request's first line, taken apart.
type requestLine struct {
	method, target string
	http10         bool
}

func scanRequestLine(line string) (requestLine, *badMessage) {
	var r requestLine
	sp := strings.IndexByte(line, ' ')
	if sp <= 0 || !isToken(line[:sp]) {
		return r, bad("malformed method")
	}
	rest := line[sp+1:]
	sp2 := strings.IndexByte(rest, ' ')
	if sp2 <= 0 {
		return r, bad("malformed request line")
	}
	r.method, r.target = line[:sp], rest[:sp2]
	switch version := rest[sp2+1:]; version {
	case "HTTP/1.1":
	case "HTTP/1.0":
		r.http10 = true
	default:
		if strings.HasPrefix(version, "HTTP/") && len(version) == 8 {
			return r, &badMessage{status: 505, reason: "unsupported HTTP version"}
		}
		return r, bad("malformed request line")
	}
	for i := 0; i < len(r.target); i++ {
		if c := r.target[i]; c <= ' ' || c == 0x7f {
			return r, bad("control character or blank in the request target")
		}
	}
	return r, nil
}

// scanStatusLine takes a response's first line apart (RFC 9112 section 4).
func scanStatusLine(line string) (status int, http10 bool, err *badMessage) {
	switch {
	case len(line) < 12 || line[8] != ' ' || (len(line) > 12 && line[12] != ' '):
		return 0, false, bad("malformed status line")
	case line[:8] == "HTTP/1.1":
	case line[:8] == "HTTP/1.0":
		http10 = true
	default:
		return 0, false, bad("unsupported HTTP version")
	}
	for _, c := range []byte(line[9:12]) {
		if c < '0' || c > '9' {
			return 0, false, bad("malformed status code")
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 || status > 599 {
		return 0, false, bad("status code out of range")
	}
	if !validValue(line[12:]) {
		return 0, false, bad("control character in the reason phrase")
	}
	return status, http10, nil
}

// endOfHead returns the length of the head at the beginning of buf, its empty
// line included; 0 when the end is not there yet. Bytes before from were
// looked at by an earlier call. A line that is not ended by CRLF is an error at once.
func endOfHead(buf []byte, from int) (int, *badMessage) {
	// A line end may straddle the border.
	from = max(from-3, 0)
	for {
		i := bytes.IndexByte(buf[from:], '\n')
		if i < 0 {
			return 0, nil
		}
		i += from
		if i == 0 || buf[i-1] != '\r' {
			return 0, bad("a line is not ended by CRLF")
		}
		if i >= 3 && buf[i-2] == '\n' {
			return i + 1, nil
		}
		from = i + 1
	}
}

const (
	charToken = 1 << iota // RFC 9110 section 5.6.2
	charValue             // a byte of a field value (RFC 9110 section 5.5)
	charHost              // a byte of a host and port (RFC 3986 section 3.2)
)

var chars = func() (t [256]byte) {
	for c := 0; c < 256; c++ {
		alnum := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if alnum || c < 128 && strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0 {
			t[c] |= charToken
		}
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= charValue
		}
		if alnum || c < 128 && strings.IndexByte("!$%&'()*+,;=-._~:[]", byte(c)) >= 0 {
			t[c] |= charHost
		}
	}
	return t
}()

func isToken(s string) bool { return s != "" && only(s, charToken) }

func validValue(s string) bool { return only(s, charValue) }

// validHost reports whether s may stand in Host: a host with or without port; empty is allowed.
func validHost(s string) bool { return only(s, charHost) }

func only(s string, class byte) bool {
	for i := 0; i < len(s); i++ {
		if chars[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

// view returns b as a string without copying; b must not change while it is used.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
