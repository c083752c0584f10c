// Package configurationtest is the suite that every configuration store passes:
// see Run. It is for tests only.
package configurationtest
