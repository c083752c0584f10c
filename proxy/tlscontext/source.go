package tlscontext

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// Material is what a context proves itself with and trusts. It does not change.
type Material struct {
	// Certificate is ours; nil when there is none.
	Certificate *tls.Certificate
	// Roots are the authorities to trust; nil is the system's.
	Roots *x509.CertPool
}

// Source yields the material of one context, which may change while running.
// It is safe for concurrent use.
type Source interface {
	// Current returns the material in force.
	Current() *Material
	// Refresh looks for newer material and reports whether it found some. On
	// an error the material in force stays.
	Refresh() (changed bool, err error)
}

// files is a Source of PEM text or files that hold it.
type files struct {
	ca, cert, key string
	current       atomic.Pointer[Material]

	mu    sync.Mutex
	stamp string
}

// newFiles reads the material of cfg once.
func newFiles(cfg config.TLS) (*files, error) {
	f := &files{ca: cfg.CACert, cert: cfg.CertChain, key: cfg.PrivateKey}
	_, err := f.Refresh()
	return f, err
}

// Current implements Source.
func (f *files) Current() *Material { return f.current.Load() }

// Refresh implements Source: files are read again when their size or time of
// change is another.
func (f *files) Refresh() (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stamp := stamp(f.ca) + stamp(f.cert) + stamp(f.key)
	if f.current.Load() != nil && stamp == f.stamp {
		return false, nil
	}
	m, err := f.read()
	if err != nil {
		return false, err
	}
	f.stamp = stamp
	f.current.Store(m)
	return true, nil
}

func (f *files) read() (*Material, error) {
	m := &Material{}
	if f.ca != "" {
		pem, err := content("ca_cert", f.ca)
		if err != nil {
			return nil, err
		}
		m.Roots = x509.NewCertPool()
		if !m.Roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("ca_cert: no certificate found in it; PEM text is expected")
		}
	}
	if f.cert == "" && f.key == "" {
		return m, nil
	}
	if f.cert == "" || f.key == "" {
		return nil, errors.New("cert_chain and private_key: one of the two is missing")
	}
	chain, err := content("cert_chain", f.cert)
	if err != nil {
		return nil, err
	}
	key, err := content("private_key", f.key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		// The cause names what does not fit, never the key.
		return nil, fmt.Errorf("cert_chain and private_key: %w", err)
	}
	m.Certificate = &pair
	return m, nil
}

// isText reports whether a value is PEM text rather than a file's name.
func isText(value string) bool { return strings.Contains(value, "-----BEGIN") }

// maxFile is the most bytes of a file with certificates or a key.
const maxFile = 4 << 20

func content(key, value string) ([]byte, error) {
	if isText(value) {
		return []byte(value), nil
	}
	info, err := os.Stat(value)
	switch {
	case err != nil:
		return nil, fileError(key, value, err)
	case !info.Mode().IsRegular():
		return nil, fileError(key, value, errors.New("is no file"))
	case info.Size() > maxFile:
		return nil, fileError(key, value, fmt.Errorf("has %d bytes, more than %d", info.Size(), maxFile))
	}
	b, err := os.ReadFile(value)
	if err != nil {
		return nil, fileError(key, value, err)
	}
	return b, nil
}

// fileError says what is wrong with a file. The name of the key's is not told:
// it may be a key, written where a name or PEM text belongs.
func fileError(key, value string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	if key == "private_key" {
		return fmt.Errorf("%s: neither PEM text nor a file that can be read: %w", key, err)
	}
	return fmt.Errorf("%s: %s: %w", key, value, err)
}

// stamp tells one version of a file from the next.
func stamp(value string) string {
	if value == "" || isText(value) {
		return "-;"
	}
	info, err := os.Stat(value)
	if err != nil {
		return "?;"
	}
	return fmt.Sprintf("%d@%s;", info.Size(), info.ModTime().Format(time.RFC3339Nano))
}
