package contrib

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dapr/components-contrib/secretstores"
)

// askedFor is how long what a store said of our credentials counts: each question is a
// line in the log that a store keeps of who reads what.
const askedFor = 10 * time.Second

// probe finds out whether a store still lets us read what the application reads. That
// is the only secret of which it is known that it could be read: which others there
// are, and whether they are for us, nobody says.
type probe struct {
	mu    sync.Mutex
	key   string // the one that was read last; before any was, the last that was refused
	good  bool   // it was read
	until time.Time
}

// note takes what came of reading a key.
func (p *probe) note(key string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.key, p.good = key, true
	case !refused(err):
	case !p.good:
		p.key = key
		fallthrough
	default:
		p.until = time.Time{} // the next check asks
	}
}

// check reads that key again, unless it did so lately.
func (p *probe) check(ctx context.Context, backend secretstores.SecretStore) error {
	p.mu.Lock()
	key, fresh := p.key, time.Now().Before(p.until)
	p.mu.Unlock()
	if key == "" || fresh {
		return nil
	}
	_, err := backend.GetSecret(ctx, secretstores.GetSecretRequest{Name: key})
	if refused(err) {
		return fmt.Errorf("it does not let us read a secret any more: check the token, and what it may do: %w", err)
	}
	p.mu.Lock()
	p.until = time.Now().Add(askedFor)
	p.mu.Unlock()
	return nil // another error is the business of whoever looks for the address
}

// refused tells the words that contrib's stores over HTTP have for rights we lack;
// they have no error of their own for it.
func refused(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "status code 401") || strings.Contains(err.Error(), "status code 403"))
}
