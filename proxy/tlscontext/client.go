package tlscontext

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// Client is the TLS side of a cluster. It is safe for concurrent use.
type Client struct {
	cfg    config.TLS
	source Source
	config *tls.Config
	// generation changes with the material.
	generation atomic.Uint64
}

// NewClient makes the client of a cluster; nil when the context is switched
// off, or cannot be used and says fall_back.
func NewClient(cfg config.TLS, extensions []Extension, path string) (_ *Client, warnings decode.Problems, err error) {
	if !cfg.Status {
		return nil, nil, nil
	}
	p := &problems{path: path}
	c := &Client{cfg: cfg, config: base(cfg, p)}
	source, err := newFiles(cfg)
	if err != nil {
		p.fail("", "", "%v", err)
	}
	c.source = source
	verify := extension(cfg, extensions, p)
	if cfg.InsecureSkip {
		p.warn("insecure_skip", "give ca_cert instead", "the hosts' certificates are not verified")
	} else if cfg.ServerName == "" {
		p.fail("server_name", "give the name in the hosts' certificate, or insecure_skip: true", "needed to verify the hosts")
	}
	// crypto/tls would verify against roots that are fixed in the
	// configuration; ours may change, so the same is done here.
	c.config.InsecureSkipVerify = true
	c.config.VerifyConnection = func(state tls.ConnectionState) error {
		if !cfg.InsecureSkip {
			if err := verifyHost(state, c.source.Current().Roots, cfg.ServerName); err != nil {
				return err
			}
		}
		if verify != nil {
			return verify(state)
		}
		return nil
	}
	c.config.ServerName = cfg.ServerName
	c.config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if own := c.source.Current().Certificate; own != nil {
			return own, nil
		}
		return &tls.Certificate{}, nil
	}
	switch {
	case len(p.errs) == 0:
		return c, p.warnings, nil
	case cfg.FallBack:
		return nil, append(p.warnings, withoutTLS(p.errs)...), nil
	}
	return nil, p.warnings, p.errs
}

// verifyHost does what crypto/tls does for a client by default.
func verifyHost(state tls.ConnectionState, roots *x509.CertPool, name string) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the host showed no certificate")
	}
	opts := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, cert := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(opts)
	return err
}

// Source returns where the material comes from, to be refreshed.
func (c *Client) Source() Source { return c.source }

// Changed notes that the material is another: connections made before must
// not be used for new requests.
func (c *Client) Changed() { c.generation.Add(1) }

// Generation tells connections of different material apart.
func (c *Client) Generation() uint64 { return c.generation.Load() }

// Connect speaks TLS with a host over nc, which it owns: closed on an error.
// protocols are offered by ALPN if the context itself names none; one that
// must be agreed on, because the host could take the bytes for another
// protocol's, is required.
func (c *Client) Connect(ctx context.Context, nc net.Conn, protocols []string, required bool) (*tls.Conn, error) {
	cfg := c.config
	if len(cfg.NextProtos) == 0 && len(protocols) > 0 {
		cfg = cfg.Clone()
		cfg.NextProtos = protocols
	}
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	if got := tc.ConnectionState().NegotiatedProtocol; required && !slices.Contains(protocols, got) {
		_ = nc.Close()
		return nil, fmt.Errorf("TLS handshake: the host does not speak %s (it chose %q by ALPN)", strings.Join(protocols, ", "), got)
	}
	return tc, nil
}

// FallBack reports whether a host that does not manage the handshake is
// spoken to without TLS.
func (c *Client) FallBack() bool { return c.cfg.FallBack }
