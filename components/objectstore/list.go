package objectstore

import "time"

// MaxKeys is the most entries of a list where the backend has no limit of its own.
const MaxKeys = 1000

// ListRequest asks for a page of a bucket.
type ListRequest struct {
	Bucket string
	Terms
	// Delimiter puts keys together that are alike from Prefix up to it.
	Delimiter, Prefix string
	// EncodingType is "url" to have keys in the answer URL encoded.
	EncodingType string
	// Marker is the key after which to begin.
	Marker string
	// MaxKeys is the most entries; 0 is the backend's default.
	MaxKeys    int
	FetchOwner bool
}

// Entry is one object of a list.
type Entry struct {
	Key, ETag    string
	LastModified time.Time
	Owner        Owner
	Size         int64
	StorageClass string
	// Type is the kind of object: "Normal", "Appendable", "Multipart".
	Type string
}

// ListResult is a page of a bucket. It repeats the request.
type ListResult struct {
	Bucket, Delimiter, EncodingType, Marker, Prefix string
	MaxKeys                                         int
	CommonPrefixes                                  []string
	Objects                                         []Entry
	// NextMarker is the Marker of the next page, if Truncated.
	NextMarker string
	Truncated  bool
	Metadata   map[string]string
}

// ListVersionsRequest asks for a page of the versions in a bucket.
type ListVersionsRequest struct {
	Bucket                          string
	ExpectedBucketOwner             string
	Delimiter, Prefix, EncodingType string
	// KeyMarker and VersionIDMarker are after which key, and which version of it, to begin.
	KeyMarker, VersionIDMarker string
	MaxKeys                    int
}

// Version is one version of an object, or a mark of its deletion.
type Version struct {
	Key, VersionID string
	Latest         bool
	LastModified   time.Time
	Owner          Owner
	// The others are not known of a mark.
	ETag, StorageClass string
	Size               int64
}

// ListVersionsResult is a page of versions, the newest of a key first. It repeats the request.
type ListVersionsResult struct {
	Bucket, Delimiter, EncodingType, KeyMarker, VersionIDMarker, Prefix string
	MaxKeys                                                             int
	CommonPrefixes                                                      []string
	Versions, DeleteMarkers                                             []Version
	NextKeyMarker, NextVersionIDMarker                                  string
	Truncated                                                           bool
	Metadata                                                            map[string]string
}
