// Package footprint keeps the resident memory of this process small. A Go program
// looks once at most pages of its file while it starts, in 64 KiB pieces, and a
// program with many drivers is big: two thirds of its file stay mapped though nobody
// reads them again. Trim lets go of them. It never touches memory that this process
// has written.
package footprint
