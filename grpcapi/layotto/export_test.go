package layotto

import "slices"

// RuntimeServer is for tests.
type RuntimeServer = *runtimeServer

// Built tells whether a method of Runtime is listed as built.
func Built(method string) bool { return slices.Contains(built, method) }

// ToMetadata is for tests.
var ToMetadata = toMetadata
