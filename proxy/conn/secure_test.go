package conn_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/proxy/conn"
)

// upper is a layer that shouts.
type upper struct{ net.Conn }

func (u upper) Read(p []byte) (int, error) {
	n, err := u.Conn.Read(p)
	copy(p[:n], strings.ToUpper(string(p[:n])))
	return n, err
}

// TestSecure: a layer gets the bytes that were looked at before, and what is
// behind it goes on to count, drain and close.
func TestSecure(t *testing.T) {
	ours, theirs := conn.Pipe()
	c := conn.New(theirs)
	if _, err := ours.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if b, err := c.Reader().Peek(2); err != nil || string(b) != "he" {
		t.Fatalf("%q, %v", b, err)
	}
	if err := c.Secure(func(nc net.Conn) (net.Conn, error) { return upper{nc}, nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Write([]byte(", world")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 12)
	if _, err := io.ReadFull(c.Reader(), got); err != nil || string(got) != "HELLO, WORLD" {
		t.Errorf("%q, %v", got, err)
	}
	if _, ok := c.TLS(); ok {
		t.Error("this is no TLS")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := ours.Read(got); !errors.Is(err, io.EOF) {
		t.Errorf("the peer of a closed connection reads %v", err)
	}
}

func TestSecureFails(t *testing.T) {
	_, theirs := conn.Pipe()
	c := conn.New(theirs)
	want := io.ErrUnexpectedEOF
	if err := c.Secure(func(net.Conn) (net.Conn, error) { return nil, want }); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
