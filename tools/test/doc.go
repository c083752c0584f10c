// Command test runs `go test -json` and says plainly what came of it: the
// output of every failure as it happens, one line per package, and at the end
// a summary that names each skipped test with its reason and closes with
//
//	N passed, N failed, N skipped
//
// It counts tests, not packages: each test, example, fuzz test and subtest that
// has no subtests of its own counts once; one that has subtests is counted by
// them, and itself only when it failed or was skipped for a reason of its own.
// A package that does not build, and one that ends outside any test (a panic in
// TestMain, a timeout, os.Exit), counts as one failure.
//
// Before that it prints the table of backends: which of them were put to the suite of
// their kind (package internal/matrix), with what result, and why the others were not.
//
// When -limit passes, the tests that still run are asked for their goroutines, which
// are printed, and ended.
//
// The exit code is 0 only if `go test` said 0, nothing failed and at least one
// test ran. It never hides output of a failure and never retries one. The one
// thing it runs again is a package whose cached result has skipped tests: a
// cached skip may be older than the server that it was missing.
//
//	test [-race=try] [-fresh] [-shuffle] [-limit=25m] [-summary=FILE] -- [go test flags] PACKAGES
package main
