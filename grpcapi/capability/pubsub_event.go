package capability

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/components/pubsub"
)

// Attributes of an event in its JSON form. All that start with a letter are the
// CloudEvents specification's, apart from topic, pubsubname, traceid and
// expiration, which Layotto and Dapr add.
const (
	attrID          = "id"
	attrSource      = "source"
	attrType        = "type"
	attrSpecVersion = "specversion"
	attrContentType = "datacontenttype"
	attrData        = "data"
	attrDataBase64  = "data_base64"
	attrTopic       = "topic"
	attrPubSub      = "pubsubname"
	attrTraceID     = "traceid"
	attrTraceParent = "traceparent"
	attrTraceState  = "tracestate"
	attrExpiration  = "expiration"
)

const (
	cloudEventsType = "application/cloudevents+json"
	binaryType      = "application/octet-stream"
	textType        = "text/plain"
	jsonType        = "application/json"
	specVersion     = "1.0"
)

// Envelope holds the attributes that the API in question gives to events.
type Envelope struct {
	// Source and Type are of events that are made of a caller's data.
	Source, Type string
	// GivenSource and GivenType complete a caller's own event.
	GivenSource, GivenType string
}

// Event is one event as it is delivered.
type Event struct {
	ID, Source, Type, SpecVersion, ContentType string
	PubSub, Topic                              string
	// Data is the payload, taken out of the envelope.
	Data []byte
	// Metadata is what the broker knows of the message, and the event's further
	// attributes, such as traceparent. It is never nil.
	Metadata map[string]string
}

// attributes is an event's JSON object. Values stay as they were written, so
// that numbers keep their precision.
type attributes map[string]json.RawMessage

// text returns an attribute as text; "" when it is not there, or no scalar.
func (a attributes) text(name string) string {
	raw := a[name]
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return s
	case '{', '[', 'n':
		return ""
	}
	return string(raw)
}

func (a attributes) set(name, value string) { a[name] = quote(value) }

// setMissing sets an attribute that has no text.
func (a attributes) setMissing(name, value string) {
	if a.text(name) == "" {
		a.set(name, value)
	}
}

// quote returns a text as JSON.
func quote(s string) json.RawMessage {
	out, _ := encode(s) // a text can always be written
	return out
}

// encode writes JSON without changing <, > and &.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// envelop returns the event of a publication, in JSON; with a ttl, the event says
// when it expires.
func envelop(pub *Publication, ttl time.Duration) ([]byte, error) {
	var a attributes
	if mediaType(pub.ContentType) == cloudEventsType {
		if err := json.Unmarshal(pub.Data, &a); err != nil {
			if other, ok := errors.AsType[*json.UnmarshalTypeError](err); ok { // its own text names our types
				return nil, fmt.Errorf("the data are a JSON %s, not a JSON object", other.Value)
			}
			return nil, fmt.Errorf("the data are no JSON object: %w", err)
		}
		if a == nil {
			return nil, errors.New("the data are null, not a JSON object")
		}
		a.complete(pub.Envelope)
	} else {
		a = wrap(pub)
	}
	a.set(attrTopic, pub.Topic)
	a.set(attrPubSub, pub.PubSub)
	a.trace(pub)
	if ttl > 0 {
		a.set(attrExpiration, time.Now().Add(ttl).UTC().Format(time.RFC3339Nano))
	}
	return encode(a)
}

// wrap makes an event of data.
func wrap(pub *Publication) attributes {
	a := attributes{}
	contentType := pub.ContentType
	if contentType == "" {
		contentType = textType
	}
	a.set(attrID, newID())
	a.set(attrSpecVersion, specVersion)
	a.set(attrContentType, contentType)
	a.set(attrSource, pub.Envelope.Source)
	a.set(attrType, pub.Envelope.Type)
	switch media := mediaType(contentType); {
	case isJSON(media) && utf8.Valid(pub.Data) && json.Valid(pub.Data):
		a[attrData] = pub.Data
	case media == binaryType || !utf8.Valid(pub.Data):
		a.set(attrDataBase64, base64.StdEncoding.EncodeToString(pub.Data))
	default:
		a.set(attrData, string(pub.Data))
	}
	return a
}

// newID returns a random UUID, version 4.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// complete gives a caller's event what it must have to be delivered.
func (a attributes) complete(e Envelope) {
	a.setMissing(attrID, newID())
	a.setMissing(attrSpecVersion, specVersion)
	a.setMissing(attrSource, e.GivenSource)
	a.setMissing(attrType, e.GivenType)
	a.setMissing(attrContentType, a.contentType())
}

// contentType returns the media type of the data, from their form if the event
// does not tell.
func (a attributes) contentType() string {
	data := a[attrData]
	switch {
	case a.text(attrContentType) != "":
		return a.text(attrContentType)
	case a.has(attrDataBase64):
		return binaryType
	case len(data) > 0 && data[0] == '"':
		return textType
	}
	return jsonType
}

