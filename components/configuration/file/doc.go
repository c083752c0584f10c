// Package file is the configuration store of types `file` and `local.file`: items
// in one YAML or JSON file, or each in a file of its own in a folder (as
// Kubernetes mounts a ConfigMap). What somebody else changes there is noticed by
// looking, every second by default; no file is ever seen half written, as every
// write makes a new one and renames it.
//
// A file has one of two forms. The short one is keys with their contents, in the
// default group and label, of the application beside us:
//
//	greeting: hello
//	limits: {requests: 10}        # read as the JSON text {"requests":10}
//
// The long one has a list:
//
//	items:
//	  - {key: greeting, content: hello, group: g, label: prod, app_id: shop, tags: {env: prod}}
//
// In a folder the names are `key`, `group/key` or `group/label/key`; characters
// that a name cannot have are written as in a URL (%2F). Names that begin with a
// point are passed over. Items in a folder have no tags, and are all of the
// application beside us.
//
// A file that is damaged or gone is an error of Get and Check, and no change: a
// watcher keeps what it was told last. Writing keeps the contents of a file, not its
// comments. The store takes no lock that other processes would see: of two that
// write one file at the same moment, the last one wins.
package file
