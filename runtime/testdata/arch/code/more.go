// This comment is in the wrong file.
package code // want package-comment

var elsewhere int
