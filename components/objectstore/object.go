package objectstore

import (
	"io"
	"time"
)

// Ref names an object, or with VersionID one version of it.
type Ref struct {
	Bucket, Key, VersionID string
}

// Terms are under which a caller asks.
type Terms struct {
	// ExpectedBucketOwner is the account that must own the bucket.
	ExpectedBucketOwner string
	// RequestPayer is "requester" if the caller agrees to pay.
	RequestPayer string
}

// CustomerKey is for objects that are encrypted with a key which the client keeps.
type CustomerKey struct {
	Algorithm string // "AES256"
	Secret    string // the key, as raw bytes or as base64
	KeyMD5    string // base64
}

// Headers are what an object says of its content. They travel with it.
type Headers struct {
	CacheControl, ContentDisposition, ContentEncoding, ContentLanguage, ContentType string
}

// Conditions are when a read happens; otherwise it fails with ErrPrecondition.
type Conditions struct {
	IfMatch, IfNoneMatch               string // etags
	IfModifiedSince, IfUnmodifiedSince time.Time
}

// Object is what is known of an object.
type Object struct {
	Headers
	// ContentLength is the size of what is read: of the object, or of its part.
	ContentLength int64
	// ContentRange says which bytes these are, as in the HTTP header; "" for all.
	ContentRange string
	// DeleteMarker says that the newest version is the mark of a deletion.
	DeleteMarker bool
	ETag         string
	// Expiration is when a rule will remove the object, and which, in the backend's words.
	Expiration string
	// Expires is when the content stops being fresh, as in the HTTP header.
	Expires      string
	LastModified time.Time
	VersionID    string
	TagCount     int
	StorageClass string
	PartsCount   int
	// Metadata is what the writer has left with the object.
	Metadata map[string]string
	// Reported is what the backend says, by the names of its HTTP headers; for
	// Head with Details everything, otherwise the fields above.
	Reported map[string]string
}

// PutRequest is an object to write.
type PutRequest struct {
	Bucket, Key string
	Headers
	// ContentLength is the size of the content; 0: not known beforehand. A
	// content of another size is an ErrInvalid.
	ContentLength int64
	// ACL is a predefined access rule, as "private" or "public-read".
	ACL              string
	BucketKeyEnabled bool
	Expires          time.Time
	// Encryption is how the store encrypts: "AES256", "aws:kms".
	Encryption string
	// SignedURL is written to in place of Bucket and Key, without our credentials.
	SignedURL    string
	Metadata     map[string]string
	Tags         map[string]string
	StorageClass string
}

// PutResult describes the object that was written.
type PutResult struct {
	BucketKeyEnabled bool
	ETag             string
	Expiration       string
	RequestCharged   string
	VersionID        string
	Metadata         map[string]string // what the backend says beyond that
}

// GetRequest names an object and what of it to read.
type GetRequest struct {
	Ref
	Terms
	CustomerKey
	Conditions
	// PartNumber asks for one part of an object that was uploaded in parts.
	PartNumber int
	// Start and End are the first and the last byte to read. Both 0: all; only
	// End 0: to the end.
	Start, End int64
	// Override replaces what the object says of itself, in the answer only.
	Override        Headers
	OverrideExpires string
	AcceptEncoding  string
	// SignedURL is read in place of Ref, without our credentials.
	SignedURL string
}

// GetResult is an object that is open for reading.
type GetResult struct {
	Object
	Body io.ReadCloser
}

// HeadRequest names an object to describe.
type HeadRequest struct {
	Ref
	Terms
	CustomerKey
	Conditions
	PartNumber   int
	ChecksumMode string // "ENABLED"
	// Details asks for all that the backend can tell.
	Details bool
}

// AppendRequest is what to append to.
type AppendRequest struct {
	Bucket, Key string
	Headers
	// Position is where the object must end now.
	Position int64
	ACL      string
	// ContentMD5 is base64; the store checks it when it is given.
	ContentMD5   string
	Expires      time.Time
	StorageClass string
	Encryption   string
	Metadata     map[string]string
	Tags         map[string]string
}

// AppendResult says where the object ends now.
type AppendResult struct {
	Position int64
	Metadata map[string]string
}

// DeleteRequest names the object to delete.
type DeleteRequest struct {
	Ref
	RequestPayer string
}

// DeleteResult says what a deletion has left behind.
type DeleteResult struct {
	// DeleteMarker says that only a mark was written, or that a mark was deleted.
	DeleteMarker   bool
	RequestCharged string
	// VersionID is the version that was deleted, or that of the mark.
	VersionID string
	Metadata  map[string]string
}

// DeleteManyRequest names the objects to delete; Refs of other buckets are not possible.
type DeleteManyRequest struct {
	Bucket string
	// Objects have Key and VersionID only.
	Objects []Ref
	// Quiet leaves out of the result what was deleted.
	Quiet        bool
	RequestPayer string
}

// MaxDelete is the most objects of one DeleteMany.
const MaxDelete = 1000

// Deleted is the outcome for one object.
type Deleted struct {
	Key, VersionID        string
	DeleteMarker          bool
	DeleteMarkerVersionID string
}

// NotDeleted is an object that is still there, and why.
type NotDeleted struct {
	Key, VersionID, Code, Message string
}

// DeleteManyResult is the outcome for many objects.
type DeleteManyResult struct {
	Deleted  []Deleted
	Failed   []NotDeleted
	Metadata map[string]string
}

// CopyRequest names an object to make and the one to copy.
type CopyRequest struct {
	Bucket, Key string
	Source      Ref
	Tags        map[string]string // of the copy; nil: those of the source
	Expires     time.Time
	// MetadataDirective is "COPY" (also "") or "REPLACE", by Metadata.
	MetadataDirective string
	Metadata          map[string]string
}

// CopyResult describes a copy.
type CopyResult struct {
	ETag         string
	LastModified time.Time
	VersionID    string
	Expiration   string
	Metadata     map[string]string
}

// TagResult is the tags of an object and the version that has them.
type TagResult struct {
	Tags      map[string]string
	VersionID string
	Metadata  map[string]string
}

// Owner is an account.
type Owner struct {
	DisplayName, ID string
}

// RuleResult is the access rule of an object.
type RuleResult struct {
	ACL            string
	Owner          Owner
	RequestCharged string
	Metadata       map[string]string
}
