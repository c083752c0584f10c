package code

import "testing"

func TestF(t *testing.T) { F() }
