package tlscontext

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// Extension verifies peers beyond what crypto/tls does. It is named by a
// context's `type`.
type Extension struct {
	Type string
	// New makes the verification from `extend_verify`. It is called after the
	// usual verification of each handshake; its error ends the handshake.
	New func(options map[string]any) (verify func(tls.ConnectionState) error, err error)
}

// Server is the TLS side of a listener. It is safe for concurrent use.
type Server struct {
	contexts []*serverContext
	config   *tls.Config
}

type serverContext struct {
	source Source
	config *tls.Config
	name   string // server_name
}

// NewServer makes the server of a listener from its contexts, those that are
// switched on; nil when none is. warnings are for the log.
func NewServer(list []config.TLS, extensions []Extension, path func(i int) string) (_ *Server, warnings decode.Problems, err error) {
	s := &Server{}
	var errs decode.Problems
	for i, cfg := range list {
		if !cfg.Status {
			continue
		}
		p := &problems{path: path(i)}
		c := newServerContext(cfg, extensions, p)
		warnings = append(warnings, p.warnings...)
		if len(p.errs) > 0 {
			if cfg.FallBack {
				warnings = append(warnings, withoutTLS(p.errs)...)
				continue
			}
			errs = append(errs, p.errs...)
			continue
		}
		s.contexts = append(s.contexts, c)
	}
	if len(errs) > 0 {
		return nil, warnings, errs
	}
	if len(s.contexts) == 0 {
		return nil, warnings, nil
	}
	s.config = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c, err := s.choose(hello)
		if err != nil {
			return nil, err
		}
		return c.forClient(c.config), nil
	}}
	for _, c := range s.contexts {
		s.config.MinVersion = min(s.config.MinVersion, c.config.MinVersion)
	}
	return s, warnings, nil
}

// withoutTLS turns what is wrong with a context into warnings.
func withoutTLS(errs decode.Problems) decode.Problems {
	for i := range errs {
		errs[i].Message += "; fall_back is set, so the context is left out"
	}
	return errs
}

func newServerContext(cfg config.TLS, extensions []Extension, p *problems) *serverContext {
	c := &serverContext{name: cfg.ServerName, config: base(cfg, p)}
	source, err := newFiles(cfg)
	switch {
	case err != nil:
		p.fail("", "", "%v", err)
	case source.Current().Certificate == nil:
		p.fail("cert_chain", "give cert_chain and private_key", "a listener needs a certificate")
	}
	if cfg.VerifyClient && cfg.CACert == "" {
		p.fail("ca_cert", "give the authorities that sign the callers' certificates", "verify_client needs it")
	}
	c.source = source
	switch {
	case cfg.VerifyClient && cfg.RequireClientCert:
		c.config.ClientAuth = tls.RequireAndVerifyClientCert
	case cfg.VerifyClient:
		c.config.ClientAuth = tls.VerifyClientCertIfGiven
	case cfg.RequireClientCert:
		c.config.ClientAuth = tls.RequireAnyClientCert
	}
	c.config.VerifyConnection = extension(cfg, extensions, p)
	c.config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return c.source.Current().Certificate, nil
	}
	return c
}

func extension(cfg config.TLS, extensions []Extension, p *problems) func(tls.ConnectionState) error {
	if cfg.Type == "" {
		return nil
	}
	var known []string
	for _, e := range extensions {
		if e.Type == cfg.Type {
			verify, err := e.New(cfg.ExtendVerify)
			if err != nil {
				p.fail("extend_verify", "", "%v", err)
			}
			return verify
		}
		known = append(known, e.Type)
	}
	remedy := "none is built in; leave it empty"
	if len(known) > 0 {
		remedy = "known: " + strings.Join(known, ", ")
	}
	p.fail("type", remedy, "unknown TLS extension %q", cfg.Type)
	return nil
}

// Config returns the configuration for crypto/tls, which must not be changed.
// protocols are what the contexts offer by ALPN that name none themselves.
func (s *Server) Config(protocols ...string) *tls.Config {
	if len(protocols) == 0 {
		return s.config
	}
	offering := make(map[*tls.Config]*tls.Config)
	for _, c := range s.contexts {
		offer := c.config
		if len(offer.NextProtos) == 0 {
			offer = c.config.Clone()
			offer.NextProtos = protocols
		}
		offering[c.config] = offer
	}
	cfg := s.config.Clone()
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c, err := s.choose(hello)
		if err != nil {
			return nil, err
		}
		return c.forClient(offering[c.config]), nil
	}
	return cfg
}

// Sources returns where the material comes from, to be refreshed.
func (s *Server) Sources() []Source {
	sources := make([]Source, len(s.contexts))
	for i, c := range s.contexts {
		sources[i] = c.source
	}
	return sources
}

// choose finds the context for a caller: by the name it asks for, else by a
// protocol both speak, else the first.
func (s *Server) choose(hello *tls.ClientHelloInfo) (*serverContext, error) {
	chosen := s.contexts[0]
	if len(s.contexts) > 1 {
		if c := s.byName(hello.ServerName); c != nil {
			chosen = c
		} else if c := s.byProtocol(hello.SupportedProtos); c != nil {
			chosen = c
		}
	}
	if chosen.source.Current().Certificate == nil {
		return nil, errors.New("no certificate is at hand")
	}
	return chosen, nil
}

// forClient returns cfg with the authorities of the moment, where they are
// asked. A session that is resumed is verified against them again.
func (c *serverContext) forClient(cfg *tls.Config) *tls.Config {
	if cfg.ClientAuth < tls.VerifyClientCertIfGiven {
		return cfg
	}
	cfg = cfg.Clone()
	cfg.ClientCAs = c.source.Current().Roots
	return cfg
}

func (s *Server) byName(name string) *serverContext {
	if name == "" {
		return nil
	}
	for _, c := range s.contexts {
		if strings.EqualFold(c.name, name) {
			return c
		}
	}
	for _, c := range s.contexts {
		if leaf := leafOf(c.source.Current().Certificate); leaf != nil && leaf.VerifyHostname(name) == nil {
			return c
		}
	}
	return nil
}

func leafOf(c *tls.Certificate) *x509.Certificate {
	if c == nil {
		return nil
	}
	return c.Leaf // filled by X509KeyPair
}

func (s *Server) byProtocol(offered []string) *serverContext {
	for _, c := range s.contexts {
		for _, p := range c.config.NextProtos {
			if slices.Contains(offered, p) {
				return c
			}
		}
	}
	return nil
}
