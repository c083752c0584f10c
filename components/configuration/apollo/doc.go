// Package apollo is the configuration store of type `apollo`: the configuration
// centre Apollo, in the way that Layotto uses it.
//
// A group is a namespace ("application" by default), a label is put behind the
// key as `key@$label`, and the tags of an item are JSON text in the namespace
// `sidecar_config_tags`, under `group@$key@$label`. The application is always the
// store's own, `app_id`, whatever a request says, since a secret and a token are
// for one. Namespaces in YAML are read as keys with dots; of other formats the key
// is `content`.
//
// Reading asks the configuration service; watching holds its long poll for each
// namespace that anybody watches, with the ids of the last notifications, so that
// a change which came while the connection was down is noticed afterwards. Writing
// goes through Apollo's open API: items, then a release. Items are visible to
// others from the release on.
//
// With `is_backup_config` what was read last is kept in files, from which Get and
// the start of a watch are answered while Apollo cannot be reached; Check tells
// that it cannot.
//
// Signatures and messages are agollo's. Its client as a whole is not used, because it
// cannot be closed (a goroutine for each client stays, and a long poll for up to ten
// minutes), keeps its settings in variables of the process, accepts any
// certificate, and writes what fails into its log only; its parser of YAML makes
// all keys lower case, and brings parsers of six other formats with it.
package apollo
