// Package wrongfile has its comment beside doc.go.
package wrongfile // want package-comment
