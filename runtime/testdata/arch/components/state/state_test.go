package state

import _ "example.test/m/components/state/redis"
