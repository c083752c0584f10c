package capability

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

var testEnvelope = Envelope{Source: "runtime", Type: "sent", GivenSource: "Dapr", GivenType: "given"}

func TestEnvelop(t *testing.T) {
	for _, tt := range []struct {
		name, contentType, data string
		want                    map[string]string // attributes as JSON; "" is absent, "*" is anything
		bad                     bool
	}{
		{"text by default", "", `5 < 6`, map[string]string{"datacontenttype": `"text/plain"`, "data": `"5 < 6"`, "data_base64": "", "source": `"runtime"`, "type": `"sent"`, "specversion": `"1.0"`, "topic": `"t"`, "pubsubname": `"p"`, "traceid": `""`, "id": "*", "expiration": "", "time": ""}, false},
		{"json", "application/json; charset=utf-8", `{"n": 12345678901234567890.10, "h":"<&>"}`, map[string]string{"datacontenttype": `"application/json; charset=utf-8"`, "data": `{"n":12345678901234567890.10,"h":"<&>"}`}, false},
		{"json scalar", "application/json", `"x"`, map[string]string{"data": `"x"`}, false},
		{"json that is none", "application/json", `{oops`, map[string]string{"data": `"{oops"`}, false},
		{"json with a suffix", "application/vnd.x+json", `[1]`, map[string]string{"data": `[1]`}, false},
		{"bytes", "application/octet-stream", "\x00\xff", map[string]string{"data_base64": `"AP8="`, "data": ""}, false},
		{"bytes that are text", "application/octet-stream", "hi", map[string]string{"data_base64": `"aGk="`}, false},
		{"text that is bytes", "text/plain", "\xff\xfe", map[string]string{"data_base64": `"//4="`, "data": ""}, false},
		{"xml", "application/xml", "<a/>", map[string]string{"data": `"<a/>"`}, false},
		{"an image", "image/png", "\x89PNG", map[string]string{"data_base64": `"iVBORw=="`}, false},
		{"nothing", "", "", map[string]string{"data": `""`}, false},
		{
			"an event", "application/cloudevents+json", `{"id":"7","source":"s","type":"ty","specversion":"1.0","datacontenttype":"application/json","data":{"big":9007199254740993},"topic":"else","pubsubname":"else","traceid":"tid","mine":true}`,
			map[string]string{"id": `"7"`, "source": `"s"`, "type": `"ty"`, "data": `{"big":9007199254740993}`, "topic": `"t"`, "pubsubname": `"p"`, "traceid": `"tid"`, "mine": "true"},
			false,
		},
		{
			"an event without anything", "application/cloudevents+json; charset=utf-8", `{}`,
			map[string]string{"id": "*", "source": `"Dapr"`, "type": `"given"`, "specversion": `"1.0"`, "datacontenttype": `"application/json"`, "traceid": `""`},
			false,
		},
		{"an event with text", "application/cloudevents+json", `{"data":"x","id":null,"source":5}`, map[string]string{"id": "*", "source": "5", "datacontenttype": `"text/plain"`}, false},
		{"an event with bytes", "application/cloudevents+json", `{"data_base64":"AA=="}`, map[string]string{"datacontenttype": `"application/octet-stream"`}, false},
		{"no event", "application/cloudevents+json", `"x"`, nil, true},
		{"no JSON", "application/cloudevents+json", `{"id":`, nil, true},
		{"null", "application/cloudevents+json", `null`, nil, true},
		{"an empty event", "application/cloudevents+json", ``, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := envelop(&Publication{PubSub: "p", Topic: "t", Data: []byte(tt.data), ContentType: tt.contentType, Envelope: testEnvelope}, 0)
			if (err != nil) != tt.bad {
				t.Fatalf("%s, error %v", out, err)
			}
			if tt.bad {
				return
			}
			var got map[string]json.RawMessage
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatalf("%s: %v", out, err)
			}
			for name, want := range tt.want {
				if value := string(got[name]); value != want && (want != "*" || len(value) < 10) {
					t.Errorf("%s is %s, want %s", name, value, want)
				}
			}
		})
	}
}