func (a attributes) has(name string) bool { _, ok := a[name]; return ok }

// trace writes the trace context of a publication: the event's own if it has
// one, else the metadata's, else the call's. `traceid` is always there.
func (a attributes) trace(pub *Publication) {
	parent, state := lookup(pub.Metadata, attrTraceParent), lookup(pub.Metadata, attrTraceState)
	if parent == "" && state == "" {
		parent, state = pub.TraceParent, pub.TraceState
	}
	if a.text(attrTraceParent) == "" && parent != "" {
		a.set(attrTraceParent, parent)
		if state != "" {
			a.set(attrTraceState, state)
		}
	}
	id := lookup(pub.Metadata, attrTraceID)
	if id == "" {
		id = a.text(attrTraceParent)
	}
	a.setMissing(attrTraceID, id)
}

// openEvent makes an event of a message. A message that is raw, or no event,
// becomes the data of one; malformed says why then.
func openEvent(pubSub string, m *pubsub.Message, raw bool) (e *Event, expires time.Time, malformed error) {
	var a attributes
	if !raw {
		if malformed = json.Unmarshal(m.Data, &a); malformed == nil {
			if a == nil {
				malformed = errors.New("it is null, not a JSON object")
			} else if e, malformed = a.event(m); malformed == nil {
				e.PubSub, e.Topic = pubSub, m.Topic
				// What cannot be read does not expire.
				expires, _ = time.Parse(time.RFC3339Nano, a.text(attrExpiration))
				return e, expires, nil
			}
		}
	}
	e = &Event{
		ID: fingerprint(m.Data), Source: pubSub, Type: rawEventType, SpecVersion: specVersion, ContentType: m.ContentType,
		PubSub: pubSub, Topic: m.Topic, Data: m.Data, Metadata: maps.Clone(m.Metadata),
	}
	if e.ContentType == "" || mediaType(e.ContentType) == cloudEventsType {
		e.ContentType = binaryType
	}
	if e.Metadata == nil {
		e.Metadata = map[string]string{}
	}
	return e, expires, malformed
}

// rawEventType is the type of an event that is made of a message that is none.
const rawEventType = "com.runtime.event.raw"

// fingerprint is the id of a message that has none: the same each time it is
// delivered.
func fingerprint(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

// event returns the event, with defaults for what is missing.
func (a attributes) event(m *pubsub.Message) (*Event, error) {
	if !a.has(attrSpecVersion) && !a.has(attrID) && !a.has(attrData) && !a.has(attrDataBase64) {
		return nil, errors.New("it is a JSON object, but has none of specversion, id and data")
	}
	e := &Event{
		ID: a.text(attrID), Source: a.text(attrSource), Type: a.text(attrType), SpecVersion: a.text(attrSpecVersion),
		ContentType: a.contentType(), Metadata: make(map[string]string, len(m.Metadata)+len(a)),
	}
	if e.ID == "" {
		e.ID = fingerprint(m.Data)
	}
	if e.SpecVersion == "" {
		e.SpecVersion = specVersion
	}
	maps.Copy(e.Metadata, m.Metadata)
	for name := range a {
		switch name {
		case attrID, attrSource, attrType, attrSpecVersion, attrContentType, attrData, attrDataBase64, attrTopic, attrPubSub:
		default:
			if value := a.text(name); value != "" {
				e.Metadata[name] = value
			}
		}
	}
	var err error
	e.Data, err = a.payload(e.ContentType)
	return e, err
}

// payload returns the data: decoded bytes, a text as it is, anything else as
// the JSON that was published.
func (a attributes) payload(contentType string) ([]byte, error) {
	if a.has(attrDataBase64) {
		data, err := base64.StdEncoding.DecodeString(a.text(attrDataBase64))
		if err != nil {
			return nil, fmt.Errorf("data_base64: %w", err)
		}
		return data, nil
	}
	data := a[attrData]
	if len(data) > 0 && data[0] == '"' && !isJSON(mediaType(contentType)) {
		return []byte(a.text(attrData)), nil
	}
	if string(data) == "null" && !isJSON(mediaType(contentType)) {
		return nil, nil
	}
	return data, nil
}

// mediaType returns a content type without its parameters, in lower case.
func mediaType(contentType string) string {
	if media, _, err := mime.ParseMediaType(contentType); err == nil {
		return media
	}
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

func isJSON(media string) bool { return media == jsonType || strings.HasSuffix(media, "+json") }

// lookup returns the value of a key of metadata, whose case does not matter.
func lookup(metadata map[string]string, key string) string {
	if v, ok := metadata[key]; ok {
		return v
	}
	for k, v := range metadata {
		if strings.EqualFold(k, key) {
			return v
		}
	}
	return ""
}

// truthy reads a yes or no as people write it; what it does not know is no.
func truthy(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "y", "yes", "on":
		return true
	}
	b, err := strconv.ParseBool(strings.TrimSpace(s))
	return err == nil && b
}
