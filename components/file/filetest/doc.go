// Package filetest is the suite that every file store passes. A backend's test
// calls Run with a way to make a store.
package filetest
