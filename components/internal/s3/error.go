package s3

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Class is in what way an object store refuses.
type Class uint8

// Classes.
const (
	Other        Class = iota
	Invalid            // the request itself is wrong
	NotFound           // there is no such bucket, object, version or upload
	Precondition       // a condition does not hold, or the object is in another state
	Permission         // we may not; wrong credentials too
	NotSupported       // the server lacks it
	Full               // there is no room
)

// Error is an object store's refusal.
type Error struct {
	Class   Class
	Status  int // of HTTP; 0 when no request was sent
	Code    string
	Message string
	// RequestID is what the server's people want to know.
	RequestID string
}

// Error names the server's code, text and id of the request.
func (e *Error) Error() string {
	s := cmp.Or(e.Code, http.StatusText(e.Status), "refused")
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Status != 0 {
		s = fmt.Sprintf("status %d %s", e.Status, s)
	}
	if e.RequestID != "" {
		s += " (request " + e.RequestID + ")"
	}
	return s
}

// errorXML is the body of a refusal.
type errorXML struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	RequestID string `xml:"RequestId"`
}

const maxErrorBody = 64 << 10

// failure reads an answer that is no success.
func failure(resp *http.Response) *Error {
	defer func() { _ = resp.Body.Close() }()
	e := &Error{Status: resp.StatusCode}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	var body errorXML
	if err == nil && xml.Unmarshal(data, &body) == nil {
		e.Code, e.Message, e.RequestID = body.Code, body.Message, body.RequestID
	}
	for _, prefix := range []string{"X-Amz-", "X-Oss-", "X-Obs-", "X-Cos-"} {
		if id := resp.Header.Get(prefix + "Request-Id"); e.RequestID == "" {
			e.RequestID = id
		}
	}
	if e.Code == "" {
		// An answer to HEAD has no body; these have their code in a header.
		e.Code = resp.Header.Get("X-Oss-Err-Code") + resp.Header.Get("X-Obs-Error-Code") + resp.Header.Get("X-Minio-Error-Code")
	}
	e.Class = classify(e, resp.Header)
	return e
}

// lateError finds a refusal in an answer that began as a success, as those to
// copies and completions may.
func lateError(data []byte) *Error {
	if !bytes.Contains(data[:min(len(data), 512)], []byte("<Error>")) {
		return nil
	}
	var body errorXML
	if xml.Unmarshal(data, &body) != nil {
		return nil
	}
	e := &Error{Status: http.StatusOK, Code: body.Code, Message: body.Message, RequestID: body.RequestID}
	e.Class = classify(e, nil)
	return e
}

// classes are those of codes that the status alone does not tell.
var classes = map[string]Class{
	"InvalidObjectState": Precondition, "PositionNotEqualToLength": Precondition, "ObjectNotAppendable": Precondition,
	"PreconditionFailed": Precondition, "NotModified": Precondition, "ObjectAlreadyExists": Precondition, "FileAlreadyExists": Precondition,
	"NoSuchKey": NotFound, "NoSuchBucket": NotFound, "NoSuchUpload": NotFound, "NoSuchVersion": NotFound,
	"NotImplemented": NotSupported, "XMinioStorageFull": Full, "QuotaExceeded": Full, "XMinioAdminBucketQuotaExceeded": Full,
	"InsufficientStorageSpace": Full, "EntityTooLarge": Invalid, "InvalidPart": Invalid, "InvalidPartOrder": Invalid,
	"EntityTooSmall": Invalid, "BadDigest": Invalid, "InvalidDigest": Invalid, "InvalidArgument": Invalid, "InvalidRange": Invalid,
	"AccessDenied": Permission, "InvalidAccessKeyId": Permission, "SignatureDoesNotMatch": Permission,
	"ExpiredToken": Permission, "InvalidToken": Permission, "AuthorizationHeaderMalformed": Permission,
	"RequestTimeTooSkewed": Permission, "RequestTimeout": Other,
}

// BadCredentials are the codes of a server that does not know us, in contrast to
// one that knows us and refuses.
var badCredentials = map[string]bool{
	"InvalidAccessKeyId": true, "SignatureDoesNotMatch": true, "ExpiredToken": true, "InvalidToken": true,
	"AuthorizationHeaderMalformed": true, "RequestTimeTooSkewed": true,
}

func classify(e *Error, header http.Header) Class {
	if class, ok := classes[e.Code]; ok {
		return class
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return Permission
	case http.StatusNotFound:
		return NotFound
	case http.StatusNotModified, http.StatusPreconditionFailed:
		return Precondition
	case http.StatusMethodNotAllowed:
		for name := range header {
			if strings.HasSuffix(name, "-Delete-Marker") {
				return Invalid // a mark of deletion has no content
			}
		}
		return NotSupported
	case http.StatusNotImplemented:
		return NotSupported
	case http.StatusInsufficientStorage:
		return Full
	case http.StatusBadRequest, http.StatusLengthRequired, http.StatusRequestEntityTooLarge, http.StatusRequestedRangeNotSatisfiable:
		return Invalid
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		e.Message += " (the bucket is in another region: set region and endpoint to its own)"
		return Invalid
	}
	return Other
}
