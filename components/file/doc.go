// Package file is the contract of file stores: bytes under names. Contents
// flow; nothing here holds a whole file.
//
// A name is a path with slashes; in stores with buckets it begins with the
// bucket: "bucket/folder/file". Package filetest is the suite that every store
// passes.
package file
