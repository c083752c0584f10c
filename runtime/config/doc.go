// Package config reads the configuration file: JSON or YAML, in the shape that
// Layotto's and MOSN's users have, or with the short form, a section "runtime"
// at the top.
//
// Load reads, parses, expands environment variables, decodes and checks the
// whole file before anything is started, and reports every problem at once, with
// file, line, path, value and the way out. Both forms and both formats give the
// same Config.
//
// Schema writes the JSON Schema of the same structs, for editors.
//
// The package opens no socket, makes no component and knows no backend: what is
// built in comes in by Options.
package config