func TestEnvelopExpirationAndTrace(t *testing.T) {
	pub := Publication{PubSub: "p", Topic: "t", TraceParent: "of-the-call", TraceState: "state", Envelope: testEnvelope}
	attrs := func(ttl time.Duration) map[string]string {
		out, err := envelop(&pub, ttl)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]string
		if err := json.Unmarshal(out, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := attrs(time.Minute)
	if m["traceparent"] != "of-the-call" || m["traceid"] != "of-the-call" || m["tracestate"] != "state" {
		t.Errorf("the call's trace context is not kept: %v", m)
	}
	at, err := time.Parse(time.RFC3339, m["expiration"])
	if d := time.Until(at); err != nil || d < 50*time.Second || d > time.Minute {
		t.Errorf("expiration %q: %v", m["expiration"], err)
	}
	pub.Metadata = map[string]string{"traceparent": "mine", "traceId": "id"}
	if m := attrs(0); m["traceparent"] != "mine" || m["traceid"] != "id" || m["tracestate"] != "" {
		t.Errorf("the metadata's trace context does not come first: %v", m)
	}
	pub.ContentType, pub.Data = cloudEventsType, []byte(`{"traceparent":"in the event","tracestate":"s"}`)
	if m := attrs(0); m["traceparent"] != "in the event" || m["tracestate"] != "s" {
		t.Errorf("the event's own trace context is not kept: %v", m)
	}
}

func TestOpenEvent(t *testing.T) {
	for _, tt := range []struct {
		name, data string
		raw        bool
		want       Event
		malformed  bool
	}{
		{
			"whole", `{"id":"1","source":"s","type":"ty","specversion":"1.0","datacontenttype":"application/json","topic":"x","pubsubname":"y","data":{"n":1.50},"traceid":"tr","subject":"su","count":3,"deep":{}}`, false,
			Event{ID: "1", Source: "s", Type: "ty", SpecVersion: "1.0", ContentType: "application/json", Data: []byte(`{"n":1.50}`), Metadata: map[string]string{"broker": "b", "traceid": "tr", "subject": "su", "count": "3"}},
			false,
		},
		{
			"text", `{"id":"1","datacontenttype":"text/plain","data":"line\n"}`, false,
			Event{ID: "1", SpecVersion: "1.0", ContentType: "text/plain", Data: []byte("line\n"), Metadata: map[string]string{"broker": "b"}},
			false,
		},
		{
			"another type with text", `{"id":"1","datacontenttype":"image/svg+xml","data":"<svg/>"}`, false,
			Event{ID: "1", SpecVersion: "1.0", ContentType: "image/svg+xml", Data: []byte("<svg/>"), Metadata: map[string]string{"broker": "b"}},
			false,
		},
		{
			"bytes", `{"id":"1","datacontenttype":"image/png","data_base64":"AP8="}`, false,
			Event{ID: "1", SpecVersion: "1.0", ContentType: "image/png", Data: []byte{0, 0xff}, Metadata: map[string]string{"broker": "b"}},
			false,
		},
		{
			"json text", `{"id":"1","datacontenttype":"application/json","data":"x"}`, false,
			Event{ID: "1", SpecVersion: "1.0", ContentType: "application/json", Data: []byte(`"x"`), Metadata: map[string]string{"broker": "b"}},
			false,
		},
		{
			"nothing but data", `{"data":{"a":[1,2]}}`, false,
			Event{ID: fingerprint([]byte(`{"data":{"a":[1,2]}}`)), SpecVersion: "1.0", ContentType: "application/json", Data: []byte(`{"a":[1,2]}`), Metadata: map[string]string{"broker": "b"}},
			false,
		},
		{
			"attributes of other types", `{"id":12,"source":true,"type":{},"specversion":null,"data":null}`, false,
			Event{ID: "12", Source: "true", SpecVersion: "1.0", ContentType: "application/json", Data: []byte("null"), Metadata: map[string]string{"broker": "b"}},
			false,
		},
		{
			"any object", `{"order":1}`, false,
			Event{ID: fingerprint([]byte(`{"order":1}`)), Source: "p", Type: rawEventType, SpecVersion: "1.0", ContentType: "application/octet-stream", Data: []byte(`{"order":1}`), Metadata: map[string]string{"broker": "b"}},
			true,
		},
		{
			"no JSON", "hello", false,
			Event{ID: fingerprint([]byte("hello")), Source: "p", Type: rawEventType, SpecVersion: "1.0", ContentType: "application/octet-stream", Data: []byte("hello"), Metadata: map[string]string{"broker": "b"}},
			true,
		},
		{
			"bad base64", `{"id":"1","data_base64":"?"}`, false,
			Event{ID: fingerprint([]byte(`{"id":"1","data_base64":"?"}`)), Source: "p", Type: rawEventType, SpecVersion: "1.0", ContentType: "application/octet-stream", Data: []byte(`{"id":"1","data_base64":"?"}`), Metadata: map[string]string{"broker": "b"}},
			true,
		},
		{
			"raw", `{"id":"1","data":"x"}`, true,
			Event{ID: fingerprint([]byte(`{"id":"1","data":"x"}`)), Source: "p", Type: rawEventType, SpecVersion: "1.0", ContentType: "application/octet-stream", Data: []byte(`{"id":"1","data":"x"}`), Metadata: map[string]string{"broker": "b"}},
			false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &pubsub.Message{Topic: "t", Data: []byte(tt.data), Metadata: map[string]string{"broker": "b"}}
			got, expires, malformed := openEvent("p", m, tt.raw)
			if (malformed != nil) != tt.malformed || !expires.IsZero() {
				t.Fatalf("expires %v, malformed %v", expires, malformed)
			}
			want := tt.want
			want.PubSub, want.Topic = "p", "t"
			if got.ID != want.ID || got.Source != want.Source || got.Type != want.Type || got.SpecVersion != want.SpecVersion ||
				got.ContentType != want.ContentType || got.PubSub != want.PubSub || got.Topic != want.Topic ||
				!slices.Equal(got.Data, want.Data) || !maps.Equal(got.Metadata, want.Metadata) {
				t.Errorf("got  %+v (%s)\nwant %+v (%s)", got, got.Data, want, want.Data)
			}
		})
	}
}

