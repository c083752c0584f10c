// Package semantics is what all versions of HTTP have in common (RFC 9110), as
// far as both ends of a version need it: lengths, targets, which fields may be
// trailers, which answers have a body, and the plain answer that stands for an
// error.
//
// It reads and writes nothing, and knows no version's wire format.
package semantics
