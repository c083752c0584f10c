package layotto

// ToMetadata and TooLarge are for tests.
var (
	ToMetadata = toMetadata
	TooLarge   = tooLarge
)
