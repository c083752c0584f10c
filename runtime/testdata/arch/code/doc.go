// Package code breaks the rules for code.
package code
