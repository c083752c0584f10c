package semantics

import (
	"io"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// ParseLength parses a Content-Length: digits only, at most 18 of them.
func ParseLength(s string) (n int64, ok bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// Visible reports whether s has only characters that may stand in a request's
// target: no blanks, no control characters, no fragment.
func Visible(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// NoBody reports whether an answer with this status, to this method, has no
// body whatever its fields say.
func NoBody(method string, status int) bool {
	return method == "HEAD" || status == 204 || status == 304 || status < 200
}

// NotInTrailer reports whether an end-to-end field would change routing,
// authentication or the meaning of the content after the fact, if it stood in a
// trailer (RFC 9110 section 6.5.1). Fields that belong to one hop must not
// stand there either; which those are depends on the version.
func NotInTrailer(name string) bool {
	for _, n := range [...]string{
		"Authorization", "Cookie", "Set-Cookie", "Content-Encoding", "Content-Type", "Content-Range",
		"Cache-Control", "Max-Forwards", "Range", "Age", "Expires", "Date", "Location", "Vary", "WWW-Authenticate", "Trailer",
	} {
		if stream.EqualName(name, n) {
			return true
		}
	}
	return false
}

// TextResponse is an answer with a line of text.
func TextResponse(status int, text string) *stream.Response {
	resp := &stream.Response{Status: status, ContentLength: int64(len(text) + 1), Body: Text(text + "\n")}
	resp.Header.Add("Content-Type", "text/plain; charset=utf-8")
	return resp
}

// Text is a body that is s.
func Text(s string) io.ReadCloser { return &textBody{s} }

// textBody is a body that is all there.
type textBody struct{ rest string }

// Read implements io.Reader; the end comes with the last bytes.
func (b *textBody) Read(p []byte) (int, error) {
	n := copy(p, b.rest)
	if b.rest = b.rest[n:]; b.rest == "" {
		return n, io.EOF
	}
	return n, nil
}

// Ready implements stream.Ready.
func (b *textBody) Ready() bool { return true }

// Close implements io.Closer.
func (b *textBody) Close() error { return nil }
