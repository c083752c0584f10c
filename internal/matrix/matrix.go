// Package matrix lets a test say which backend it puts to a kind's suite. The
// test runner (tools/test) collects that and prints the table of kinds, backends
// and results. It is for tests only.
package matrix

import "testing"

// Attribute is the name of the test's attribute; its value is "kind/type".
const Attribute = "ottavo-backend"

// Backend notes that the test t runs the suite of a kind ("state", "pubsub",
// "lock", …, the folder's name below components) on the backend of that type
// name. Call it before anything that may skip the test, so that a skip is seen
// with its reason.
func Backend(t testing.TB, kind, typ string) {
	t.Helper()
	t.Attr(Attribute, kind+"/"+typ)
}
