// Package decode turns a tree of untyped values, as a YAML or JSON parser
// yields it (map[string]any, []any, string, bool, numbers, nil), into Go
// structs, strictly and with good manners: every mistake is reported with the
// path of the place, all of them at once, and an unknown key with the nearest
// known one.
//
// Values may be written the way Layotto's and Dapr's files are: "5" for a
// number, "true" for a boolean, a Go duration string for a time.Duration.
//
// It stands outside proxy and components because both decode configuration
// and neither may import the other. It imports the standard library only.
package decode
