package main

import (
	_ "example.test/m/runtime" // want demo-alone
	_ "example.test/m/runtime/runtimetest"
)
