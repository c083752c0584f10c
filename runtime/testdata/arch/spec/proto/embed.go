// Package proto is the definition.
package proto

import _ "example.test/m/proxy" // want spec-alone
