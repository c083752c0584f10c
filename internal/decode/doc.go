// Package decode turns a tree of untyped values, as a YAML or JSON parser
// yields it (map[string]any, []any, string, bool, numbers, nil), into Go
// structs, strictly and with good manners: every mistake is reported with the
// path of the place, all of them at once, and an unknown key with the nearest
// known one.
//
// Values may be written the way Layotto's and Dapr's files are: "5" for a
// number, "true" for a boolean, a Go duration string for a time.Duration.
//
// What a struct accepts is written in the tags of its fields:
//
//	json:"name"         the key; "-" leaves the field out
//	default:"5"         value of the field in a struct that Into itself creates
//	                    (an element of a list or map, a new pointer)
//	min:"1" max:"9"     range of a number or duration
//	enum:"a|b|"         allowed texts; here a, b and the empty text
//	unit:"s"            a duration may be a bare number of seconds (or "ms", "m", "h")
//	split:","           a list of texts may be one text with this separator
//	single:"true"       a list of structs may be one of them, without [ ]
//	rest:"true"         a map[string]any that takes all keys no other field has
//	unbuilt:"warn"      the key is known, but nothing is behind it in this version:
//	                    using it is a warning, with "refuse" an error; what
//	                    follows ": " is added to the message
//
// Values of keys that look like secrets never appear in a message.
//
// The package never reads a file, never expands anything and never panics,
// whatever the tree holds. It stands outside proxy and components because both
// decode configuration and neither may import the other. It imports the
// standard library only.
package decode
