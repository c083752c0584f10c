// Package dynamodb is a state store on Amazon DynamoDB, with contrib's settings and
// layout. Contrib reads; it does not write: in a transaction it forgets the etag of a
// delete and all but the last operation on a key, it does not say that an etag was the
// reason of a failure, and everywhere it takes items for being there that have ended and
// were not swept away yet, which takes DynamoDB up to days.
//
// It never makes tables.
package dynamodb
