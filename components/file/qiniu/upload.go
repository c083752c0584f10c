package qiniu

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // what Qiniu asks for
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"
	"time"

	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/internal/s3"
)

const (
	// firstPart is the size of the first parts of an upload, in bytes; it doubles
	// every thousand parts, of which there may be ten thousand.
	firstPart  = 4 << 20
	maxPart    = 64 << 20
	partsOfOne = 1000

	// abortTime bounds giving an upload up.
	abortTime = 10 * time.Second
)

// readError is an error of the one who yields the content.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

// upload writes what r yields. size is that of the content, or -1.
func (c *client) upload(ctx context.Context, key, contentType string, size int64, r io.Reader) error {
	data, ended, err := s3.ReadUpTo(ctx, r, firstPart, nil)
	if err != nil {
		return &readError{err}
	}
	h, err := c.servers(ctx)
	if err != nil {
		return err
	}
	token, err := c.uploadToken(key)
	if err != nil {
		return err
	}
	if ended {
		if err := checkSize(int64(len(data)), size); err != nil {
			return err
		}
		return c.form(ctx, h.up, key, contentType, token, data)
	}
	u := &uploading{c: c, token: token, want: size, base: h.up + "/buckets/" + c.a.Bucket + "/objects/" + base64.URLEncoding.EncodeToString([]byte(key)) + "/uploads"}
	if err := u.begin(ctx); err != nil {
		return err
	}
	if err := u.run(ctx, contentType, data, r); err != nil {
		u.abort(ctx)
		return err
	}
	return nil
}

func checkSize(got, want int64) error {
	if want >= 0 && got != want {
		return fmt.Errorf("%w: the content has another size than metadata %s says: %d bytes, not %d", file.ErrInvalid, sizeKey, got, want)
	}
	return nil
}

// form writes a small file, in one request.
func (c *client) form(ctx context.Context, up, key, contentType, token string, data []byte) error {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	err := w.WriteField("token", token)
	if err == nil {
		err = w.WriteField("key", key)
	}
	if err == nil {
		header := map[string][]string{"Content-Disposition": {`form-data; name="file"; filename="file"`}}
		if contentType != "" {
			header["Content-Type"] = []string{contentType}
		}
		var part io.Writer
		if part, err = w.CreatePart(header); err == nil {
			_, err = part.Write(data)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("the form: %w", err)
	}
	return c.doJSON(ctx, &request{method: http.MethodPost, url: up + "/", header: http.Header{"Content-Type": {w.FormDataContentType()}}, body: body.Bytes()}, nil)
}

// uploading is an upload in parts.
type uploading struct {
	c           *client
	base, token string
	id          string
	want        int64
	parts       []partInfo
}

type partInfo struct {
	Number int    `json:"partNumber"`
	Etag   string `json:"etag"`
}

func (u *uploading) send(ctx context.Context, method, path string, header http.Header, body []byte, out any) error {
	if header == nil {
		header = http.Header{}
	}
	header.Set("Authorization", "UpToken "+u.token)
	return u.c.doJSON(ctx, &request{method: method, url: u.base + path, header: header, body: body}, out)
}

func (u *uploading) begin(ctx context.Context) error {
	var out struct {
		UploadID string `json:"uploadId"`
	}
	err := u.send(ctx, http.MethodPost, "", nil, nil, &out)
	if err == nil && out.UploadID == "" {
		err = fmt.Errorf("%s has begun an upload without an id", u.base)
	}
	u.id = out.UploadID
	return err
}

func (u *uploading) run(ctx context.Context, contentType string, data []byte, r io.Reader) error {
	total, size, ended := int64(0), firstPart, false
	for number := 1; ; number++ {
		total += int64(len(data))
		if len(data) > 0 {
			sum := md5.Sum(data) //nolint:gosec // what Qiniu asks for
			var out partInfo
			header := http.Header{"Content-Type": {"application/octet-stream"}, "Content-Md5": {hex.EncodeToString(sum[:])}}
			if err := u.send(ctx, http.MethodPut, "/"+u.id+"/"+strconv.Itoa(number), header, data, &out); err != nil {
				return err
			}
			u.parts = append(u.parts, partInfo{number, out.Etag})
		}
		if ended {
			break
		}
		if number%partsOfOne == 0 {
			size = min(2*size, maxPart)
		}
		var err error
		if data, ended, err = s3.ReadUpTo(ctx, r, size, data); err != nil {
			return &readError{err}
		}
	}
	if err := checkSize(total, u.want); err != nil {
		return err
	}
	body, err := json.Marshal(struct {
		Parts    []partInfo `json:"parts"`
		MimeType string     `json:"mimeType,omitempty"`
	}{u.parts, contentType})
	if err != nil {
		return fmt.Errorf("qiniu: %w", err)
	}
	return u.send(ctx, http.MethodPost, "/"+u.id, http.Header{"Content-Type": {"application/json"}}, body, nil)
}

// abort frees what was uploaded; the caller's time may be over. If it fails, too,
// Qiniu removes the parts after some days.
func (u *uploading) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	_ = u.send(ctx, http.MethodDelete, "/"+u.id, nil, nil, nil)
}