func TestOpenEventExpiration(t *testing.T) {
	for text, want := range map[string]bool{"2020-01-02T03:04:05Z": true, "2020-01-02T03:04:05.5+02:00": true, "soon": false, "": false} {
		_, expires, _ := openEvent("p", &pubsub.Message{Topic: "t", Data: []byte(`{"id":"1","expiration":"` + text + `"}`)}, false)
		if expires.IsZero() == want {
			t.Errorf("expiration %q: %v", text, expires)
		}
	}
}

// What arrives may be anything: it is an event in the end, and what was published
// arrives as it was.
func FuzzOpenEvent(f *testing.F) {
	for _, seed := range []string{"", "null", `{"id":1}`, `{"data_base64":"AA=="}`, `[1]`, "{\"data\":\"\xff\"}", `{"datacontenttype":"a/b; c","data":1e999}`} {
		f.Add([]byte(seed), "text/plain")
	}
	f.Fuzz(func(t *testing.T, data []byte, contentType string) {
		for _, raw := range []bool{true, false} {
			e, _, malformed := openEvent("p", &pubsub.Message{Topic: "t", Data: data}, raw)
			if e == nil || e.ID == "" || e.Metadata == nil || e.ContentType == "" {
				t.Fatalf("event %+v", e)
			}
			if (raw || malformed != nil) && string(e.Data) != string(data) {
				t.Fatalf("the data are not the message: %q", e.Data)
			}
		}
		if mediaType(contentType) == cloudEventsType {
			return
		}
		out, err := envelop(&Publication{PubSub: "p", Topic: "t", Data: data, ContentType: contentType}, 0)
		if err != nil {
			t.Fatal(err)
		}
		e, _, malformed := openEvent("p", &pubsub.Message{Topic: "t", Data: out}, false)
		if malformed != nil {
			t.Fatalf("what was published is malformed: %v: %s", malformed, out)
		}
		if !isJSON(mediaType(contentType)) && string(e.Data) != string(data) {
			t.Fatalf("published %q as %q, got %q", data, contentType, e.Data)
		}
		if isJSON(mediaType(contentType)) && json.Valid(data) && !json.Valid(e.Data) {
			t.Fatalf("published JSON %q, got %q", data, e.Data)
		}
	})
}

func TestNewID(t *testing.T) {
	a, b := newID(), newID()
	if a == b || len(a) != 36 || a[14] != '4' || !strings.Contains("89ab", a[19:20]) {
		t.Errorf("ids %s and %s", a, b)
	}
}
