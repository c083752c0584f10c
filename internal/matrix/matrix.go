// Package matrix lets a test say which backend it puts to a kind's suite. The
// test runner (tools/test) collects that and prints the table of kinds, backends
// and results. It is for tests only.
package matrix

import "testing"

const (
	// Attribute is the name of the attribute by which a test says which backend
	// it puts to the suite; its value is "kind/type", and, in make test-wide, a blank
	// and against what.
	Attribute = "ottavo-backend"
	// TypeAttribute is the name of the attribute by which the test of the page of
	// all types says which there are. Its value is "kind/type", and, when there is no
	// suite for the type, a blank and the reason.
	TypeAttribute = "ottavo-type"
)

// Backend notes that the test t runs the suite of a kind ("state", "pubsub",
// "lock", …, the folder's name below components) on the backend of that type
// name. Call it before anything that may skip the test, so that a skip is seen
// with its reason.
func Backend(t testing.TB, kind, typ string) {
	t.Helper()
	t.Attr(Attribute, kind+"/"+typ)
}

// Wide is Backend for a test that only `make test-wide` runs, against a server with a
// version, "Cassandra 5.0", or what stands in for it: an emulator such as "moto", or "a
// stand-in". The tables say so. All three are
// to be written as texts, as TestComponentsPage in runtime/builtin reads them in the source.
func Wide(t testing.TB, kind, typ, server string) {
	t.Helper()
	t.Attr(Attribute, kind+"/"+typ+" "+server)
}

// Type notes that there is a type; untested says why there is no suite for it, ""
// when there is.
func Type(t testing.TB, kind, typ, untested string) {
	t.Helper()
	value := kind + "/" + typ
	if untested != "" {
		value += " " + untested
	}
	t.Attr(TypeAttribute, value)
}
