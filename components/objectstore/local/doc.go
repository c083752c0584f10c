// Package local is an object store in a folder of this machine: the reference
// for the others, and a store for one machine.
//
// Buckets are folders and come into being with their first object. Below them a
// key's parts between slashes are folders too; the last one holds a version's
// content and, beside it, what is known of it, which is written last and makes
// the version exist. Both are synced before the write is acknowledged, and what a
// crash leaves behind is not seen.
//
// With `versioning` an object keeps its versions, and a deletion is a mark.
// Access rules are kept and told, but nobody is asked who he is. The store does
// not encrypt, and refuses requests that ask for it; it signs no URLs and has no
// archive to restore from.
package local
