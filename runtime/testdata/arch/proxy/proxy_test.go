package proxy_test

import (
	_ "example.test/m/internal/leak"
	_ "example.test/m/proxy/filter/gzip"
	_ "example.test/m/runtime/runtimetest" // want proxy-alone
)
