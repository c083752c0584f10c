package dubbo_test

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/protocol/frame"
	"github.com/ottavo-runtime/ottavo/proxy/stream"
)

// A header that was changed changes the call, and nothing else of it.
func TestRebuildRequest(t *testing.T) {
	const arguments = "\x02II\x91C\x01c\x91\x01f\x60N"
	const call = echoCall + arguments
	set := func(list ...string) func(*frame.Message) {
		return func(m *frame.Message) {
			for i := 0; i < len(list); i += 2 {
				m.Header.Set(list[i], list[i+1])
			}
		}
	}
	var many, less string
	for i := range 600 {
		e := "\x03" + strconv.Itoa(100+i) + "\x01v"
		if many += e; i != 3 {
			less += e
		}
	}
	for name, c := range map[string]struct {
		body   string
		change func(*frame.Message)
		want   string
	}{
		"nothing":         {call + "H\x01a\x01b\x01a\x01cZ", set(), call + "H\x01a\x01b\x01a\x01cZ"},
		"new":             {call + "H\x01a\x01bZ", set("trace", "1"), call + "H\x01a\x01b\x05trace\x011Z"},
		"new, typed map":  {call + "M\x01t\x01a\x01bZ", set("trace", "1"), call + "M\x01t\x01a\x01b\x05trace\x011Z"},
		"new, null":       {call + "N", set("trace", "1"), call + "H\x05trace\x011Z"},
		"still null":      {call + "N", set("version", "2"), "\x052.0.2\x01S\x012\x01m" + arguments + "N"},
		"replaced":        {call + "H\x01a\x01b\x01c\x01dZ", set("a", "longer"), call + "H\x01a\x06longer\x01c\x01dZ"},
		"emptied":         {call + "H\x01a\x01bZ", set("a", ""), call + "H\x01a\x00Z"},
		"dropped":         {call + "H\x01a\x01b\x01c\x01d\x01a\x01eZ", func(m *frame.Message) { m.Header.Del("a") }, call + "H\x01c\x01dZ"},
		"one of two":      {call + "H\x01a\x01b\x01c\x01d\x01a\x01eZ", set("a", "x"), call + "H\x01a\x01x\x01c\x01dZ"},
		"not for us":      {call + "H\x01a\x91\x92\x93\x01b\x01cZ", set("b", "x"), call + "H\x01a\x91\x92\x93\x01b\x01xZ"},
		"service":         {call + "H\x04path\x01S\x09interface\x01SZ", set("service", "T"), "\x052.0.2\x01T\x011\x01m" + arguments + "H\x04path\x01T\x09interface\x01SZ"},
		"version":         {call + "H\x07version\x011Z", set("version", "2"), "\x052.0.2\x01S\x012\x01m" + arguments + "H\x07version\x012Z"},
		"version of null": {"\x052.0.2\x01SN\x01m\x00HZ", set("version", "2"), "\x052.0.2\x01S\x012\x01m\x00HZ"},
		"method":          {call + "HZ", func(m *frame.Message) { m.Method = "other" }, "\x052.0.2\x01S\x011\x05other" + arguments + "HZ"},
		"method's field":  {call + "HZ", set("method", "other"), "\x052.0.2\x01S\x011\x05other" + arguments + "HZ"},
		"no method":       {call + "HZ", func(m *frame.Message) { m.Header.Del("method"); m.Header.Del("service") }, call + "HZ"},
		"timeout":         {call + "H\x07timeout\x043000Z", func(m *frame.Message) { m.Timeout = 1500*time.Millisecond + 1 }, call + "H\x07timeout\x041501Z"},
		"no timeout":      {call + "HZ", func(m *frame.Message) { m.Timeout = time.Second }, call + "H\x07timeout\x041000Z"},
		"a number":        {call + "H\x07timeout\xcb\xb8Z", func(m *frame.Message) { m.Timeout = time.Second }, call + "H\x07timeout\xcb\xb8Z"},
		"hidden":          {call + "HZ", set("rpc-status", "1", "dubbo", "x", "path", "p", "timeout", "5", "dubbo-serialization", "2"), call + "HZ"},
		"other arguments": {call + "HZ", func(m *frame.Message) { m.Body = []byte(echoCall + "\x01I\x95HZ"); m.Header.Add("k", "v") }, echoCall + "\x01I\x95H\x01k\x01vZ"},
		"cannot be read":  {echoCall + "\x01IE" + "H\x01a\x01bZ", set("k", "v", "version", "2"), "\x052.0.2\x01S\x012\x01m\x01IEH\x01a\x01bZ"},
		"map cut":         {call + "H\x01a\x01b\x01c", set("k", "v"), call + "H\x01a\x01b\x01c"},
		"bytes behind":    {call + "H\x01a\x01bZmore", set("k", "v"), call + "H\x01a\x01b\x01k\x01vZmore"},
		"many":            {call + "H" + many + "Z", func(m *frame.Message) { m.Header.Del("103") }, call + "H" + less + "Z"},
	} {
		origin := read(t, request(0xc2, c.body))
		m := *origin
		m.Frame, m.Origin, m.Body = nil, origin, origin.Payload()
		c.change(&m)
		got, err := codec.Append(nil, &m)
		if want := request(0xc2, c.want); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v\n%.300q, want\n%.300q", name, err, got, want)
			continue
		}
		read(t, got)
	}
	// Without an origin, attachments that have no field stay.
	m := frame.Message{Type: frame.Request, ID: 9, Header: new(stream.Header), Body: []byte(call + "H\x01a\x01bZ"), Timeout: time.Second}
	m.Header.Add("k", "v")
	got, err := codec.Append(nil, &m)
	if want := request(0xc2, call+"H\x01a\x01b\x01k\x01v\x07timeout\x041000Z"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("no origin: %v\n%q, want\n%q", err, got, want)
	}
	// In other serialisations the call cannot be another, and is never changed.
	origin := read(t, vectors(t)["req.fastjson"])
	for name, c := range map[string]struct {
		change func(*frame.Message)
		bad    bool
	}{
		"more fields": {set("k", "v"), false}, "another body": {func(m *frame.Message) { m.Body = []byte("x") }, false},
		"method": {func(m *frame.Message) { m.Method = "x" }, true}, "service": {set("service", "x"), true}, "method's field": {set("method", "x"), true},
	} {
		m := *origin
		m.Header = new(stream.Header)
		m.Header.CopyFrom(origin.Header)
		m.Frame, m.Origin, m.Body = nil, origin, origin.Payload()
		c.change(&m)
		got, err := codec.Append(nil, &m)
		if (err != nil) != c.bad || err == nil && (got[2] != 0xc6 || !bytes.Equal(got[16:], m.Body)) {
			t.Errorf("fastjson, %s: %x, %v", name, got, err)
		}
	}
	// And a copy of the request, as a mirror makes it, keeps the serialisation.
	copied := frame.Message{Type: frame.Request, ID: origin.ID, Method: origin.Method, Header: origin.Header, Body: origin.Payload()}
	if got, err := codec.Append(nil, &copied); err != nil || !bytes.Equal(got, origin.Frame) {
		t.Errorf("a copy: %x, %v", got, err)
	}
}

