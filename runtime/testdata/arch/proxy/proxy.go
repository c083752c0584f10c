package proxy

import (
	_ "example.test/m/components/state"  // want proxy-alone
	_ "example.test/m/grpcapi"           // want proxy-alone
	_ "example.test/m/proxy/filter/gzip" // want builtin-only
	_ "example.test/m/proxy/filter/retry"
	_ "example.test/m/proxy/listener"
	_ "example.test/m/runtime"               // want proxy-alone
	_ "example.test/m/sdk"                   // want proxy-alone
	_ "example.test/m/spec/proto/runtime/v1" // want proxy-alone
)
