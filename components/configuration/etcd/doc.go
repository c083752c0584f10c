// Package etcd is the configuration store of type `etcd`: etcd 3 with the layout of
// Layotto. An item is the row
//
//	/{app_id}/{group}/{label}/{key}
//
// whose value is the content. Each of its tags is a row beside it, with the
// content too, as other readers of this layout expect it:
//
//	/{app_id}/{group}/{label}/{key}/{tag name}={tag value}
//
// Layotto writes the tag's value there without its name; such a tag is read as
// one whose name is its value. A "/" inside a part is written as %2F.
//
// A change of one item, with all its tags, is one transaction; up to fifty items
// are saved together. For each application that anybody watches there is one watch
// of etcd, which goes on from its last revision after a broken connection; when
// that was compacted away, everything is read again and compared.
//
// It never reads or writes a row outside /{app_id}/.
package etcd
