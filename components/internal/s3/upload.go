package s3

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// minPart is the smallest part that S3 takes, but for the last one, and so the
	// size of the first ones here, in bytes. It doubles every thousand parts, so
	// that the ten thousand that there may be hold some 400 GiB.
	minPart    = 5 << 20
	maxPart    = 64 << 20
	partsOfOne = 1000

	// abortTime bounds giving an upload up.
	abortTime = 10 * time.Second
)

// Uploaded describes what Upload has made.
type Uploaded struct {
	ETag   string
	Header http.Header // of the last answer
}

// Upload writes an object from what r yields, in one request when it fits into a
// part, else in parts. size is that of the content, 0 when it is not known; a
// content of another size is an Error of the class Invalid. When it fails there
// is no object, and no upload that is under way, unless the server is down.
func (c *Client) Upload(ctx context.Context, bucket, key string, header http.Header, size int64, r io.Reader) (*Uploaded, error) {
	data, ended, err := ReadUpTo(ctx, r, minPart, nil)
	if err != nil {
		return nil, err
	}
	if ended {
		if err := checkSize(int64(len(data)), size); err != nil {
			return nil, err
		}
		resp, err := c.Do(ctx, &Request{Method: http.MethodPut, Bucket: bucket, Key: key, Header: header, Content: Bytes(data)})
		if err != nil {
			return nil, err
		}
		_ = resp.Body.Close()
		return &Uploaded{ETag: resp.Header.Get("Etag"), Header: resp.Header}, nil
	}
	u := &uploading{c: c, bucket: bucket, key: key, want: size}
	if err := u.begin(ctx, header); err != nil {
		return nil, err
	}
	out, err := u.run(ctx, r, data)
	if err != nil {
		u.abort(ctx)
		return nil, err
	}
	return out, nil
}

func checkSize(got, want int64) error {
	if want > 0 && got != want {
		return &Error{Class: Invalid, Code: "IncompleteBody", Message: fmt.Sprintf("the content has another size than content_length says: %d bytes, not %d", got, want)}
	}
	return nil
}

// uploading is an upload in parts.
type uploading struct {
	c           *Client
	bucket, key string
	id          string
	want        int64
	parts       []CompletedPart
}

// CompletedPart names a part, in a CompleteRequest.
type CompletedPart struct {
	PartNumber int
	ETag       string
}

// CompleteRequest is the body of the request that completes an upload.
type CompleteRequest struct {
	XMLName xml.Name        `xml:"CompleteMultipartUpload"`
	Parts   []CompletedPart `xml:"Part"`
}

// CompleteResult is the body of its answer.
type CompleteResult struct {
	Location, Bucket, Key, ETag string
}

func (u *uploading) begin(ctx context.Context, header http.Header) error {
	var out struct {
		UploadID string `xml:"UploadId"`
	}
	_, err := u.c.DoXML(ctx, &Request{
		Method: http.MethodPost, Bucket: u.bucket, Key: u.key, Query: url.Values{"uploads": {""}}, Header: header, Content: Bytes(nil),
	}, &out)
	if err == nil && out.UploadID == "" {
		err = fmt.Errorf("the object store at %s has begun an upload without an id", u.c.Where())
	}
	u.id = out.UploadID
	return err
}

func (u *uploading) run(ctx context.Context, r io.Reader, data []byte) (*Uploaded, error) {
	total, size, ended := int64(0), minPart, false
	for number := 1; ; number++ {
		total += int64(len(data))
		if u.want > 0 && total > u.want {
			return nil, checkSize(total, u.want)
		}
		if len(data) > 0 {
			if err := u.part(ctx, number, data); err != nil {
				return nil, err
			}
		}
		if ended {
			break
		}
		if number%partsOfOne == 0 {
			size = min(2*size, maxPart)
		}
		var err error
		if data, ended, err = ReadUpTo(ctx, r, size, data); err != nil {
			return nil, err
		}
	}
	if err := checkSize(total, u.want); err != nil {
		return nil, err
	}
	body, err := XML(CompleteRequest{Parts: u.parts})
	if err != nil {
		return nil, err
	}
	var out CompleteResult
	resp, err := u.c.DoXML(ctx, &Request{
		Method: http.MethodPost, Bucket: u.bucket, Key: u.key, Query: url.Values{"uploadId": {u.id}}, Content: body,
	}, &out)
	if err != nil {
		return nil, err
	}
	return &Uploaded{ETag: out.ETag, Header: resp.Header}, nil
}

func (u *uploading) part(ctx context.Context, number int, data []byte) error {
	resp, err := u.c.Do(ctx, &Request{
		Method: http.MethodPut, Bucket: u.bucket, Key: u.key, Content: Bytes(data),
		Query: url.Values{"uploadId": {u.id}, "partNumber": {strconv.Itoa(number)}},
	})
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	u.parts = append(u.parts, CompletedPart{PartNumber: number, ETag: resp.Header.Get("Etag")})
	return nil
}

// abort frees what was uploaded; the caller's time may be over.
func (u *uploading) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	resp, err := u.c.Do(ctx, &Request{Method: http.MethodDelete, Bucket: u.bucket, Key: u.key, Query: url.Values{"uploadId": {u.id}}})
	if err == nil {
		_ = resp.Body.Close()
	}
}
