// Package local is a file store in a folder of this machine.
//
// Every name is taken below the store's root; an absolute one too, and one that
// leads out, with ".." or through a symbolic link, is refused. A file is written
// beside its place, synced, and renamed: readers see the old content or the new,
// whatever happens in between.
//
// The metadata of a put may have FileMode, the permission bits as a decimal
// number, and FileFlag, flags of open(2) as a decimal number, of which O_CREATE,
// O_EXCL and O_APPEND count.
package local
