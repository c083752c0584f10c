// Command pluggable is a user's component.
package main

import (
	_ "example.test/m/components/state" // want demo-alone
	_ "example.test/m/spec/proto/pluggable/v1/hello"
)

func main() {}
