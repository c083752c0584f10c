// Package gzip is a filter.
package gzip
