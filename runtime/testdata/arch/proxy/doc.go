// Package proxy may import filter/retry, and nothing above itself.
package proxy
