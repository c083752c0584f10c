// Package footprint decides what memory this process holds: little when it is idle,
// and under load as much as saves work. A Go program
// looks once at most pages of its file while it starts, in 64 KiB pieces, and a
// program with many drivers is big: two thirds of its file stay mapped though nobody
// reads them again. Trim lets go of them. Room makes the garbage collector come less
// often. It never touches memory that this process has written.
package footprint
