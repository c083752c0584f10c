package zknode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-zookeeper/zk"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Metadata are the settings.
type Metadata struct {
	// Hosts are host:port, with semicolons or commas in between.
	Hosts string `json:"zookeeperHosts"`
	// Password is user:password, with which nodes are made and read (digest). A
	// password alone has no effect, as with Layotto.
	Password string `json:"zookeeperPassword"`
	// SessionTimeout is after what silence the servers count as lost; a bare
	// number counts seconds.
	SessionTimeout time.Duration `json:"sessionTimeout" unit:"s" default:"5s"`
	// LogInfo says that the library's notes are logged as Info, not as Debug.
	LogInfo bool `json:"logInfo"`
}

// Client is a client of ZooKeeper. It is safe for concurrent use.
type Client struct {
	// ACL is for nodes that are made.
	ACL []zk.ACL

	conn    *zk.Conn
	where   string
	limit   time.Duration
	events  sync.WaitGroup
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the client of ZooKeeper is closed")

// Open connects and waits for a session. It fails, within twice SessionTimeout or
// when ctx ends, if there is none. path is where m stands in the configuration.
func Open(ctx context.Context, m Metadata, path string, log *slog.Logger, warn func(decode.Problem)) (*Client, error) {
	hosts := strings.FieldsFunc(m.Hosts, func(r rune) bool { return r == ';' || r == ',' || r == ' ' })
	if len(hosts) == 0 {
		return nil, decode.Problems{{Path: decode.Join(path, "zookeeperHosts"), Message: "is missing", Remedy: `for example "localhost:2181;other:2181"`}}
	}
	if m.SessionTimeout <= 0 {
		m.SessionTimeout = 5 * time.Second
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Client{where: "zookeeper " + strings.Join(hosts, ","), limit: 2 * m.SessionTimeout, ACL: zk.WorldACL(zk.PermAll)}
	conn, events, err := zk.Connect(hosts, m.SessionTimeout, zk.WithLogger(notes{log, m.LogInfo}), zk.WithLogInfo(m.LogInfo))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.where, err)
	}
	c.conn = conn
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	if err := c.await(ctx, events); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.events.Go(func() {
		for range events { // whoever wants to know asks
		}
	})
	switch {
	case strings.Contains(m.Password, ":"):
		c.ACL = zk.AuthACL(zk.PermAll)
		if err := c.Do(ctx, func(conn *zk.Conn) error { return conn.AddAuth("digest", []byte(m.Password)) }); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	case m.Password != "" && warn != nil:
		warn(decode.Problem{Path: decode.Join(path, "zookeeperPassword"), Message: "has no effect without a user, as with Layotto", Remedy: "write user:password, or leave it out"})
	}
	return c, nil
}

// await waits for the session.
func (c *Client) await(ctx context.Context, events <-chan zk.Event) error {
	last := zk.StateUnknown
	for {
		select {
		case e := <-events:
			if last = e.State; last == zk.StateHasSession {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("%s: cannot connect: no session within %s (twice sessionTimeout), the state is %q: %w", c.where, c.limit, last, ctx.Err())
		}
	}
}

// Do makes a call. It returns ctx's error when ctx ends, though the call may go on,
// for at most as long as the session lives. ZooKeeper's own errors can be told by
// errors.Is.
func (c *Client) Do(ctx context.Context, call func(*zk.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	c.running.Go(func() { done <- call(c.conn) })
	c.mu.Unlock()
	limit := time.NewTimer(c.limit)
	defer limit.Stop()
	select {
	case err := <-done:
		return c.explain(err)
	case <-ctx.Done():
		return ctx.Err()
	case <-limit.C:
		err := fmt.Errorf("%s: no answer within %s (twice sessionTimeout)", c.where, c.limit)
		if c.conn.State() != zk.StateHasSession {
			return components.Away(err)
		}
		return components.Late(err)
	}
}

func (c *Client) explain(err error) error {
	if err == nil {
		return nil
	}
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	switch {
	case closed && (errors.Is(err, zk.ErrConnectionClosed) || errors.Is(err, zk.ErrClosing) || errors.Is(err, zk.ErrSessionExpired)):
		return ErrClosed
	case errors.Is(err, zk.ErrNoAuth), errors.Is(err, zk.ErrAuthFailed):
		return fmt.Errorf("%s: check zookeeperPassword (user:password), the node is somebody's: %w", c.where, err)
	case errors.Is(err, zk.ErrNoServer), errors.Is(err, zk.ErrConnectionClosed), errors.Is(err, zk.ErrSessionExpired):
		return components.Away(fmt.Errorf("%s: the connection was lost, it may have been done or not: %w", c.where, err))
	}
	return fmt.Errorf("%s: %w", c.where, err)
}

// Check asks for the root.
func (c *Client) Check(ctx context.Context) error {
	return c.Do(ctx, func(conn *zk.Conn) error {
		_, _, err := conn.Exists("/")
		return err
	})
}

// Close ends the session; calls under way fail. It is safe twice.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.conn.Close()
	c.running.Wait()
	c.events.Wait()
	return nil
}

// Path returns the name of the node for a key, below the root: the key itself,
// but for what cannot be in a name, which becomes %XX.
func Path(key string) string {
	if key == "." || key == ".." {
		return "/" + strings.ReplaceAll(key, ".", "%2E")
	}
	var b strings.Builder
	b.WriteByte('/')
	for i := 0; i < len(key); {
		r, n := utf8.DecodeRuneInString(key[i:])
		if r == '/' || r == '%' || r == utf8.RuneError || r >= 0xD800 || !unicode.IsPrint(r) {
			for _, c := range []byte(key[i : i+n]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		} else {
			b.WriteString(key[i : i+n])
		}
		i += n
	}
	return b.String()
}

// notes are what the library has to say.
type notes struct {
	log  *slog.Logger
	info bool
}

// Printf implements zk.Logger.
func (n notes) Printf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if n.info {
		n.log.Info("zookeeper", "says", text)
	} else {
		n.log.Debug("zookeeper", "says", text)
	}
}

// Conn returns the connection, for a goroutine of the component's own: its calls
// end at the latest with Close.
func (c *Client) Conn() *zk.Conn { return c.conn }
