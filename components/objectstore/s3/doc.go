// Package s3 is the object stores that are spoken to over HTTP: Amazon S3 and
// those that are like it (Ceph, MinIO), Aliyun OSS and Huawei OBS.
//
// Contents that are larger than 5 MiB are uploaded in parts, in bounded memory;
// the etag is that of an upload in parts then. A part of an upload by the caller
// that is larger than 8 MiB, and what is appended, waits in a temporary file, as
// these servers want to know its size first. Uploads that a crash leaves under way
// stay at the server until a lifecycle rule of the bucket removes them.
package s3
