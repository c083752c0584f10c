package config

import (
	"encoding/json"
	"fmt"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// TLS is a TLS context: towards callers on a listener, towards hosts on a cluster.
type TLS struct {
	Status            bool           `json:"status" doc:"true: TLS is on. Default false."`
	Type              string         `json:"type" doc:"Name of an extension that verifies peers; default: none."`
	ServerName        string         `json:"server_name" doc:"On a cluster: the name that the host's certificate must have. On a listener: a name the context is chosen by, besides those of its certificate."`
	CACert            string         `json:"ca_cert" doc:"Certificates of the authorities to trust: PEM text or a file. On a cluster the default is the system's."`
	CertChain         string         `json:"cert_chain" doc:"Our certificate with its chain: PEM text or a file."`
	PrivateKey        string         `json:"private_key" doc:"Its private key: PEM text or a file."`
	VerifyClient      bool           `json:"verify_client" doc:"On a listener: a certificate that the caller shows must be valid."`
	RequireClientCert bool           `json:"require_client_cert" doc:"On a listener: the caller must show a certificate."`
	InsecureSkip      bool           `json:"insecure_skip" doc:"On a cluster: do not verify the host's certificate."`
	CipherSuites      string         `json:"cipher_suites" doc:"Suites for TLS 1.2, separated by colons; default: the secure ones."`
	ECDHCurves        string         `json:"ecdh_curves" doc:"Curves, separated by commas: x25519, p256, p384, p521."`
	MinVersion        string         `json:"min_version" enum:"|TLS1.0|TLS1.1|TLS1.2|TLS1.3|TLSv1_0|TLSv1_1|TLSv1_2|TLSv1_3|TLS_AUTO" doc:"Lowest version. Default, and lowest without allow_weak: TLS1.2."`
	MaxVersion        string         `json:"max_version" enum:"|TLS1.0|TLS1.1|TLS1.2|TLS1.3|TLSv1_0|TLSv1_1|TLSv1_2|TLSv1_3|TLS_AUTO" doc:"Highest version. Default: TLS1.3."`
	ALPN              string         `json:"alpn" doc:"Protocols to offer, separated by commas: h2, http/1.1, sofa."`
	FallBack          bool           `json:"fall_back" doc:"true: go on without TLS; on a listener when the certificate cannot be used, on a cluster when the handshake with a host fails. Default false."`
	AllowWeak         bool           `json:"allow_weak" doc:"true: also versions below 1.2 and suites that are broken. Default false."`
	ExtendVerify      map[string]any `json:"extend_verify" doc:"Options of the extension."`
	SDSSource         any            `json:"sds_source" unbuilt:"refuse" doc:"Certificates from a control plane."`
}

// shownTLS is a context that is formatted as any struct is.
type shownTLS TLS

// shown returns the context without its secrets.
func (t TLS) shown() shownTLS {
	if t.PrivateKey != "" {
		t.PrivateKey = decode.Hidden
	}
	if t.ExtendVerify != nil {
		t.ExtendVerify, _ = decode.Redact(t.ExtendVerify).(map[string]any)
	}
	return shownTLS(t)
}

// Format implements fmt.Formatter: no log and no dump shows the private key.
func (t TLS) Format(s fmt.State, verb rune) {
	_, _ = fmt.Fprintf(s, fmt.FormatString(s, verb), t.shown())
}

// MarshalJSON implements json.Marshaler, with the private key hidden.
func (t TLS) MarshalJSON() ([]byte, error) { return json.Marshal(t.shown()) }
