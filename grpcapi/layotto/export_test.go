package layotto

// ToMetadata is for tests.
var ToMetadata = toMetadata
