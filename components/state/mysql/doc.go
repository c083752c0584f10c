// Package mysql is the state store of MySQL and MariaDB: contrib's, in a table that
// tells keys apart byte by byte.
//
// The table that contrib makes by itself compares keys as the server's default
// collation does: "a", "A" and "a " are one key there, and a key has at most 255
// characters. This package makes the table, when there is none, with the same
// columns and binary keys of up to 1024 bytes; Dapr works with it as with its own. A
// table that Dapr or Layotto has made is used as it is.
package mysql
