// Package mysqlnode opens MySQL and MariaDB for sequencers: it checks names that
// become part of statements, and puts failures into words without passwords.
package mysqlnode
