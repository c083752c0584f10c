package proxy

import (
	"context"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/tlscontext"
)

// refreshEvery is how often certificates are looked at for newer ones.
const refreshEvery = 5 * time.Second

// refresh puts newer certificates in force until ctx ends. What is wrong with
// one is logged once; the one before stays.
func (s *Server) refresh(ctx context.Context) {
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	failed := make(map[tlscontext.Source]string)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		sources := s.tlsSources()
		for source, changed := range sources {
			s.refreshOne(source, changed, failed)
		}
		for source := range failed {
			if _, used := sources[source]; !used {
				delete(failed, source)
			}
		}
	}
}

func (s *Server) refreshOne(source tlscontext.Source, changed func(), failed map[tlscontext.Source]string) {
	newer, err := source.Refresh()
	switch {
	case err != nil && failed[source] != err.Error():
		failed[source] = err.Error()
		s.opts.Log.Error("a newer certificate cannot be used, the one before stays", "error", err)
	case newer:
		delete(failed, source)
		s.opts.Log.Info("a newer certificate is in force")
		changed()
	}
}

// tlsSources returns where the certificates in use come from, with what is to
// be called when one has changed.
func (s *Server) tlsSources() map[tlscontext.Source]func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	sources := make(map[tlscontext.Source]func())
	for _, f := range s.listeners {
		if t := f.current.Load().gate.tls; t != nil {
			for _, source := range t.Sources() {
				sources[source] = func() {}
			}
		}
	}
	if s.clusters != nil {
		for _, c := range s.clusters.All() {
			if t := c.TLS(); t != nil {
				sources[t.Source()] = t.Changed
			}
		}
	}
	return sources
}
