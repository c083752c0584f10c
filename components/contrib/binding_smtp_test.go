package contrib_test

import (
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dapr/components-contrib/bindings/smtp"

	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/binding/bindingtest"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
)

// A postOffice is a server of SMTP that keeps the mails it gets, by subject. It does
// not know "nobody@example.com".
type postOffice struct {
	host, port string

	mu    sync.Mutex
	mails map[string]mail
}

type mail struct {
	to   []string // as the server was told
	text string
}

func newPostOffice(t *testing.T) *postOffice {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &postOffice{mails: map[string]mail{}}
	p.host, p.port, _ = net.SplitHostPort(l.Addr().String())
	var serving sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait() // a call of the binding ends with its connection
	})
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(textproto.NewConn(c)) })
		}
	})
	return p
}

// serve answers one connection.
func (p *postOffice) serve(c *textproto.Conn) {
	defer c.Close() //nolint:errcheck // nothing follows
	var m mail
	answer := "220 here"
	for {
		if err := c.PrintfLine("%s", answer); err != nil {
			return
		}
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		switch command := strings.ToUpper(line[:min(4, len(line))]); command {
		case "RCPT":
			if strings.Contains(line, "nobody@") {
				answer = "550 unknown"
				continue
			}
			_, to, _ := strings.Cut(line, ":")
			m.to = append(m.to, strings.Trim(to, " <>"))
		case "DATA":
			if err := c.PrintfLine("354 go on"); err != nil {
				return
			}
			data, err := c.ReadDotBytes()
			if err != nil {
				return
			}
			m.text = string(data)
			p.keep(m)
			m = mail{}
		case "QUIT":
			_ = c.PrintfLine("221 bye")
			return
		}
		answer = "250 well"
	}
}

func (p *postOffice) keep(m mail) {
	_, rest, _ := strings.Cut(m.text, "Subject: ")
	subject, _, _ := strings.Cut(rest, "\n")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mails[strings.TrimSpace(subject)] = m
}

// take returns the mail with a subject.
func (p *postOffice) take(subject string) mail {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mails[subject]
}

func (p *postOffice) open(t *testing.T) binding.Binding {
	t.Helper()
	return newBinding(t, contrib.Binding(contrib.OnePerCall(smtp.NewSMTP)), map[string]any{
		"host": p.host, "port": p.port, "emailFrom": "me@example.com", "emailTo": "all@example.com", "subject": "by default",
	})
}

func TestSMTPBinding(t *testing.T) {
	matrix.Backend(t, "binding", "smtp")
	p := newPostOffice(t)
	bindingtest.RunOutput(t, bindingtest.Output{
		New:     p.open,
		Request: binding.Request{Operation: "create", Data: []byte("hello"), Metadata: map[string]string{"emailTo": "you@example.com", "subject": "greetings"}},
		Wrong:   &binding.Request{Operation: "create", Metadata: map[string]string{"emailTo": "nobody@example.com"}},
	})
	if m := p.take("greetings"); !slices.Equal(m.to, []string{"you@example.com"}) || !strings.Contains(m.text, "hello") {
		t.Errorf("the mail is %+v", m)
	}
}

// TestSMTPOneMailAtATime: what a call says is for its own mail, whatever others say
// before or beside it.
func TestSMTPOneMailAtATime(t *testing.T) {
	p := newPostOffice(t)
	out := p.open(t).(binding.Output)
	t.Cleanup(func() {
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	})
	const mails = 8
	var wg sync.WaitGroup
	for i := range mails {
		wg.Go(func() {
			meta := map[string]string{"emailTo": fmt.Sprint(i, "@example.com"), "emailBCC": fmt.Sprint("copy", i, "@example.com"), "subject": fmt.Sprint("for ", i)}
			if _, err := out.Invoke(t.Context(), &binding.Request{Operation: "create", Data: []byte("x" + strconv.Itoa(i)), Metadata: meta}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range mails {
		m := p.take(fmt.Sprint("for ", i))
		if want := []string{fmt.Sprint(i, "@example.com"), fmt.Sprint("copy", i, "@example.com")}; !slices.Equal(m.to, want) || !strings.Contains(m.text, "x"+strconv.Itoa(i)) {
			t.Errorf("mail %d went to %q, want %q: %s", i, m.to, want, m.text)
		}
	}
	if _, err := out.Invoke(t.Context(), &binding.Request{Operation: "create"}); err != nil {
		t.Error(err)
	}
	if m := p.take("by default"); !slices.Equal(m.to, []string{"all@example.com"}) {
		t.Errorf("a mail that names nobody went to %q", m.to)
	}
}
