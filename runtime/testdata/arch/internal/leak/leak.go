// Package leak is below everything.
package leak

import _ "example.test/m/proxy/conn" // want internal-alone
