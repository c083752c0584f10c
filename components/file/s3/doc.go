// Package s3 is file stores in object stores: MinIO and Amazon S3, Aliyun OSS and
// Tencent COS. The name of a file is "bucket/key"; where the endpoint is that of
// one bucket of COS, it is the key.
//
// A component may have several accounts; the metadata `endpoint` of a call says
// which one it is for. Contents that are larger than 5 MiB are uploaded in parts,
// in bounded memory, and uploads that a crash leaves under way stay at the server
// until a lifecycle rule of the bucket removes them.
package s3
