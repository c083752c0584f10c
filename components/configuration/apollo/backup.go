package apollo

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/apolloconfig/agollo/v4/env/config"

	"github.com/ottavo-runtime/ottavo/components/internal/atomicfile"
)

// backups keep what was read last, a file for each namespace.
type backups struct {
	dir string
	*settings
	log *slog.Logger

	mu   sync.Mutex
	kept map[string]string // namespace → release that is in its file
}

func (b *backups) path(namespace string) string {
	return filepath.Join(b.dir, url.PathEscape(b.AppID)+"-"+url.PathEscape(b.Cluster)+"-"+url.PathEscape(namespace)+".json")
}

// keep writes down what was read, if it is not what is there already. That it
// cannot is logged only: what was read is good.
func (b *backups) keep(ctx context.Context, c *config.ApolloConfig) {
	b.mu.Lock()
	defer b.mu.Unlock()
	release := c.ReleaseKey
	if known, ok := b.kept[c.NamespaceName]; ok && known == release {
		return
	}
	if err := b.write(c); err != nil {
		b.log.WarnContext(ctx, "the backup of Apollo's configuration cannot be written", "namespace", c.NamespaceName, "error", err)
		return
	}
	if b.kept == nil {
		b.kept = make(map[string]string)
	}
	b.kept[c.NamespaceName] = release
}

func (b *backups) write(c *config.ApolloConfig) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.dir, 0o750); err != nil {
		return err
	}
	return atomicfile.Write(b.path(c.NamespaceName), data, 0o600)
}

// load returns what was kept of a namespace.
func (b *backups) load(namespace string) (map[string]any, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	data, err := os.ReadFile(b.path(namespace))
	if err != nil {
		return nil, false
	}
	var c config.ApolloConfig
	if json.Unmarshal(data, &c) != nil || c.NamespaceName != namespace {
		return nil, false
	}
	return c.Configurations, true
}
