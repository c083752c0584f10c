package objectstore

import "time"

// MaxParts is the largest number of a part.
const MaxParts = 10000

// CreateUploadRequest describes an object that will be made of parts.
type CreateUploadRequest struct {
	Bucket, Key string
	Terms
	CustomerKey
	Headers
	ACL              string
	BucketKeyEnabled bool
	Expires          time.Time
	// Grants give rights to single accounts, in the form of the S3 headers.
	GrantFullControl, GrantRead, GrantReadACP, GrantWriteACP string
	Metadata                                                 map[string]string
	LegalHold                                                string // "ON", "OFF"
	LockMode                                                 string // "GOVERNANCE", "COMPLIANCE"
	RetainUntil                                              time.Time
	KMSContext, KMSKeyID                                     string
	Encryption                                               string
	StorageClass                                             string
	Tags                                                     map[string]string
	WebsiteRedirect                                          string
}

// Encryption is how the store says that it encrypts.
type Encryption struct {
	BucketKeyEnabled                       bool
	CustomerKeyAlgorithm, CustomerKeyMD5   string
	KMSContext, KMSKeyID, ServerEncryption string
}

// CreateUploadResult names the upload.
type CreateUploadResult struct {
	Bucket, Key string
	UploadID    string
	Encryption
	// AbortDate is when a rule will give the upload up, AbortRule is which.
	AbortDate      time.Time
	AbortRule      string
	RequestCharged string
	Metadata       map[string]string
}

// UploadPartRequest is a part to upload.
type UploadPartRequest struct {
	Bucket, Key, UploadID string
	Terms
	CustomerKey
	PartNumber int // 1 to MaxParts
	// ContentLength is the size of the part; 0: not known beforehand.
	ContentLength int64
	ContentMD5    string // base64; checked when it is given
}

// PartResult describes the part that was uploaded.
type PartResult struct {
	ETag string
	Encryption
	RequestCharged string
	Metadata       map[string]string
}

// CopyPartRequest is a part that is a range of an object.
type CopyPartRequest struct {
	Bucket, Key, UploadID string
	Source                Ref
	PartNumber            int
	// Start is the first byte of the source, Size how many; Size 0: all of them.
	Start, Size int64
}

// CopyPartResult describes the part that was copied.
type CopyPartResult struct {
	PartResult
	LastModified    time.Time
	SourceVersionID string
}

// CompletedPart names an uploaded part.
type CompletedPart struct {
	ETag       string
	PartNumber int
}

// CompleteUploadRequest says which parts make the object, in order.
type CompleteUploadRequest struct {
	Bucket, Key, UploadID string
	Terms
	Parts []CompletedPart
}

// CompleteUploadResult describes the object that was made.
type CompleteUploadResult struct {
	Bucket, Key string
	ETag        string
	Encryption
	Expiration     string
	Location       string
	RequestCharged string
	VersionID      string
	Metadata       map[string]string
}

// AbortUploadRequest names the upload to give up.
type AbortUploadRequest struct {
	Bucket, Key, UploadID string
	Terms
}

// AbortUploadResult says that the upload is gone.
type AbortUploadResult struct {
	RequestCharged string
	Metadata       map[string]string
}

// ListUploadsRequest asks for a page of the uploads of a bucket.
type ListUploadsRequest struct {
	Bucket                          string
	ExpectedBucketOwner             string
	Delimiter, Prefix, EncodingType string
	// KeyMarker and UploadIDMarker are after which key, and which upload of it, to begin.
	KeyMarker, UploadIDMarker string
	MaxUploads                int
}

// Upload is an upload under way.
type Upload struct {
	Key, UploadID    string
	Initiated        time.Time
	Initiator, Owner Owner
	StorageClass     string
}

// ListUploadsResult is a page of uploads. It repeats the request.
type ListUploadsResult struct {
	Bucket, Delimiter, EncodingType, KeyMarker, UploadIDMarker, Prefix string
	MaxUploads                                                         int
	CommonPrefixes                                                     []string
	Uploads                                                            []Upload
	NextKeyMarker, NextUploadIDMarker                                  string
	Truncated                                                          bool
	Metadata                                                           map[string]string
}

// ListPartsRequest asks for a page of the parts of an upload.
type ListPartsRequest struct {
	Bucket, Key, UploadID string
	Terms
	MaxParts int
	// PartNumberMarker is the number after which to begin.
	PartNumberMarker int
}

// Part is a part that was uploaded.
type Part struct {
	ETag         string
	LastModified time.Time
	PartNumber   int
	Size         int64
}

// ListPartsResult is a page of parts.
type ListPartsResult struct {
	Bucket, Key, UploadID string
	MaxParts              int
	Parts                 []Part
	// NextPartNumberMarker is for the next page, if Truncated.
	NextPartNumberMarker string
	Truncated            bool
	Metadata             map[string]string
}
