package redisnode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	goredis "github.com/go-redis/redis/v8"
)

// Topology finds out which node of a cluster serves which slots. go-redis 8
// could ask by itself, but does not understand the answer of Redis 7. It is safe
// for concurrent use; its fields are not changed.
type Topology struct {
	// Options are for a connection to one node; without an address.
	Options goredis.Options
	// Seeds are the nodes to begin with.
	Seeds []string

	mu    sync.Mutex
	known []string // nodes seen last time
}

// Slots asks one node after the other until one answers.
func (t *Topology) Slots(ctx context.Context) ([]goredis.ClusterSlot, error) {
	t.mu.Lock()
	asked := append(append([]string(nil), t.known...), t.Seeds...)
	t.mu.Unlock()
	var failed error
	for _, addr := range asked {
		slots, err := t.ask(ctx, addr)
		if err == nil {
			t.remember(slots)
			return slots, nil
		}
		if failed == nil {
			failed = err
		}
	}
	return nil, failed
}

func (t *Topology) remember(slots []goredis.ClusterSlot) {
	var known []string
	seen := map[string]bool{}
	for _, s := range slots {
		for _, n := range s.Nodes {
			if !seen[n.Addr] {
				seen[n.Addr] = true
				known = append(known, n.Addr)
			}
		}
	}
	t.mu.Lock()
	t.known = known
	t.mu.Unlock()
}

func (t *Topology) ask(ctx context.Context, addr string) (slots []goredis.ClusterSlot, err error) {
	o := t.Options
	o.Addr = addr
	client := goredis.NewClient(&o)
	defer func() { err = errors.Join(err, client.Close()) }()
	reply, err := client.Do(ctx, "cluster", "slots").Slice()
	if err != nil {
		return nil, err
	}
	return parseSlots(reply, addr)
}

// parseSlots reads the reply to CLUSTER SLOTS: for each range its first and
// last slot and its nodes, the master first; for each node its host, port, id,
// and, since Redis 7, more. A node without a host is where we asked.
func parseSlots(reply []any, asked string) ([]goredis.ClusterSlot, error) {
	host, _, err := net.SplitHostPort(asked)
	if err != nil {
		return nil, err
	}
	slots := make([]goredis.ClusterSlot, 0, len(reply))
	for _, r := range reply {
		fields, ok := r.([]any)
		if !ok || len(fields) < 3 {
			return nil, fmt.Errorf("%s: cluster slots: a range is %v", asked, r)
		}
		first, ok1 := fields[0].(int64)
		last, ok2 := fields[1].(int64)
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("%s: cluster slots: a range is %v", asked, r)
		}
		slot := goredis.ClusterSlot{Start: int(first), End: int(last)}
		for _, n := range fields[2:] {
			node, ok := n.([]any)
			if !ok || len(node) < 2 {
				return nil, fmt.Errorf("%s: cluster slots: a node is %v", asked, n)
			}
			h, _ := node[0].(string)
			if h == "" {
				h = host
			}
			port, ok := node[1].(int64)
			if !ok {
				return nil, fmt.Errorf("%s: cluster slots: a node is %v", asked, n)
			}
			if h == "?" { // unknown even to the one we asked
				continue
			}
			slot.Nodes = append(slot.Nodes, goredis.ClusterNode{Addr: net.JoinHostPort(h, strconv.FormatInt(port, 10))})
		}
		if len(slot.Nodes) > 0 {
			slots = append(slots, slot)
		}
	}
	return slots, nil
}

// commandTable is a hook that answers, for go-redis itself, where the key is in
// the commands that are sent to clusters here. Otherwise go-redis 8 would ask the
// server, each time anew, since it does not understand that answer of Redis 7
// either.
type commandTable struct{}

var _ goredis.Hook = commandTable{}

// NewNode makes the client of one node of a cluster.
func NewNode(o *goredis.Options) *goredis.Client {
	c := goredis.NewClient(o)
	c.AddHook(commandTable{})
	return c
}

// errAnswered keeps a command from being sent.
var errAnswered = errors.New("answered without the server")

// BeforeProcess implements goredis.Hook.
func (commandTable) BeforeProcess(ctx context.Context, cmd goredis.Cmder) (context.Context, error) {
	if _, ok := cmd.(*goredis.CommandsInfoCmd); ok {
		return ctx, errAnswered
	}
	return ctx, nil
}

// AfterProcess implements goredis.Hook.
func (commandTable) AfterProcess(_ context.Context, cmd goredis.Cmder) error {
	if c, ok := cmd.(*goredis.CommandsInfoCmd); ok {
		c.SetErr(nil)
		c.SetVal(map[string]*goredis.CommandInfo{
			"hgetall": {Name: "hgetall", FirstKeyPos: 1},
			"pttl":    {Name: "pttl", FirstKeyPos: 1},
			"evalsha": {Name: "evalsha", FirstKeyPos: 3},
			"eval":    {Name: "eval", FirstKeyPos: 3},
			"get":     {Name: "get", FirstKeyPos: 1},
			"getdel":  {Name: "getdel", FirstKeyPos: 1},
			"set":     {Name: "set", FirstKeyPos: 1},
			"del":     {Name: "del", FirstKeyPos: 1},
			"incr":    {Name: "incr", FirstKeyPos: 1},
			"pexpire": {Name: "pexpire", FirstKeyPos: 1},
			"ping":    {Name: "ping"},
		})
	}
	return nil
}

// BeforeProcessPipeline implements goredis.Hook.
func (commandTable) BeforeProcessPipeline(ctx context.Context, _ []goredis.Cmder) (context.Context, error) {
	return ctx, nil
}

// AfterProcessPipeline implements goredis.Hook.
func (commandTable) AfterProcessPipeline(context.Context, []goredis.Cmder) error { return nil }
