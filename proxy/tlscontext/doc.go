// Package tlscontext turns the configuration's TLS contexts into what
// crypto/tls needs: for a listener a choice among several certificates, for a
// cluster the way to dial a host. Certificates come from a Source, today files or
// text in the configuration, and are replaced while running when they change.
//
// TLS 1.2 is the lowest version and only sound suites are used, unless a
// context says allow_weak. Private keys appear in no message.
package tlscontext
