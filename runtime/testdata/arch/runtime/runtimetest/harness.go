// Package runtimetest starts everything for tests.
package runtimetest

import _ "example.test/m/runtime/builtin"
