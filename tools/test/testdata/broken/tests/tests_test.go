package tests

import "testing"

func TestUnknown(t *testing.T) { undefinedName() }
