package code

import (
	"context"
	"math/rand"
	"net/http"
	"sync"
	"sync/atomic"
	clock "time"
)

func init() { // want init
	register("x", 1)
}

type owner struct {
	table map[string]int
	once  sync.Once
}

func (owner) init() {}

var (
	table   = map[string]int{}
	list    []string
	single  *owner
	ready   bool
	names   = [...]string{"read", "only"}
	mu      sync.Mutex            // want global-write
	current atomic.Pointer[owner] // want global-write
	buffers sync.Pool
	early   = func() *owner { o := &owner{}; o.table = nil; return o }()
)

func register(name string, n int) {
	table[name] = n              // want global-write
	list = append(list, name)    // want global-write
	single.table = nil           // want global-write
	(*single).once = sync.Once{} // want global-write
	ready = true                 // want global-write
	n++
	delete(table, name)   // want global-write
	clear(list)           // want global-write
	for ready = range 2 { // want global-write
	}
	func() { ready, n = false, 2 }() // want global-write
	http.DefaultTransport = nil      // want global-write
	_ = names[0]
	elsewhere++ // want global-write
}

func shadows(table map[string]int) {
	table["fine"] = 1
	list := []string{names[0]}
	list[0] = "fine"
	o := owner{table: table}
	o.table["fine"] = 2
	context := local{}
	context.Background()
	var time local
	time.After()
	delete(o.table, "fine")
}

type local struct{}

func (local) Background() {}
func (local) After()      {}

func waits(ctx context.Context) {
	<-clock.After(clock.Second) // want time-after
	_ = clock.Tick              // want time-after
	_ = context.Background()    // want background
	f := context.TODO           // want background
	_ = f
	_ = context.WithoutCancel(ctx)
	_ = rand.Int()
	_ = clock.NewTimer(1)
}
