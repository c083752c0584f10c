package code

import (
	"context"
	"time"
)

func helper() {
	ready = true
	<-time.After(1)
	_ = context.Background()
}

func init() {} // want init
