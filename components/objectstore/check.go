package objectstore

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxKey is the longest key in bytes, in all stores known.
const maxKey = 1024

// Check reports what is wrong with the name by itself, as an ErrInvalid. Every
// store calls it before anything else.
func (r Ref) Check() error { return CheckName(r.Bucket, r.Key) }

// CheckName reports what is wrong with a bucket and a key by themselves.
func CheckName(bucket, key string) error {
	if err := CheckBucket(bucket); err != nil {
		return err
	}
	switch {
	case key == "":
		return fmt.Errorf("%w: the key is empty", ErrInvalid)
	case len(key) > maxKey:
		return fmt.Errorf("%w: the key has %d bytes; the most is %d", ErrInvalid, len(key), maxKey)
	}
	return nil
}

// CheckBucket reports what is wrong with a bucket's name by itself.
func CheckBucket(bucket string) error {
	switch {
	case bucket == "":
		return fmt.Errorf("%w: the bucket is missing", ErrInvalid)
	case len(bucket) > 255 || bucket == "." || bucket == ".." || strings.ContainsFunc(bucket, badInBucket):
		return fmt.Errorf("%w: %q cannot be the name of a bucket: letters, digits, '-', '.' and '_' can be in one", ErrInvalid, bucket)
	}
	return nil
}

func badInBucket(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
}

// CheckPart reports what is wrong with the number of a part.
func CheckPart(number int) error {
	if number < 1 || number > MaxParts {
		return fmt.Errorf("%w: the part number is %d; it must be 1 to %d", ErrInvalid, number, MaxParts)
	}
	return nil
}

// CheckLimit reports what is wrong with the most entries that a list may have.
func CheckLimit(limit int) error {
	if limit < 0 {
		return fmt.Errorf("%w: the most entries of a page is negative (%d)", ErrInvalid, limit)
	}
	return nil
}

// CheckSource reports what is wrong with what is to be copied.
func CheckSource(source Ref) error {
	if source == (Ref{}) {
		return fmt.Errorf("%w: must specific copy_source: its bucket and its key are missing", ErrInvalid)
	}
	if err := source.Check(); err != nil {
		return fmt.Errorf("copy_source: %w", err)
	}
	return nil
}

// ParseMD5 reads the base64 MD5 of a request; nil when it is "".
func ParseMD5(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	sum, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(sum) != 16 {
		return nil, fmt.Errorf("%w: the content MD5 %q is not the base64 of 16 bytes", ErrInvalid, text)
	}
	return sum, nil
}

// Range resolves Start and End for an object of that size: the first byte and how
// many. partial says that this is not asked for as the whole.
func (r *GetRequest) Range(size int64) (start, n int64, partial bool, err error) {
	switch {
	case r.Start < 0 || r.End < 0 || r.End != 0 && r.End < r.Start:
		return 0, 0, false, fmt.Errorf("%w: bytes %d to %d are no range", ErrInvalid, r.Start, r.End)
	case r.Start == 0 && r.End == 0:
		return 0, size, false, nil
	case r.Start >= size:
		return 0, 0, false, fmt.Errorf("%w: the range begins at byte %d, and the object has %d", ErrInvalid, r.Start, size)
	}
	end := size - 1
	if r.End != 0 {
		end = min(end, r.End)
	}
	return r.Start, end - r.Start + 1, true, nil
}

// Hold reports whether the conditions hold for an object, as an ErrPrecondition if not.
func (c Conditions) Hold(etag string, modified time.Time) error {
	modified = modified.Truncate(time.Second)
	match := func(tag string) bool { return tag == "*" || strings.Trim(tag, `"`) == strings.Trim(etag, `"`) }
	switch {
	case c.IfMatch != "" && !match(c.IfMatch):
		return fmt.Errorf("%w: if_match %s, and the etag is %s", ErrPrecondition, c.IfMatch, etag)
	case c.IfMatch == "" && !c.IfUnmodifiedSince.IsZero() && modified.After(c.IfUnmodifiedSince):
		return fmt.Errorf("%w: the object was written at %s", ErrPrecondition, modified.UTC().Format(time.RFC3339))
	case c.IfNoneMatch != "" && match(c.IfNoneMatch):
		return fmt.Errorf("%w: if_none_match %s, and that is the etag", ErrPrecondition, c.IfNoneMatch)
	case c.IfNoneMatch == "" && !c.IfModifiedSince.IsZero() && !modified.After(c.IfModifiedSince):
		return fmt.Errorf("%w: the object was last written at %s", ErrPrecondition, modified.UTC().Format(time.RFC3339))
	}
	return nil
}

// Describe returns the object's fields by the names of HTTP headers, for stores
// that have none of their own.
func (o *Object) Describe() map[string]string {
	out := map[string]string{"Content-Length": strconv.FormatInt(o.ContentLength, 10)}
	set := func(name, value string) {
		if value != "" {
			out[name] = value
		}
	}
	set("Cache-Control", o.CacheControl)
	set("Content-Disposition", o.ContentDisposition)
	set("Content-Encoding", o.ContentEncoding)
	set("Content-Language", o.ContentLanguage)
	set("Content-Type", o.ContentType)
	set("Etag", o.ETag)
	set("Expires", o.Expires)
	set("X-Amz-Version-Id", o.VersionID)
	set("X-Amz-Storage-Class", o.StorageClass)
	if !o.LastModified.IsZero() {
		set("Last-Modified", o.LastModified.UTC().Format(http.TimeFormat))
	}
	if o.TagCount > 0 {
		set("X-Amz-Tagging-Count", strconv.Itoa(o.TagCount))
	}
	if o.PartsCount > 0 {
		set("X-Amz-Mp-Parts-Count", strconv.Itoa(o.PartsCount))
	}
	for name, value := range o.Metadata {
		out[http.CanonicalHeaderKey("x-amz-meta-"+name)] = value
	}
	return out
}

// Check reports what is wrong with the request by itself, as an ErrInvalid.
func (r *DeleteManyRequest) Check() error {
	if err := CheckBucket(r.Bucket); err != nil {
		return err
	}
	if n := len(r.Objects); n == 0 || n > MaxDelete {
		return fmt.Errorf("%w: %d objects to delete; it must be 1 to %d", ErrInvalid, n, MaxDelete)
	}
	for _, o := range r.Objects {
		if err := CheckName(r.Bucket, o.Key); err != nil {
			return err
		}
	}
	return nil
}

// Check reports what is wrong with the request by itself, as an ErrInvalid.
func (r *CompleteUploadRequest) Check() error {
	if err := CheckName(r.Bucket, r.Key); err != nil {
		return err
	}
	if len(r.Parts) == 0 {
		return fmt.Errorf("%w: no parts are named that make the object", ErrInvalid)
	}
	for i, p := range r.Parts {
		if err := CheckPart(p.PartNumber); err != nil {
			return err
		}
		if i > 0 && p.PartNumber <= r.Parts[i-1].PartNumber {
			return fmt.Errorf("%w: the parts are not in the order of their numbers: %d after %d", ErrInvalid, p.PartNumber, r.Parts[i-1].PartNumber)
		}
	}
	return nil
}
