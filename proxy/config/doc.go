// Package config is what the proxy core is told to do: a Snapshot of
// listeners, routers and clusters.
//
// The types have the shape, keys and defaults that MOSN's users know (see
// docs/configuration.md). They are filled by whoever knows a source: the file
// loader in runtime/config, later xDS. A snapshot that passed Validate can be
// built; it is not changed after that, and several snapshots may share parts.
//
// Struct tags: `json` is the key, `doc` the line that the JSON Schema shows,
// `enum` lists the allowed values ("a|b"), `default` is the value in a file that
// leaves the key out, and `unbuilt` marks a key that is
// known but has no code behind it yet: "warn" says so when it is used, "refuse"
// is an error, because leaving it out would change who is served or how safely.
//
// The package is a leaf: it imports the standard library and internal/decode.
package config
