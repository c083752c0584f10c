// Package config is a leaf that decodes.
package config

import (
	_ "example.test/m/internal/decode"
	_ "example.test/m/internal/leak" // want leaf
)
