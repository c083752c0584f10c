// Package sdktest holds the tests of sdk/go with the real runtime. They are not
// beside it because `go mod tidy` of a program that imports a package fetches what that
// package's tests import, and these import everything.
package sdktest
