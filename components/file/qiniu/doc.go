// Package qiniu is a file store in a bucket of Qiniu Kodo. The name of a file is
// its key; the bucket is in the configuration.
//
// Files are read from the bucket's domain, which may be a network of caches: a
// file that was replaced may be read as it was for a while. Which servers are
// written to is asked of Qiniu and remembered for an hour. Contents that are
// larger than 4 MiB are uploaded in parts, in bounded memory.
package qiniu
