// Package objectstoretest is the suite that every object store passes. A
// backend's test calls Run with a way to make a store.
package objectstoretest