// Attachments are added to an answer where that is possible.
func TestRebuildResponse(t *testing.T) {
	old := request(0xc2, "\x052.0.1\x01S\x011\x01m\x00N")
	current := request(0xc2, echoCall+"\x00N")
	for name, c := range map[string]struct {
		flag, status byte
		body         string
		request      []byte
		want         string
	}{
		"value":             {2, 20, "\x91\x02hi", current, "\x94\x02hiH\x01k\x01vZ"},
		"exception":         {2, 20, "\x90\x02hi", current, "\x93\x02hiH\x01k\x01vZ"},
		"null":              {2, 20, "\x92", current, "\x95H\x01k\x01vZ"},
		"with attachments":  {2, 20, "\x94\x02hiH\x01a\x01b\x01k\x01oZ", old, "\x94\x02hiH\x01a\x01b\x01k\x01vZ"},
		"null, with":        {2, 20, "\x95N", old, "\x95H\x01k\x01vZ"},
		"old caller":        {2, 20, "\x91\x02hi", old, ""},
		"newer caller":      {2, 20, "\x91\x02hi", request(0xc2, "\x062.0.10\x01S\x011\x01m\x00N"), "\x94\x02hiH\x01k\x01vZ"},
		"version of Dubbo":  {2, 20, "\x91\x02hi", request(0xc2, "\x052.7.1\x01S\x011\x01m\x00N"), ""},
		"no request":        {2, 20, "\x91\x02hi", nil, ""},
		"error":             {2, 70, "\x02hi", current, ""},
		"unknown flag":      {2, 20, "\x96\x02hi", current, ""},
		"no flag":           {2, 20, "\x02hi", current, ""},
		"nothing":           {2, 20, "", current, ""},
		"no value":          {2, 20, "\x91", current, ""},
		"something behind":  {2, 20, "\x91NN", current, ""},
		"map cut":           {2, 20, "\x94NH\x01a", current, ""},
		"other serialising": {8, 20, "\x91\x02hi", current, ""},
	} {
		f := request(c.flag, c.body)
		f[3] = c.status
		origin := read(t, f)
		m := *origin
		m.Frame, m.Origin, m.Body = nil, origin, origin.Payload()
		if c.request != nil {
			m.Request = read(t, c.request)
		}
		m.Header.Set("k", "v")
		got, err := codec.Append(nil, &m)
		want := request(c.flag, c.want)
		if c.want == "" {
			want = request(c.flag, c.body)
		}
		want[3] = c.status
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v\n%q, want\n%q", name, err, got, want)
		}
	}
}
